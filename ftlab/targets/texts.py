"""Texts that are to be written, each with one right form or several.

Shapes: n samples, b batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from torch import Tensor

from ftlab.errors import UserError
from ftlab.inputs.texts.preprocessing import is_halved
from ftlab.problems import Problem, problem
from ftlab.targets.base import Target

SHOWN = 120  # characters of a text
References = tuple[str, ...]  # of one sample; each is right, and a figure takes the one that is nearest


class Written:
    """Those of a split."""

    def __init__(self, several: Sequence[References]) -> None:
        self.several = list(several)

    def __len__(self) -> int:
        return len(self.several)

    def __getitem__(self, place: int) -> References:
        return self.several[place]

    def select(self, places: Tensor) -> "Written":
        return Written([self.several[place] for place in places.tolist()])


@dataclass(frozen=True)
class Texts(Target):
    """Columns are Written. A batch has a list of References; which tokens they are, the network's decoder says."""

    kind: ClassVar[str] = "texts"
    plural: ClassVar[str] = "texts to write"
    task: ClassVar[str] = "translation"
    given: ClassVar[str] = "give pairs of texts by data=text_pairs, or images with captions by data=captions"

    samples: int = 0  # of train
    references: int = 0  # of train, in all
    # All of train, of which a decoder without a vocabulary makes its own; a bundle keeps that instead.
    corpus: tuple[str, ...] = field(default=(), repr=False, compare=False)

    # --- the targets of a split

    def faults(self, column: Written) -> dict[int, str]:
        return {place: said for place, one in enumerate(column.several) if (said := _fault(one))}

    def fitted(self, train: Written) -> Self:
        corpus = tuple(text for one in train.several for text in one)
        if len(set(corpus)) < 2:
            raise UserError(f"all texts to write of train are '{beginning(corpus[0])}'; there is nothing to learn")
        return replace(self, samples=len(train), references=len(corpus), corpus=corpus)

    def problems(self, parts: Mapping[str, Written]) -> list[Problem]:
        found = []
        for split, column in parts.items():
            several = [f"{split} {place}" for place, one in enumerate(column.several) if len(one) > 1]
            advice = "training draws one of them each time, figures take the nearest"
            found += problem(f"samples of {split} have several texts", "note", several, advice)
        return found

    # --- one target

    def shown(self, one: References) -> str:
        return beginning(one[0])

    def same(self, one: References, other: References) -> bool:
        """A text may have many translations."""
        return True

    def written(self, column: Written) -> Iterator[str]:
        return (repr(one) for one in column.several)

    def collated(self, several: Sequence[References]) -> list[References]:
        return list(several)

    def joined(self, several: Sequence[Written]) -> Written:
        return Written([one for column in several for one in column.several])

    # --- the bundle

    def stored(self) -> dict[str, Any]:
        return {"samples": self.samples, "references": self.references}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        return cls(int(stored["samples"]), int(stored["references"]))


def _fault(one: References) -> str:
    if not one:
        return "of no text; accepted: one or more"
    if not all(text.strip() for text in one):
        return "'', which is empty; accepted: a text"
    return "with half of a character (a lone surrogate); accepted: a text" if any(map(is_halved, one)) else ""


def beginning(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN else f"{flat[:SHOWN]} ..."
