"""What every data source gives: samples by split, what they hold, and batches.

Shapes: n samples, b batch, c channels, h height, w width, k classes or named numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from ftlab.data.augment import Augment
from ftlab.data.problems import Fault, Problem
from ftlab.errors import UserError

Fields = dict[str, Tensor]  # what one raw input, or a stack of them, puts into a Batch, by the name of the field


@dataclass
class Batch:
    """What one step sees. Fields of modalities that a data source does not have stay None."""

    targets: Tensor  # (b,) int64 classes, (b, k) float32 labels, mixed classes or numbers
    index: Tensor  # (b,) int64, place of each sample in its split
    images: Tensor | None = None  # (b, c, h, w) float32, normalised
    tokens: Tensor | None = None  # (b, t) int64
    series: Tensor | None = None  # (b, t, c) float32
    mask: Tensor | None = None  # (b, t) bool, True where there is a step, False where one only fills the batch
    vectors: Tensor | None = None  # (b, d) float32
    categories: Tensor | None = None  # (b, m) int64, of m columns, each with its own numbering
    border: tuple[Tensor, ...] | None = None  # values at the freeze border (b, ...), in place of the inputs

    def __len__(self) -> int:
        return len(self.targets)

    def each(self, move: Callable[[Tensor], Tensor]) -> "Batch":
        """The same batch with `move` done to every tensor."""

        def moved(part: Any) -> Any:
            return tuple(map(move, part)) if isinstance(part, tuple) else part if part is None else move(part)

        return Batch(**{f.name: moved(getattr(self, f.name)) for f in fields(self)})

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory; a DataLoader pins only what it knows or what has this method."""
        return self.each(Tensor.pin_memory)


class Transform(ABC):
    """One raw input to its fields of a Batch, without the batch's dimension, in two steps.

    Draws from torch's generator only, and in the second step only.
    """

    random: bool = False  # False: always the same result, no need to seed

    def first(self, raw: Any) -> Any:
        """What comes out the same each time, so that it may be kept; where there is no such step, the raw input."""
        return raw

    @abstractmethod
    def then(self, first: Any) -> Fields:
        """The rest; it leaves what it is given as it was."""

    def __call__(self, raw: Any) -> Fields:
        return self.then(self.first(raw))


@dataclass(frozen=True)
class Unread:
    """One of the inputs of `ftlab predict`, which is read on demand."""

    name: Mapping[str, Any]  # with what its line begins: {"file": ...}, or {"file": ..., "row": ...}
    read: Callable[[], Any]  # gives the raw input; raises UserError where it is broken


class InputPreprocessing(ABC):
    """How a raw input becomes the network's; it travels in the bundle. A modality is a subclass, and a dataclass."""

    kind: ClassVar[str]  # of the raw inputs, as in Splits.kind
    plural: ClassVar[str]  # what a person calls them
    one_size: ClassVar[bool] = True  # whether all have as many positions, so that a head can take each by itself

    @abstractmethod
    def transform(self, augment: Augment | None = None) -> Transform:
        """As in evaluation, or varied at random as `augment` says.

        Raises: UserError for an augmentation that raw inputs of this kind do not have.
        """

    @abstractmethod
    def each(self, given: Any) -> Iterator[Any]:
        """The raw inputs that Python gave, one or many. Raises: UserError, saying what is accepted."""

    @abstractmethod
    def listed(self, inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
        """What `input=` of `ftlab predict` names, in order, and warnings. Raises: UserError if it names nothing."""

    @abstractmethod
    def shown(self, raw: Any) -> dict[str, Any]:
        """A raw input for the report: {"image": a small Pillow image} or {"cells": {column: text}}."""

    @abstractmethod
    def builds(self) -> dict[str, Any]:
        """What a backbone must be told to take such inputs: keywords of its constructor."""

    def first_shapes(self, inputs: "Inputs") -> Iterator[tuple[int, ...] | None]:
        """Shape of what the first step of a transform makes of each input, uint8, found without loading it.

        None where that is not known; nothing at all where the first step costs too little to keep what it gives.
        """
        return iter(())

    def first_key(self) -> tuple[Any, ...]:
        """All that the first step depends on, besides the raw input."""
        return ()

    def suited(self, fresh: "InputPreprocessing") -> "InputPreprocessing":
        """This one, of an earlier run, for the data of `fresh`: where things lie there is taken over."""
        return self

    def remarks(self, splits: "Splits") -> tuple[str, ...]:
        """What a person should know of these splits. Raises: UserError where they do not fit."""
        return ()

    def stored(self) -> dict[str, Any]:
        """What bundle.json holds; preprocessing.restored reads it."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]  # every subclass is a dataclass


@dataclass(frozen=True)
class Preprocessing(InputPreprocessing):
    """Of images. What acts on pixels is in pictures.py, imported when it is needed: it imports this file."""

    kind: ClassVar[str] = "image"
    plural: ClassVar[str] = "images"

    size: tuple[int, int]  # height, width in pixels
    mean: tuple[float, ...]  # of each channel, pixels scaled to 0..1
    std: tuple[float, ...]
    interpolation: str = "bicubic"  # nearest | bilinear | bicubic
    crop_pct: float = 1.0  # the image is resized to size / crop_pct, then its centre is cut out

    def transform(self, augment: Augment | None = None) -> Transform:
        from ftlab.data.pictures import PictureTransform

        return PictureTransform(self, augment)

    def each(self, given: Any) -> Iterator[Any]:
        from ftlab.data.pictures import each

        return each(given)

    def listed(self, inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
        from ftlab.data.pictures import listed

        return listed(inputs)

    def shown(self, raw: Any) -> dict[str, Any]:
        from ftlab.data.pictures import thumbnail

        return {"image": thumbnail(raw)}

    def builds(self) -> dict[str, Any]:
        return {"image_size": list(self.size)}

    def first_shapes(self, inputs: "Inputs") -> Iterator[tuple[int, ...] | None]:
        from ftlab.data.pictures import first_shapes

        return first_shapes(self, inputs)

    def first_key(self) -> tuple[Any, ...]:
        from ftlab.data.pictures import VERSIONS

        return (self.size, self.crop_pct, self.interpolation, *VERSIONS)


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


class Inputs(Protocol):
    """Raw inputs, loaded on access: PIL images (RGB) or uint8 tensors (c, h, w), or the rows of a table."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@dataclass
class Samples:
    """One split: inputs that are loaded on access, their targets and names."""

    inputs: Inputs
    targets: Tensor  # (n,) int64 classes, or (n, k) float32 labels or numbers
    names: Sequence[str] = field(default_factory=list)  # file path, or "digits/17"

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
