"""The keys that all text encoders have: their weights, the layer that gives the tokens, and further encoders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.errors import ConfigError
from ...config.fields import between, chosen_list, one_of, path
from ...config.registry import Choice
from .lengths import CaptionLengths

if TYPE_CHECKING:
    from ...nets.text import TextEncoder, Tower
    from ...nets.tokenizers.clip import Tokenizer


@dataclass(frozen=True, kw_only=True)
class TextEncoderSpec(Choice):
    """A tower (CLIP model) that reads captions. `weights` is its local file or folder. The tokens are the hidden states after
    the `layer`-th layer from the end; `final_norm` says whether they go through the final norm.

    `more` lists further towers that read the same captions. `join` says how their tokens are joined: along the channels, or one
    list after the other. `pooled` says whether the pooled outputs of all towers are used, or only the last one. `null` is the
    condition that means "no caption": the empty caption, zeros, or a learned one.
    """

    weights: str | None = path(None)
    layer: int = between(1, 1, 100)
    final_norm: bool = True
    more: list[Any] = chosen_list("text")
    join: str = one_of("channels", "channels", "tokens")
    pooled: str = one_of("all", "all", "last")
    null: str = one_of("empty", "empty", "zeros", "learned")

    # The keys of its size when it is trained here: only its training reads them.
    sizes: ClassVar[tuple[str, ...]] = ()
    # Whether its weights file has a passport. If so, a run can use the file as a component without conversion.
    has_passport: ClassVar[bool] = False
    # The keys that only the first tower has; they mean nothing in an entry of `more`.
    of_the_first: ClassVar[tuple[str, ...]] = ("more", "join", "pooled", "null")

    def open(self, path: Path) -> Tower:
        """The tower with the weights at that path. Raises ConfigError if they do not fit."""
        raise NotImplementedError

    def described(self) -> dict[str, Any]:
        """The description of its tower for a passport; nothing is built. Raises ConfigError if the weights cannot be read."""
        raise NotImplementedError

    def tokenizer(self) -> Tokenizer:
        """The tokenizer of its tower; no weights are read. Raises ConfigError if the tower's description cannot be read."""
        from ...nets.tokenizers.described import tokenizer_of

        return tokenizer_of(self.described())

    def most_tokens(self) -> int:
        """The largest context length that its config allows; 0 if the length is the model's own."""
        return 0

    def caption_lengths(self, captions: Sequence[str]) -> CaptionLengths:
        """How many of the captions are longer than it reads. Of several towers, the one with the shortest context counts. It
        takes about a second for 100,000 captions. Raises ConfigError as `tokenizer` does."""
        found = [(spec.tokenizer(), spec.most_tokens()) for spec in (self, *self.more)]
        tokenizer, most = min(found, key=lambda pair: pair[0].context_length)
        return CaptionLengths.of(tokenizer.lengths(captions).tolist(), tokenizer.context_length, most)

    def least_shape(self) -> tuple[int, int, int]:
        """The smallest possible (number of tokens, token width, width of the pooled output)."""
        return 8, 32, 8

    @property
    def reads_plainly(self) -> bool:
        """Whether it is a single tower whose tokens come from the last layer, through the final norm."""
        return not self.more and self.layer == 1 and self.final_norm

    def tower(self, path: Path) -> Tower:
        """The tower with the weights at that path, and with this choice's `layer` and `final_norm`. Raises ConfigError."""
        tower = self.open(path)
        if self.layer > tower.layers:
            raise ConfigError(f"text.layer={self.layer}: {path} has {tower.layers} layers")
        tower.read_at(self.layer, self.final_norm)
        return tower

    def encoder(self, path: Path) -> TextEncoder:
        """The tower, or the towers, that read captions. `path` holds the weights of the first one. Raises ConfigError."""
        from ...nets.text import Towers

        towers = [self.tower(path), *(other.tower(Path(str(other.weights))) for other in self.more)]
        return Towers(towers, self.join, self.pooled) if self.more else towers[0]

    def conflicts(self, text: Any, task: Any, data: Any, training: Any) -> Iterator[str]:
        if self is not text:  # the first one reports the messages of its `more`
            return
        yield from self.own_conflicts("text", task)
        for i, other in enumerate(self.more):
            for f in fields(other):
                usual = f.default if f.default is not MISSING else []
                if f.name in (*other.sizes, *other.of_the_first) and getattr(other, f.name) != usual:
                    yield f"text.more[{i}].{f.name}: would be ignored; it belongs to text"
            yield from other.own_conflicts(f"text.more[{i}]", task)
        for name, usual in (("join", "channels"), ("pooled", "all")):
            if getattr(self, name) != usual and not self.more:
                yield f"text.{name}: would be ignored; it belongs to text.more=[...]"
        if task != "diffusion" and not (self.reads_plainly and self.null == "empty"):
            yield f"task={task}: text.more, layer, final_norm and null would be ignored; they say how a net reads a tower"
        if self.null == "learned" and training.lora > 0:
            yield "text.null=learned with training.lora: adapters alone are trained; use text.null=empty or zeros"

    def own_conflicts(self, where: str, task: str) -> Iterator[str]:
        """Messages for this tower, whose place in the config is `where`: `text`, or text.more[0]. This default is for a tower
        that is not trained here and whose weights must be given."""
        if task != "diffusion":
            yield f"{where}={self.kind}: would be ignored; it belongs to task=diffusion"
        if self.weights is None:
            yield f"{where}.weights: say where its weights are, {where}.weights=PATH"
