"""Any number of labels a sample.

Shapes: n samples, k labels.
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
from ftlab.targets.counted import counts_of, imbalance, known, missing_classes, names_of, rare


@dataclass(frozen=True)
class Labels(Target):
    """Columns are (n, k) float32, 1 where a sample has the label; values between are how surely it has it."""

    kind: ClassVar[str] = "labels"
    plural: ClassVar[str] = "labels"
    task: ClassVar[str] = "multilabel"
    given: ClassVar[str] = "set data.multilabel=true"
    at_random: ClassVar[str] = "multilabel targets"

    classes: tuple[str, ...]  # in the order of the outputs
    counts: tuple[int, ...] = ()  # training samples that have each

    def misshapen(self, column: Tensor) -> str | None:
        if column.ndim == 2 and column.shape[1] == len(self.classes):
            return None
        if column.ndim == 2:
            return f"targets have {column.shape[1]} columns for {len(self.classes)} classes."
        return f"targets have the shape {tuple(column.shape)}; accepted: (n, {len(self.classes)})."

    def faults(self, column: Tensor) -> dict[int, str]:
        wrong = torch.where(~((column >= 0) & (column <= 1)).all(dim=1))[0].tolist()  # NaN is neither
        return {place: f"{column[place].tolist()}; accepted: values from 0 to 1" for place in wrong}

    def fitted(self, train: Tensor) -> Self:
        return replace(self, counts=self.count(train))

    def count(self, column: Tensor) -> tuple[int, ...]:
        """Samples that have each label."""
        return tuple((column > 0.5).sum(dim=0).tolist())

    def problems(self, parts: Mapping[str, Tensor]) -> list[Problem]:
        counts = {split: self.count(column) for split, column in parts.items()}
        few = [*missing_classes(counts, self.classes), *rare(counts, self.classes)]
        return [*few, *imbalance(counts["train"], self.classes)]

    def shown(self, one: Tensor) -> str:
        return " ".join(c for c, has in zip(self.classes, one.tolist(), strict=True) if has > 0.5) or "no label"

    def written(self, column: Tensor) -> Iterator[str]:
        order = sorted(enumerate(self.classes), key=lambda label: label[1])
        return (repr([(name, row[at]) for at, name in order if row[at]]) for row in column.tolist())

    def same(self, one: Tensor, other: Tensor) -> bool:
        return bool((one == other).all())

    def refuses(self, augment: Augment) -> str | None:
        """A varied image has its labels still."""
        return None

    def moved(self, column: Tensor, other: Self) -> Tensor:
        try:
            places = known(self.classes, other.classes)
        except ValueError as error:
            raise UserError(str(error)) from None
        wider = column.new_zeros(len(column), len(other.classes))
        wider[:, places] = column
        return wider

    def stored(self) -> dict[str, Any]:
        return {"classes": list(self.classes), "counts": list(self.counts)}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        classes = names_of(stored["classes"])
        return cls(classes, counts_of(stored.get("counts"), len(classes)))
