"""The identity of code: a hash of the syntax trees of functions and classes, and of all that they use of the same package.

Comments, docstrings, annotations, blank lines, names of modules and the order of definitions do not count. So tidying up keeps
the hash, and a change of what is computed changes it.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

Def = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
PLAIN = (bool, int, float, str, bytes, type(None))


def code_hash(*roots: Any, without: tuple[str, ...] = ()) -> str:
    """Twelve digits of SHA-256 of the code of functions and classes, and of all functions, classes and constants that this code
    names, if they belong to the packages of the `roots`. Base classes count, except methods called as in `without`. What an
    object's methods do that is only known at run time does not count: name its class as a root."""
    return _hashed(roots, without)


@cache
def _hashed(roots: tuple[Any, ...], without: tuple[str, ...]) -> str:
    packages = {root.__module__.split(".")[0] for root in roots}
    found: dict[int, str] = {}
    todo: list[Any] = list(roots)
    while todo:
        value = inspect.unwrap(todo.pop()) if callable(todo[-1]) else todo.pop()
        if id(value) in found or str(getattr(value, "__module__", "")).split(".")[0] not in packages:
            continue
        found[id(value)] = ""
        if isinstance(value, type):
            todo += [base for base in value.__mro__[1:] if base is not object]
            for part in _body(value, without):
                if isinstance(part, ast.FunctionDef):
                    todo.append(inspect.unwrap(_plain(value.__dict__[part.name])))
                else:
                    found[id(value)] += _text(part)
                    todo += _used(part, vars(sys.modules[value.__module__]), packages, found)
        elif isinstance(value, FunctionType):
            for node in _nodes(value.__module__).get(value.__code__.co_firstlineno, []):
                found[id(value)] += _text(node)
                known = {**value.__globals__, **inspect.getclosurevars(value).nonlocals}
                todo += _used(node, known, packages, found)
    return hashlib.sha256("\n".join(sorted(found.values())).encode()).hexdigest()[:12]


@cache
def _nodes(module: str) -> dict[int, list[Def]]:
    """The definitions of a module by their first lines."""
    found: dict[int, list[Def]] = {}
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, Def):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            found.setdefault(first, []).append(node)
    return found


def _body(cls: type, without: Collection[str]) -> Iterator[ast.stmt]:
    """The statements of a class, without the excluded methods and without a dataclass's fields, whose values are not code."""
    own = {n.name: n for nodes in _nodes(cls.__module__).values() for n in nodes if isinstance(n, ast.ClassDef)}
    for part in own[cls.__name__].body if cls.__name__ in own else []:
        name = part.name if isinstance(part, ast.FunctionDef) else _assigned(part)
        if name not in without and name not in getattr(cls, "__dataclass_fields__", {}):
            yield part


def _assigned(part: ast.stmt) -> str:
    return part.target.id if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) else ""


def _plain(member: Any) -> Any:
    """The function of a method, a property or a class method."""
    for name in ("fget", "__func__", "func"):
        member = getattr(member, name, None) or member
    return member


def _used(node: ast.AST, known: Mapping[str, Any], packages: set[str], found: dict[int, str]) -> Iterator[Any]:
    """What a piece of code names. Constants are added to `found` at once."""
    names = dict(known)
    for part in ast.walk(node):
        if isinstance(part, ast.ImportFrom):  # inside of a function
            source = importlib.import_module("." * part.level + (part.module or ""), str(known["__package__"]))
            for a in part.names:
                if not hasattr(source, a.name):  # a module that nobody has imported yet
                    importlib.import_module(f"{source.__name__}.{a.name}")
                names[a.asname or a.name] = getattr(source, a.name)
    for part in _walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            home: Any = names.get(part.value.id)
            if isinstance(home, ModuleType) and home.__name__.split(".")[0] in packages:
                yield from _value(part.attr, getattr(home, part.attr, None), found)
        elif isinstance(part, ast.Name) and part.id in names:
            yield from _value(part.id, names[part.id], found)


def _value(name: str, value: Any, found: dict[int, str]) -> Iterator[Any]:
    """The functions and classes of a value. If it is a constant, it is added to `found`."""
    if isinstance(value, PLAIN):
        found[hash((name, repr(value)))] = f"{name}={value!r}"
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _value(f"{name}[{key!r}]", one, found)
    elif isinstance(value, list | tuple):
        for i, one in enumerate(value):
            yield from _value(f"{name}[{i}]", one, found)
    elif isinstance(value, type | FunctionType):
        yield value


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes without annotations."""
    yield node
    for _, child in _children(node):
        yield from _walk(child)


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns", "type_comment"):
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, ast.AST) and not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)):
                    yield name, one


def _text(node: ast.AST) -> str:
    """The tree as text, which is the same in all versions of Python."""
    plain = {n: v for n, v in ast.iter_fields(node) if isinstance(v, PLAIN) and v is not None and n != "type_comment"}
    if isinstance(node, ast.Global | ast.Nonlocal):
        plain["names"] = ",".join(node.names)
    inside = "".join(f"{name}:{_text(child)}" for name, child in _children(node))
    return f"{type(node).__name__}({plain}{inside})"
