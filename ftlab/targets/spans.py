"""Answers that are spans of characters in a context, and questions that it leaves without one.

Shapes: n samples, b batch, t positions of all windows of a sample, w windows of a sample.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ftlab.errors import UserError
from ftlab.frames import Where
from ftlab.inputs.texts.offsets import Offsets
from ftlab.inputs.texts.windows import begins, ends
from ftlab.problems import Problem, problem
from ftlab.targets.base import Target
from ftlab.targets.ragged import Parts, Ragged

NOWHERE = -1  # where the answer begins of a question that has none
BLANK = {"ends": torch.zeros(0, 2, dtype=torch.int64), "holds": torch.zeros(0, dtype=torch.bool)}
SHOWN = 80  # characters of an answer


@dataclass(frozen=True)
class Answer:
    """What a context answers; the first of `texts` is the one that is learned, each of them is right."""

    context: str
    start: int  # the character at which it begins, or NOWHERE
    texts: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """The character behind it."""
        return self.start + len(self.texts[0])


class Answers:
    """Those of a split."""

    def __init__(self, several: Sequence[Answer]) -> None:
        self.several = list(several)

    def __len__(self) -> int:
        return len(self.several)

    def __getitem__(self, place: int) -> Answer:
        return self.several[place]

    def select(self, places: Tensor) -> "Answers":
        return Answers([self.several[place] for place in places.tolist()])


@dataclass(frozen=True)
class Spans(Target):
    """Columns are Answers. Of the network's input an answer is a first and a last position in each window that holds
    the whole of it, and twice the first position of any other."""

    kind: ClassVar[str] = "spans"
    plural: ClassVar[str] = "answers"
    task: ClassVar[str] = "question_answering"
    given: ClassVar[str] = "give questions with their contexts by data=squad or data=question_csv"
    follows: ClassVar[bool] = True
    where: ClassVar[type[Where]] = Offsets

    questions: int = 0  # of train
    without: int = 0  # those of them that have no answer

    # --- the targets of a split

    def faults(self, column: Answers) -> dict[int, str]:
        return {place: said for place in range(len(column)) if (said := self._fault(column[place]))}

    def _fault(self, one: Answer) -> str:
        if one.start == NOWHERE:
            return f"'{one.texts[0]}' without a place; accepted: none where there is no place" if one.texts else ""
        if one.texts and one.texts[0] and one.context[one.start : one.end] == one.texts[0]:
            return ""
        return f"'{self.shown(one)}', which is not at character {one.start} of its context; accepted: what stands there"

    def fitted(self, train: Answers) -> Self:
        without = sum(one.start == NOWHERE for one in train.several)
        if without == len(train):
            raise UserError("no question of train has an answer; there is nothing to learn")
        return replace(self, questions=len(train), without=without)

    def problems(self, parts: Mapping[str, Answers]) -> list[Problem]:
        found = []
        for split, column in parts.items():
            bare = [f"{split} {place}" for place, one in enumerate(column.several) if one.start == NOWHERE]
            found += problem(f"questions of {split} have no answer in their context", "note", bare)
        return found

    def strata(self, column: Answers) -> Tensor:
        """Whether there is an answer."""
        return torch.tensor([int(one.start != NOWHERE) for one in column.several], dtype=torch.int64)

    # --- one target

    def shown(self, one: Answer | Parts) -> str:
        """Of the network's input, of which the text is not known, the positions."""
        if not isinstance(one, Answer):
            there = one["ends"][one["holds"]].tolist()
            return "position " + " to ".join(map(str, dict.fromkeys(there[0]))) if there else "in no window"
        return beginning(one.texts[0]) if one.texts else "no answer"

    def same(self, one: Answer, other: Answer) -> bool:
        return one.texts == other.texts

    def written(self, column: Answers) -> Iterator[str]:
        return (f"{one.start} {one.texts!r}" for one in column.several)

    def collated(self, several: Sequence[Parts]) -> Ragged:
        return Ragged.of(several, BLANK)

    def gathered(self, column: Answers, places: Tensor) -> list[Answer]:
        """As they are, for whoever reads texts."""
        return column.select(places).several

    def joined(self, several: Sequence[Answers]) -> Answers:
        return Answers([one for column in several for one in column.several])

    def follow(self, one: Answer, frame: Offsets) -> Parts:
        """Of each window ends (w, 2), positions of the first and the last token, and holds (w,), whether it has the
        whole answer."""
        return dict(zip(BLANK, of_windows(one, frame), strict=True))

    def sides(self, one: Answer, frame: Offsets) -> Tensor:
        """0 for an answer that no window holds as a whole."""
        seen = of_windows(one, frame)[1].any()
        return torch.zeros(0) if one.start == NOWHERE else torch.tensor([torch.inf if seen else 0.0])

    # --- the bundle

    def stored(self) -> dict[str, Any]:
        return {"questions": self.questions, "without": self.without}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        return cls(int(stored["questions"]), int(stored["without"]))


def of_windows(one: Answer, frame: Offsets) -> tuple[Tensor, Tensor]:
    """(w, 2) as Spans.follow, and (w,) whether each window holds the whole answer."""
    mask, place = frame.mask, torch.arange(len(frame.places))
    firsts = begins(mask[None])[0].nonzero().flatten()
    lasts = ends(mask[None])[0].nonzero().flatten()
    found, holds = torch.stack([firsts, firsts], 1), torch.zeros(len(firsts), dtype=torch.bool)
    if one.start == NOWHERE:
        return found, holds
    begin, end = frame.places.unbind(-1)
    for window, (first, last) in enumerate(zip(firsts.tolist(), lasts.tolist(), strict=True)):
        own = frame.in_context & (place >= first) & (place <= last)
        touched = place[own & (end > one.start) & (begin < one.end)]
        if len(touched) and begin[own].min() <= one.start and end[own].max() >= one.end:
            found[window], holds[window] = torch.stack([touched[0], touched[-1]]), True
    return found, holds


def beginning(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN else f"{flat[:SHOWN]} ..."
