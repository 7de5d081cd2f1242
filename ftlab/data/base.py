"""What every data source gives: samples by split, what they hold, and batches.

Shapes: n samples, b batch, c channels, h height, w width, k classes or named numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ftlab.errors import UserError
from ftlab.inputs.base import InputPreprocessing, Inputs
from ftlab.problems import Fault, Problem


@dataclass(frozen=True)
class DataSpec:
    """What a data source holds, known before a network is built."""

    name: str
    classes: tuple[str, ...]  # in the order of the outputs; one mapping for all splits
    sizes: Mapping[str, int]  # samples of each split
    counts: tuple[int, ...] = ()  # training samples of each class
    warnings: tuple[str, ...] = ()  # what a person should know, each with its count
    skipped: tuple[Fault, ...] = ()  # samples that were left out since they cannot be used
    targets: tuple[str, ...] = ()  # names of the numbers to predict; classes are empty then
    means: tuple[float, ...] = ()  # of each of these over the training samples
    stds: tuple[float, ...] = ()  # standard deviations of the same, of all samples (no n - 1)


@dataclass(frozen=True)
class Drawn:
    """Where the samples of a split come from that a seed chose, so that another choice can take its place."""

    whole: "Samples"  # of all splits that were drawn together
    places: Tensor  # (n,) of the split's samples in it
    shares: tuple[float, float, float]  # of train, val and test
    groups: tuple[int, ...] = ()  # of each sample of `whole`: those of one group stay together; (): each is its own


@dataclass
class Samples:
    """One split: inputs that are loaded on access, their targets and names."""

    inputs: Inputs
    targets: Tensor  # (n,) int64 classes, or (n, k) float32 labels or numbers
    names: Sequence[str] = field(default_factory=list)  # file path, or "digits/17"
    drawn: Drawn | None = None  # None: the data itself says what is in this split

    def __len__(self) -> int:
        return len(self.targets)

    def name(self, index: int) -> str:
        return self.names[index] if len(self.names) else f"sample {index}"


@dataclass
class Splits:
    """All splits of a data source, under one class mapping that the train split decides, or with targets that are
    numbers."""

    train: Samples
    val: Samples | None
    test: Samples | None
    classes: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()  # what reading found, of samples that are there
    faults: tuple[Fault, ...] = ()  # samples that cannot be used and are in no split
    targets: tuple[str, ...] = ()  # names of the numbers, one a column of the samples' targets; classes are empty then
    kind: str = "image"  # what an input is: image | table | sequence
    fit: Callable[[Inputs], InputPreprocessing] | None = None  # to training inputs; None: a backbone's own

    def parts(self) -> dict[str, Samples]:
        """The splits that are there, by name."""
        named = {"train": self.train, "val": self.val, "test": self.test}
        return {name: samples for name, samples in named.items() if samples is not None}

    def inputs(self) -> dict[str, Inputs]:
        """The raw inputs of each split that is there."""
        return {name: samples.inputs for name, samples in self.parts().items()}

    def renumbered(self, classes: tuple[str, ...]) -> "Splits":
        """The same samples with targets in the order of `classes`, which must hold all of the own ones."""
        places = torch.tensor([classes.index(c) for c in self.classes])

        def move(targets: Tensor) -> Tensor:
            if targets.ndim == 1:
                return places[targets]
            wider = targets.new_zeros(len(targets), len(classes))
            wider[:, places] = targets
            return wider

        return replace(self._with_targets(move), classes=classes)

    def reordered(self, targets: tuple[str, ...]) -> "Splits":
        """The same samples with the columns of the numbers `targets` in that order; all of them must be there."""
        places = [self.targets.index(name) for name in targets]
        return replace(self._with_targets(lambda values: values[:, places]), targets=targets)

    def _with_targets(self, move: Callable[[Tensor], Tensor]) -> "Splits":
        train, val, test = (
            None if samples is None else replace(samples, targets=move(samples.targets))
            for samples in (self.train, self.val, self.test)
        )
        assert train is not None
        return replace(self, train=train, val=val, test=test)


class Source(ABC):
    """Reads samples; a data option is a subclass in a file of its own."""

    @abstractmethod
    def survey(self, seed: int) -> Splits:
        """All splits; where the source has none of its own, split by `seed`, stratified over classes.

        A row that cannot be used is left out and told in `faults`.
        Raises: UserError for what is wrong as a whole.
        """

    def read(self, seed: int) -> Splits:
        """As `survey`, but a row that cannot be used is an error.

        Raises: UserError, naming file and row, what is accepted and what to do.
        """
        splits = self.survey(seed)
        if splits.faults:
            raise UserError(splits.faults[0].reason)
        return splits
