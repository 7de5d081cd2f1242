"""What every data source gives: samples by split, what they hold, and batches.

Shapes: n samples, b batch, c channels, h height, w width, k classes or named numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from ftlab.errors import UserError
from ftlab.inputs.base import InputPreprocessing, Inputs
from ftlab.problems import Fault, Problem
from ftlab.targets.base import Column, Target, Tiles


@dataclass(frozen=True)
class DataSpec:
    """What a data source holds, known before a network is built."""

    name: str
    target: Target  # fitted to the training samples
    sizes: Mapping[str, int]  # samples of each split
    warnings: tuple[str, ...] = ()  # what a person should know, each with its count
    skipped: tuple[Fault, ...] = ()  # samples that were left out since they cannot be used


@dataclass(frozen=True)
class Drawn:
    """Where the samples of a split come from that a seed chose, so that another choice can take its place."""

    whole: "Samples"  # of all splits that were drawn together
    places: Tensor  # (n,) of the split's samples in it
    shares: tuple[float, float, float]  # of train, val and test
    groups: tuple[int, ...] = ()  # of each sample of `whole`: those of one group stay together; (): each is its own


@dataclass(frozen=True)
class Tiled:
    """What the samples of a split were cut out of."""

    tiles: Tiles
    targets: Column  # of the whole inputs


@dataclass
class Samples:
    """One split: inputs that are loaded on access, their targets and names."""

    inputs: Inputs
    targets: Column  # of the kind that Splits.target says
    names: Sequence[str] = field(default_factory=list)  # file path, or "digits/17"
    groups: Tensor | None = None  # (n,) int64: samples of one number belong together, and into one split
    stretches: Tensor | None = None  # (n,) int64: of windows that overlap, those of one number share most steps
    drawn: Drawn | None = None  # None: the data itself says what is in this split
    tiled: "Tiled | None" = None  # where the samples are tiles of larger inputs

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def together(self) -> tuple[Tensor | None, str]:
        """(n,) the number of what each sample is drawn with where figures are resampled (None: alone), and the plural
        of what is drawn."""
        if self.groups is not None:
            return self.groups, "groups"
        return (None, "samples") if self.stretches is None else (self.stretches, "stretches of overlapping windows")

    def name(self, index: int) -> str:
        return self.names[index] if len(self.names) else f"sample {index}"


@dataclass
class Splits:
    """All splits of a data source, under one kind of target whose names the train split decides."""

    train: Samples
    val: Samples | None
    test: Samples | None
    target: Target  # what the samples' targets are; not yet fitted
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()  # what reading found, of samples that are there
    faults: tuple[Fault, ...] = ()  # samples that cannot be used and are in no split
    kind: str = "image"  # what an input is: InputPreprocessing.kind
    fit: Callable[[Inputs], InputPreprocessing] | None = None  # to training inputs; None: a backbone's own
    measured: str | None = None  # the only split of data from which nothing is learned; `train` holds its samples

    def parts(self) -> dict[str, Samples]:
        """The splits that are there, by name."""
        named = {"train": self.train, "val": self.val, "test": self.test}
        if self.measured:
            return {self.measured: self.train}
        return {name: samples for name, samples in named.items() if samples is not None}

    def having(self, parts: Mapping[str, Samples]) -> "Splits":
        """The same with these samples in the splits that are there."""
        if self.measured:
            return replace(self, train=parts[self.measured])
        return replace(self, train=parts["train"], val=parts.get("val"), test=parts.get("test"))

    def inputs(self) -> dict[str, Inputs]:
        """The raw inputs of each split that is there."""
        return {name: samples.inputs for name, samples in self.parts().items()}

    def targets(self) -> dict[str, Column]:
        """The targets of each split that is there."""
        return {name: samples.targets for name, samples in self.parts().items()}

    def suited(self, target: Target) -> "Splits":
        """The same samples with their targets as those of `target`, a bundle's.

        Raises: UserError for a class that the bundle does not know, or a target that the data lacks.
        """
        if type(self.target) is not type(target):
            ours, theirs = self.target.plural, target.plural
            raise UserError(f"data: its targets are {ours}, the bundle predicts {theirs}; give data of the same kind")
        try:
            moved = {split: self.target.moved(column, target) for split, column in self.targets().items()}
        except UserError as error:
            raise UserError(f"data: {error}") from error
        parts = {split: replace(samples, targets=moved[split]) for split, samples in self.parts().items()}
        return replace(self.having(parts), target=target)


class Source(ABC):
    """Reads samples; a data option is a subclass in a file of its own."""

    # False: the samples are measured only, so `train` may be empty, and nothing is asked of it or of its targets that
    # only learning needs. A source that does not look at this asks more than it must.
    learned: bool = True
    # Target.kind that the task takes: a source that can give several gives this one. "": nobody asked.
    target_kind: str = ""

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
