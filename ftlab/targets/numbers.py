"""One number a sample, or several, each with a name.

Shapes: n samples, k numbers.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ftlab.errors import UserError, choices
from ftlab.inputs.augment import Augment
from ftlab.targets.base import Target
from ftlab.targets.counted import names_of


@dataclass(frozen=True)
class Numbers(Target):
    """Columns are (n, k) float32, in the user's own units."""

    kind: ClassVar[str] = "numbers"
    plural: ClassVar[str] = "numbers"
    task: ClassVar[str] = "regression"
    given: ClassVar[str] = "name them by data.target_columns=[NAME]"

    names: tuple[str, ...]  # in the order of the columns
    means: tuple[float, ...] = ()  # of each over the training samples
    stds: tuple[float, ...] = ()  # standard deviations of the same, of all samples (no n - 1)

    def misshapen(self, column: Tensor) -> str | None:
        wanted = (len(column), len(self.names))
        if column.shape == wanted:
            return None
        return f"targets have the shape {tuple(column.shape)}; accepted: {wanted}."

    def faults(self, column: Tensor) -> dict[int, str]:
        wrong = torch.where(~column.isfinite().all(dim=1))[0].tolist()
        return {place: f"{self.shown(column[place])}; accepted: finite numbers" for place in wrong}

    def fitted(self, train: Tensor) -> Self:
        exact = train.double()
        for name, column in zip(self.names, exact.unbind(dim=1), strict=True):
            if column.min() == column.max():
                what = f"the target '{name}' is {column[0]:g} in all {len(column)} training samples"
                raise UserError(f"{what}; there is nothing to learn: leave it out.")
        means, stds = exact.mean(dim=0), exact.std(dim=0, correction=0)
        return replace(self, means=tuple(means.tolist()), stds=tuple(stds.tolist()))

    def shown(self, one: Tensor) -> str:
        return " ".join(f"{value:g}" for value in one.tolist())

    def written(self, column: Tensor) -> Iterator[str]:
        order = sorted(enumerate(self.names), key=lambda number: number[1])
        return (repr([(name, row[at]) for at, name in order]) for row in column.tolist())

    def same(self, one: Tensor, other: Tensor) -> bool:
        return bool((one == other).all())

    def refuses(self, augment: Augment) -> str | None:
        """Whether a varied image has its numbers still, only a person knows: an angle has not."""
        return None

    def moved(self, column: Tensor, other: Self) -> Tensor:
        missing = [name for name in other.names if name not in self.names]
        if missing:
            raise UserError(f"lacks the target '{missing[0]}' of the bundle; {choices(missing[0], self.names)}")
        return column[:, [self.names.index(name) for name in other.names]]

    def stored(self) -> dict[str, Any]:
        return {"names": list(self.names), "means": list(self.means), "stds": list(self.stds)}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        names, means, stds = names_of(stored["names"]), tuple(stored["means"]), tuple(stored["stds"])
        if not len(names) == len(means) == len(stds) or not all(0 < std < math.inf for std in stds):
            raise ValueError(f"targets: {len(names)} names with the means {means} and the standard deviations {stds}")
        return cls(names, means, stds)

    def described(self) -> dict[str, Any]:
        return {"classes": [], "targets": list(self.names)}
