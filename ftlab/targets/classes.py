"""One class a sample.

Shapes: n samples, k classes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ftlab.errors import UserError
from ftlab.inputs.augment import Augment
from ftlab.problems import Problem
from ftlab.targets.base import Target
from ftlab.targets.counted import as_places, counts_of, imbalance, known, missing_classes, names_of, rare


@dataclass(frozen=True)
class Classes(Target):
    """Columns are (n,) int64, from 0 to k - 1, one mapping for all splits."""

    kind: ClassVar[str] = "classes"
    plural: ClassVar[str] = "classes"
    task: ClassVar[str] = "classification"

    classes: tuple[str, ...]  # in the order of the outputs
    counts: tuple[int, ...] = ()  # training samples of each

    def misshapen(self, column: Tensor) -> str | None:
        if len(self.classes) < 2:
            return f"{len(self.classes)} class; at least 2 are needed to tell apart."
        return None if column.ndim == 1 else f"targets have the shape {tuple(column.shape)}; accepted: (n,)."

    def faults(self, column: Tensor) -> dict[int, str]:
        wrong = torch.where((column < 0) | (column >= len(self.classes)))[0].tolist()
        return {place: f"{column[place].tolist()}; accepted: 0 to {len(self.classes) - 1}" for place in wrong}

    def fitted(self, train: Tensor) -> Self:
        return replace(self, counts=self.count(train))

    def count(self, column: Tensor) -> tuple[int, ...]:
        """Samples of each class; targets out of range count nowhere."""
        good = column[(column >= 0) & (column < len(self.classes))]
        return tuple(torch.bincount(good, minlength=len(self.classes)).tolist())

    def problems(self, parts: Mapping[str, Tensor]) -> list[Problem]:
        counts = {split: self.count(column) for split, column in parts.items()}
        few = [*missing_classes(counts, self.classes), *rare(counts, self.classes)]
        return [*few, *imbalance(counts["train"], self.classes)]

    def strata(self, column: Tensor) -> Tensor:
        return column

    def shown(self, one: Tensor) -> str:
        return self.classes[int(one)] if 0 <= int(one) < len(self.classes) else str(int(one))

    def written(self, column: Tensor) -> Iterator[str]:
        known = dict(enumerate(self.classes))
        return (known.get(place, repr(place)) for place in column.tolist())

    def same(self, one: Tensor, other: Tensor) -> bool:
        return bool(one == other)

    def refuses(self, augment: Augment) -> str | None:
        """A varied image is of its class still."""
        return None

    @property
    def one_hot(self) -> int:
        return len(self.classes)

    def moved(self, column: Tensor, other: Self) -> Tensor:
        try:
            return as_places(known(self.classes, other.classes))[column]
        except ValueError as error:
            raise UserError(str(error)) from None

    def stored(self) -> dict[str, Any]:
        return {"classes": list(self.classes), "counts": list(self.counts)}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        classes = names_of(stored["classes"])
        return cls(classes, counts_of(stored.get("counts"), len(classes)))
