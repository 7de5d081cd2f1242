"""How a text, or a pair of texts, becomes a network's input: ids of tokens.

Shapes: t tokens.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch.nn.utils.rnn import pad_sequence

from ftlab.batch import Fields
from ftlab.errors import UserError
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import InputPreprocessing, Inputs, Transform, Unread

Text = str | tuple[str, str]  # one, or a pair such as a question and its context
SHOWN = 300  # characters of a text in the report
FILE = "tokenizer.json"  # of a bundle


@dataclass(frozen=True)
class TextPreprocessing(InputPreprocessing):
    """Of the network's own tokenizer, in the format of the library tokenizers."""

    kind: ClassVar[str] = "text"
    plural: ClassVar[str] = "texts"
    one_size: ClassVar[bool] = False
    loading: ClassVar[tuple[str, ...]] = ("max_tokens",)

    tokenizer: str  # the whole of tokenizer.json
    padding: int  # id of tokens that only fill a batch
    longest: int  # tokens that the network takes at most
    max_tokens: int  # tokens of a text, or of both of a pair; what comes after them is cut off

    @cached_property
    def encoder(self) -> Any:
        from tokenizers import Tokenizer

        made = Tokenizer.from_str(self.tokenizer)
        made.no_padding()
        made.enable_truncation(self.max_tokens)
        return made

    def __getstate__(self) -> dict[str, Any]:
        return asdict(self)  # a worker makes its own encoder

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)

    def transform(self, augment: Augment | None = None) -> Transform:
        if augment and (augment.random or augment.mixup or augment.cutmix):
            raise UserError("augment: texts are not varied as images are; use augment=none")
        return TextTransform(self)

    def each(self, given: Any) -> Iterator[Text]:
        """A text, a pair (of two texts) as a tuple, or a list of these."""
        for one in [given] if isinstance(given, str | tuple) else given:
            if not is_text(one):
                raise UserError(f"a text is given as {type(one).__name__}; accepted: a string, or a tuple of two")
            yield one

    def listed(self, inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
        from ftlab.inputs.texts.listed import listed

        return listed(inputs)

    def shown(self, raw: Text) -> dict[str, Any]:
        first, *more = (raw,) if isinstance(raw, str) else raw
        return {"cells": {"text": beginning(first), **({"second": beginning(more[0])} if more else {})}}

    def seen(self, fields: Fields) -> dict[str, Any]:
        tokens = [self.encoder.id_to_token(token) for token in fields["tokens"][:SHOWN].tolist()]
        return {"cells": {"tokens": str(len(fields["tokens"])), "text": beginning(" ".join(tokens))}}

    @property
    def seen_as(self) -> str:
        return "tokens of the network, the longest texts cut"

    def builds(self) -> dict[str, Any]:
        return {}

    def blank(self) -> Fields:
        return self.transform()("")

    def summary(self) -> str:
        return f"texts of at most {self.max_tokens:,} tokens of {self.encoder.get_vocab_size():,}"

    def told(self, loading: Mapping[str, Any]) -> "TextPreprocessing":
        """Raises: UserError for texts that are longer than the network takes."""
        asked = loading.get("max_tokens")
        if asked is None:
            return self
        if not 4 <= asked <= self.longest:
            raise UserError(f"data.max_tokens={asked}: accepted is 4 to {self.longest}, which the network takes")
        return replace(self, max_tokens=asked)

    def stack(self, several: Sequence[Fields]) -> Fields:
        """Each field (t,) is filled up to the longest of them."""
        return {
            name: pad_sequence(
                [fields[name] for fields in several],
                batch_first=True,
                padding_value=self.padding if name == "tokens" else 0,
            )
            for name in several[0]
        }

    def positions(self, inputs: Inputs) -> list[int]:
        encoded = self.encoder.encode_batch([inputs[place] for place in range(len(inputs))])
        return [len(one.ids) for one in encoded]

    def remarks(self, parts: Mapping[str, Inputs]) -> tuple[str, ...]:
        """How many texts are cut."""
        lines = []
        for split, inputs in parts.items():
            cut = sum(bool(one.overflowing) for one in self.encoder.encode_batch(list(all_of(inputs))))
            limit = f"longer than data.max_tokens={self.max_tokens} tokens; the rest is cut off"
            lines += [f"{cut:,} of {len(inputs):,} texts of {split} are {limit}"] if cut else []
        return tuple(lines)

    @classmethod
    def equals(cls, inputs: Inputs) -> list[tuple[Hashable, ...]]:
        """Texts that differ in white space or case alone are equal to a reader."""
        return [tuple(" ".join(part.split()).casefold() for part in pair(one)) for one in all_of(inputs)]

    def stored(self) -> dict[str, Any]:
        own = {key: value for key, value in asdict(self).items() if key != "tokenizer"}
        return {"kind": self.kind, **own, "files": {FILE: self.tokenizer}}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "TextPreprocessing":
        own = dict(stored)
        tokenizer = own.pop("files")[FILE]
        numbers = {key: int(own[key]) for key in ("padding", "longest", "max_tokens")}
        return cls(tokenizer=str(tokenizer), **numbers)


class TextTransform(Transform):
    """A text to {"tokens": int64 (t,), "mask": bool (t,), "segments": int64 (t,), 1 for a pair's second}."""

    def __init__(self, own: TextPreprocessing) -> None:
        self.own = own

    def then(self, first: Text) -> Fields:
        if any(is_halved(part) for part in pair(first)):
            raise UserError("the text holds half of a character (a lone surrogate), which no tokenizer takes")
        found = self.own.encoder.encode(*pair(first))
        tokens = torch.tensor(found.ids, dtype=torch.int64)
        if not len(tokens):
            raise UserError("the text has no token")
        return {
            "tokens": tokens,
            "mask": torch.ones(len(tokens), dtype=torch.bool),
            "segments": torch.tensor(found.type_ids, dtype=torch.int64),
        }


def is_halved(text: str) -> bool:
    """Whether it holds one of two codes of UTF-16 that are a character only together, as JSON can write it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def is_text(one: Any) -> bool:
    return isinstance(one, str) or (
        isinstance(one, tuple) and len(one) == 2 and all(isinstance(part, str) for part in one)
    )


def pair(one: Text) -> tuple[str, ...]:
    return (one,) if isinstance(one, str) else tuple(one)


def all_of(inputs: Inputs) -> Iterator[Text]:
    return (inputs[place] for place in range(len(inputs)))


def beginning(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN else f"{flat[:SHOWN]} ..."
