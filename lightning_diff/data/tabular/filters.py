"""Filters of samples by what is known of them: width >= 256 and similarity > 0.28. A filter is parsed, never executed.

It knows names of columns, numbers, texts in quotes, true and false, lists in brackets, and these signs and words:
and or not in  < <= > >= == !=  + - * /

What is counted with is a float64, so 30 / 20 is 1.5, and no kind of whole number overflows."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from ...config.errors import ConfigError

LONGEST = 2000  # letters
DEEPEST = 30  # brackets within brackets
INSTALL = "it needs pyarrow: pip install 'lightning-diff[parquet]', or pip install pyarrow"
WORDS = {"true": True, "false": False, "True": True, "False": False}
COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    **{ast.Lt: lambda a, b: a < b, ast.LtE: lambda a, b: a <= b, ast.Gt: lambda a, b: a > b},
    **{ast.GtE: lambda a, b: a >= b, ast.Eq: lambda a, b: a == b, ast.NotEq: lambda a, b: a != b},
}
COUNTED: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    **{ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b},
    **{ast.Mult: lambda a, b: a * b, ast.Div: lambda a, b: a / b},
}


class Unreadable(ValueError):
    """It is no filter. The message says why."""


def fault_of(text: str) -> str:
    """Why a text is no filter; empty if it is one. Nothing is read for it."""
    if not text:
        return ""
    try:
        if not names_of(text):
            return "it names no column"
        _walk(_parsed(text), 0)
    except Unreadable as e:
        return str(e)
    return "" if find_spec("pyarrow") else INSTALL


def names_of(text: str) -> list[str]:
    """The columns that a filter names. Raises Unreadable."""
    found = (node.id for node in ast.walk(_parsed(text)) if isinstance(node, ast.Name))
    return sorted({name for name in found if name not in WORDS})


def passing(text: str, table: Any, words: str) -> Any:
    """The rows of a pyarrow table for which a filter holds; a value that is missing makes it not hold. Raises ConfigError."""
    import pyarrow

    try:
        missing = [name for name in names_of(text) if name not in table.column_names]
        if missing:
            known = ", ".join(name for name in table.column_names if not name.startswith("_")) or "none"
            raise ConfigError(f"{words}: no column {missing[0]!r}; there are {known}")
        return table.filter(_expression(_parsed(text)))
    except (pyarrow.ArrowException, TypeError, Unreadable) as e:
        raise ConfigError(f"{words}: {(str(e).splitlines() or ['it cannot be computed'])[0]}") from e


def _parsed(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise Unreadable(f"longer than {LONGEST:,} letters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as e:
        raise Unreadable(f"not a filter such as 'width >= 256 and similarity > 0.28' ({e.__class__.__name__})") from e


def _walk(node: ast.expr, depth: int) -> Sequence[ast.expr]:
    """The parts of an expression, checked. Raises Unreadable for what a filter does not know."""
    if depth > DEEPEST:
        raise Unreadable("too many brackets within brackets")
    match node:
        case ast.BoolOp(values=parts):
            found = list(parts)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=part):
            found = [part]
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in COUNTED:
            found = [left, right]
        case ast.Compare(left=left, ops=signs, comparators=others):
            for sign, other in zip(signs, others, strict=True):
                if isinstance(sign, ast.In | ast.NotIn):
                    if not isinstance(other, ast.List | ast.Tuple) or not all(map(_is_value, other.elts)):
                        raise Unreadable("behind 'in' stands a list of values, [1, 2]")
                elif type(sign) not in COMPARED:
                    raise Unreadable(f"a filter has no {ast.unparse(node)!r}")
            found = [left, *(other for other in others if not isinstance(other, ast.List | ast.Tuple))]
        case ast.Name():
            found = []
        case _ if _is_value(node):
            found = []
        case _:
            raise Unreadable(f"a filter has no {ast.unparse(node)[:60]!r}")
    for part in found:
        _walk(part, depth + 1)
    return found


def _is_value(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | bool)


def _expression(node: ast.expr) -> Any:
    """The pyarrow expression of a checked tree."""
    import pyarrow.compute as pc

    _walk(node, 0)
    match node:
        case ast.BoolOp(op=op, values=parts):
            found = _expression(parts[0])
            for part in parts[1:]:
                found = found & _expression(part) if isinstance(op, ast.And) else found | _expression(part)
            return found
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return ~_expression(part)
        case ast.UnaryOp(operand=part):
            return pc.scalar(0.0) - _expression(part).cast("float64")
        case ast.BinOp(left=left, op=operator, right=right):
            return COUNTED[type(operator)](*(_expression(side).cast("float64") for side in (left, right)))
        case ast.Compare(left=left, ops=signs, comparators=others):
            sides, whole = [left, *others], None
            for a, sign, b in zip(sides, signs, others, strict=False):
                one = _compared(a, sign, b)
                whole = one if whole is None else whole & one
            return whole
        case ast.Name(id=name):
            return pc.scalar(WORDS[name]) if name in WORDS else pc.field(name)
        case ast.Constant(value=value):
            return pc.scalar(value)
    raise Unreadable(f"a filter has no {ast.unparse(node)[:60]!r}")


def _compared(a: ast.expr, sign: ast.cmpop, b: ast.expr) -> Any:
    if isinstance(sign, ast.In | ast.NotIn):
        assert isinstance(b, ast.List | ast.Tuple)
        found = _expression(a).isin([one.value for one in b.elts if isinstance(one, ast.Constant)])
        return found if isinstance(sign, ast.In) else ~found
    return COMPARED[type(sign)](_expression(a), _expression(b))
