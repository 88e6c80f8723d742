"""The tokenizer that came with a CLIP text encoder: its own words, its added tokens, its padding; the ids are CLIPTokenizer's.

transformers' CLIPTokenizer normalises a caption otherwise than open_clip does (NFC, blanks, lower case; no HTML, no repair of
encodings), and it finds its marks and its added tokens in a caption. The `tokenizers` library does all of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ...config.errors import ConfigError
from ...config.foreign.laws import read_json
from .clip import END, Reading, Tokenizer, byte_pairs

BEGIN_MARK, END_MARK = "<|startoftext|>", "<|endoftext|>"
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")  # of an added token


@cache
def clip_words() -> tuple[dict[str, int], list[str]]:
    """CLIP's own vocabulary and merges, under transformers' names of the two marks."""
    bpe = byte_pairs()
    marks = {"<start_of_text>": BEGIN_MARK, "<end_of_text>": END_MARK}
    merges = sorted(bpe.bpe_ranks, key=bpe.bpe_ranks.__getitem__)
    return {marks.get(word, word): n for word, n in bpe.encoder.items()}, [" ".join(pair) for pair in merges]


def read_tokenizer(folder: Path) -> dict[str, Any]:
    """The description of the tokenizer in a folder of transformers: plain data for a passport. `words` is left out if they are
    CLIP's own. Raises ConfigError if it is not a CLIP tokenizer, or not complete."""

    def table(name: str) -> dict[str, Any]:
        return read_json(folder / name) if (folder / name).is_file() else {}

    config, fast = table("tokenizer_config.json"), table("tokenizer.json")
    kind = str(config.get("tokenizer_class", "CLIPTokenizer")).removesuffix("Fast")
    if kind != "CLIPTokenizer":
        raise ConfigError(f"{folder}: tokenizer_class={kind}: only CLIPTokenizer is read here")
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        vocabulary = table("vocab.json")
        lines = (folder / "merges.txt").read_text("utf-8").splitlines()
        merges = [line for line in lines if line.strip() and not line.startswith("#version")]
    elif "model" in fast:
        vocabulary = fast["model"].get("vocab", {})
        merges = [m if isinstance(m, str) else " ".join(m) for m in fast["model"].get("merges", [])]
    else:
        raise ConfigError(f"{folder}: neither tokenizer.json nor vocab.json with merges.txt; copy the whole folder")
    special = {**table("special_tokens_map.json"), **{k: v for k, v in config.items() if k.endswith("_token")}}
    named = {k: v["content"] if isinstance(v, dict) else v for k, v in special.items()}
    added = {word: {"id": n, "content": word} for word, n in table("added_tokens.json").items()}
    added |= {t["content"]: {"id": int(n), **t} for n, t in config.get("added_tokens_decoder", {}).items()}
    added |= {t["content"]: t for t in fast.get("added_tokens", [])}
    ids = vocabulary | {word: token["id"] for word, token in added.items()}
    marks = {k: named.get(f"{k}_token") or v for k, v in (("bos", BEGIN_MARK), ("eos", END_MARK), ("unk", END_MARK))}
    pad = named.get("pad_token")
    pad = marks["eos"] if pad is None else pad  # as CLIPTokenizer does
    for word in (*marks.values(), pad):
        if word not in ids:
            raise ConfigError(f"{folder}: the tokenizer's mark {word!r} is no word of it; copy the whole folder")
        added.setdefault(word, {"id": ids[word], "content": word, "special": True})
    own_vocabulary, own_merges = clip_words()
    plain = {k: n for k, n in vocabulary.items() if k not in added or k in own_vocabulary}
    words = {} if plain == own_vocabulary and merges == own_merges else {"words": vocabulary, "merges": merges}
    tokens = [{k: t[k] for k in ("id", "content", *FLAGS) if k in t} for t in added.values()]
    return {**marks, "pad": pad, "added": sorted(tokens, key=lambda t: int(t["id"])), **words}


CLIPS_OWN = {
    "bos": BEGIN_MARK,
    "eos": END_MARK,
    "unk": END_MARK,
    "pad": END_MARK,
    "added": [
        {"id": END - 1, "content": BEGIN_MARK, "special": True},
        {"id": END, "content": END_MARK, "special": True},
    ],
}  # of a text encoder without a tokenizer beside it, as in a single file


def engine(described: Mapping[str, Any]) -> Any:
    """The `tokenizers.Tokenizer` of a description, without marks around a caption."""
    from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Engine

    vocabulary, merges = (described["words"], described["merges"]) if "words" in described else clip_words()
    made = Engine(
        models.BPE(
            vocab=dict(vocabulary),
            merges=[tuple(m.split(" ")) for m in merges],
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            fuse_unk=False,
            unk_token=described["unk"],
        )
    )
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    split = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    for token in described["added"]:  # in the order of their ids: a new one gets the next
        flags = {k: bool(token[k]) for k in FLAGS if k in token}
        (made.add_special_tokens if flags.get("special") else made.add_tokens)([AddedToken(token["content"], **flags)])
        if made.token_to_id(token["content"]) != token["id"]:
            raise ConfigError(f"the tokenizer's added token {token['content']!r} cannot have the id {token['id']}")
    return made


class FileTokenizer(Tokenizer):
    """Captions -> ids [B, L] of the tokenizer that `described` describes."""

    def __init__(self, context_length: int, described: Mapping[str, Any]) -> None:
        self.described, self.engine = json.loads(json.dumps(dict(described))), engine(described)
        ids = {name: self.engine.token_to_id(described[name]) for name in ("bos", "eos", "pad")}
        super().__init__(context_length, pad=ids["pad"])
        self.start, self.end = ids["bos"], ids["eos"]

    @property
    def size(self) -> int:
        """One more than its highest id."""
        return max(self.engine.get_vocab(with_added_tokens=True).values()) + 1

    def ids(self, captions: Sequence[str]) -> list[list[int]]:
        plain = [caption.encode("utf-8", "replace").decode() for caption in captions]  # without lone surrogates
        return [e.ids for e in self.engine.encode_batch(plain, add_special_tokens=False)]

    def read(self, caption: str) -> Reading:
        text = caption.encode("utf-8", "replace").decode()
        found, room = self.engine.encode(text, add_special_tokens=False), self.context_length - 2
        end = found.offsets[room - 1][1] if len(found.ids) > room else len(text)
        kept = " ".join(text[:end].split())
        return Reading(len(found.ids) + 2, min(len(found.ids), room) + 2, kept, text[end:].strip())

    def write(self, folder: Path) -> None:
        """Write the files that CLIPTokenizer reads."""
        own, merges = clip_words()
        vocabulary = self.described.get("words", own)
        more = {t["content"]: t["id"] for t in self.described["added"] if t["content"] not in vocabulary}
        marks = {f"{k}_token": self.described[k] for k in ("bos", "eos", "unk", "pad")}
        decoder = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in self.described["added"]}
        config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": self.context_length, **marks}
        folder.mkdir(parents=True)
        (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
        lines = ["#version: 0.2", *self.described.get("merges", merges)]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
        (folder / "special_tokens_map.json").write_text(json.dumps(marks))
        (folder / "tokenizer_config.json").write_text(json.dumps({**config, "added_tokens_decoder": decoder}))
        if more:
            (folder / "added_tokens.json").write_text(json.dumps(more))
