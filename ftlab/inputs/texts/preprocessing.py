"""How a text, or a pair of texts, becomes a network's input: ids of tokens.

Shapes: t tokens.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch.nn.utils.rnn import pad_sequence

from ftlab.batch import Fields
from ftlab.errors import UserError
from ftlab.frames import Size
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import FramedTransform, InputPreprocessing, Inputs, MaskingTransform, Transform, Unread
from ftlab.inputs.texts.masking import masked
from ftlab.inputs.texts.offsets import Offsets
from ftlab.inputs.texts.windows import joined

Text = str | tuple[str, str]  # one, or a pair such as a question and its context
SHOWN = 300  # characters of a text in the report
FILE = "tokenizer.json"  # of a bundle
SHORTEST = 16  # tokens of a window, special ones among them
FIRST = 3  # of a window one part of so many is at most the first text of a pair, which each window repeats


@dataclass(frozen=True)
class TextPreprocessing(InputPreprocessing):
    """Of the network's own tokenizer, in the format of the library tokenizers."""

    kind: ClassVar[str] = "text"
    plural: ClassVar[str] = "texts"
    one_size: ClassVar[bool] = False
    words: ClassVar[bool] = True
    loading: ClassVar[tuple[str, ...]] = ("max_tokens", "stride")

    tokenizer: str  # the whole of tokenizer.json
    padding: int  # id of tokens that only fill a batch
    longest: int  # tokens that the network takes at most
    max_tokens: int  # tokens of a text, or of both of a pair; what comes after them is cut off, or in further windows
    stride: int | None = None  # tokens that a window shares with the one before it; None: there is one, the rest is cut

    @cached_property
    def encoder(self) -> Any:
        """Of single texts, and of pairs that are cut."""
        return self._made("longest_first")

    @cached_property
    def of_pairs(self) -> Any:
        """Each window of a pair has the whole of the first text."""
        return self.encoder if self.stride is None else self._made("only_second")

    def _made(self, strategy: str) -> Any:
        from tokenizers import Tokenizer

        made = Tokenizer.from_str(self.tokenizer)
        made.no_padding()
        made.enable_truncation(self.max_tokens, stride=self.stride or 0, strategy=strategy)
        return made

    @cached_property
    def gap(self) -> int | None:  # type: ignore[override]  # found where it is asked for
        """The token that stands for a hidden one, [MASK] of bert and <mask> of roberta."""
        added = json.loads(self.tokenizer).get("added_tokens", ())
        return next((int(one["id"]) for one in added if one["content"].strip("[]<>|").lower() == "mask"), None)

    def word(self, token: int) -> str:
        """A token as a person reads it."""
        return str(self.encoder.decode([token], skip_special_tokens=False)).strip()

    def encoded(self, several: Sequence[Text]) -> Iterator[list[Any]]:
        """The windows of each text as the tokenizers library has them, one where the rest is cut off."""
        if any(is_halved(part) for one in several for part in pair(one)):
            raise UserError("the text holds half of a character (a lone surrogate), which no tokenizer takes")
        texts = [self._shortened(pair(one)) for one in several]
        found: dict[int, Any] = {}
        for count, encoder in ((1, self.encoder), (2, self.of_pairs)):
            places = [place for place, one in enumerate(texts) if len(one) == count]
            these = encoder.encode_batch([texts[place] if count > 1 else texts[place][0] for place in places])
            found |= zip(places, these, strict=True)
        more = self.stride is not None
        return ([found[place], *(found[place].overflowing if more else ())] for place in range(len(texts)))

    def _shortened(self, several: tuple[str, ...]) -> tuple[str, ...]:
        """A pair whose first text leaves room for its second in each window."""
        if self.stride is None or len(several) < 2:
            return several
        kept = self.max_tokens // FIRST
        found = self.encoder.encode(several[0], add_special_tokens=False)
        return (several[0][: found.offsets[kept - 1][1]], several[1]) if len(found.ids) > kept else several

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

    def opened(self, given: Any) -> Any:
        """A pair is a list of two texts, or a question and its context by name."""
        if isinstance(given, Mapping) and given.keys() == {"question", "context"}:
            return given["question"], given["context"]
        return tuple(given) if isinstance(given, list) else given

    def form(self) -> dict[str, Any]:
        return {"kind": "text"}

    def listed(self, inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
        from ftlab.inputs.texts.listed import listed

        return listed(inputs)

    def asked(self, raw: Text, question: str) -> Text:
        if not isinstance(raw, str):
            raise UserError("has a question of its own; leave question= out")
        return question, raw

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
        if asked is not None and not 4 <= asked <= self.longest:
            raise UserError(f"data.max_tokens={asked}: accepted is 4 to {self.longest}, which the network takes")
        most, stride = asked or self.max_tokens, loading.get("stride")
        if stride is not None and not (most >= SHORTEST and stride <= most // 2):
            raise UserError(
                f"data.stride={stride}: windows of data.max_tokens={most} tokens share 0 to {most // 2} of them, and "
                f"have {SHORTEST} or more"
            )
        return replace(self, max_tokens=most, stride=stride)

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

    def frame(self, inputs: Inputs, index: int) -> Offsets | None:
        raw = inputs[index]
        return None if isinstance(raw, str) else TextTransform(self).framed(raw, (0, 0))[1]

    def positions(self, inputs: Inputs) -> list[int]:
        return [
            sum(len(one.ids) for one in windows) + len(windows) - 1 for windows in self.encoded(list(all_of(inputs)))
        ]

    def remarks(self, parts: Mapping[str, Inputs]) -> tuple[str, ...]:
        """How many texts are cut, or are several windows."""
        lines = []
        for split, inputs in parts.items():
            texts = list(all_of(inputs))
            windows = [len(found) - 1 + bool(found[0].overflowing) for found in self.encoded(texts)]
            long, of = sum(map(bool, windows)), f"of {len(texts):,} texts of {split} are"
            rest = "the rest is cut off" if self.stride is None else f"they are {sum(windows):,} windows"
            limit = f"longer than data.max_tokens={self.max_tokens} tokens; {rest}"
            lines += [f"{long:,} {of} {limit}"] if long else []
            shortened = sum(self._shortened(pair(one)) != pair(one) for one in texts)
            few = f"the first of a pair longer than {self.max_tokens // FIRST} tokens; the rest of it is cut off"
            lines += [f"{shortened:,} {of} {few}"] if shortened else []
        return tuple(lines)

    def stored(self) -> dict[str, Any]:
        own = {key: value for key, value in asdict(self).items() if key != "tokenizer"}
        return {"kind": self.kind, **own, "files": {FILE: self.tokenizer}}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "TextPreprocessing":
        own = dict(stored)
        tokenizer = own.pop("files")[FILE]
        numbers = {key: int(own[key]) for key in ("padding", "longest", "max_tokens")}
        stride = own.get("stride")  # the first bundles of texts have none
        return cls(tokenizer=str(tokenizer), stride=None if stride is None else int(stride), **numbers)


class TextTransform(FramedTransform, MaskingTransform):
    """A text to {"tokens": int64 (t,), "mask": bool (t,), "segments": int64 (t,), 1 for a pair's second}; t positions
    of all its windows, which the mask parts (see ftlab.inputs.texts.windows)."""

    def __init__(self, own: TextPreprocessing) -> None:
        self.own = own

    def then(self, first: Text) -> Fields:
        return self.fields(next(self.own.encoded([first])))

    def masked(self, first: Text, share: float) -> tuple[Fields, torch.Tensor]:
        """Special tokens, such as those that begin and end a text, are never hidden."""
        gap = self.own.gap
        if gap is None:
            raise UserError("the network's tokenizer has no mask token; it was not trained to fill masks")
        if self.own.stride is not None:
            raise UserError("data.stride: task=masked_language reads the beginning of each text only; leave it null")
        (found,) = next(self.own.encoded([first]))
        fields, free = self.fields([found]), torch.tensor(found.special_tokens_mask) == 0
        tokens, targets = masked(fields["tokens"], free, gap, self.own.encoder.get_vocab_size(), share)
        return {**fields, "tokens": tokens}, targets

    def fields(self, windows: Sequence[Any]) -> Fields:
        ids = [torch.tensor(one.ids, dtype=torch.int64) for one in windows]
        if not len(ids[0]):
            raise UserError("the text has no token")
        segments = [torch.tensor(one.type_ids, dtype=torch.int64) for one in windows]
        masks = [torch.ones(len(one), dtype=torch.bool) for one in ids]
        return {
            "tokens": joined(ids, self.own.padding),
            "mask": joined(masks, False),
            "segments": joined(segments, 0),
        }

    def extent(self, raw: Text) -> Size:
        return 0, 0  # a text has no height and width

    def framed(self, first: Text, extent: Size) -> tuple[Fields, Offsets]:
        """Raises: UserError for a single text: what follows lies in the second of a pair."""
        if isinstance(first, str):
            raise UserError("a question and its context are needed, and there is one text")
        windows = next(self.own.encoded([first]))
        return self.fields(windows), Offsets.of(windows, first[1])


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
