"""What a kind of input must do: how a raw one becomes a network's, and what is kept of that in the bundle.

Shapes: n samples.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from ftlab.batch import Fields
from ftlab.errors import UserError
from ftlab.frames import Frame, Size, Where, Window
from ftlab.inputs.augment import Augment
from ftlab.inputs.sent import Most, longest_text
from ftlab.kinds import name_of

Cutter = Callable[[Size], list[Window] | None]  # the windows of an input of this height and width; None: none is cut
SHOWN = 12  # numbers or texts of many, in a cell of the report
DEVIATIONS = "numbers are standard deviations from the mean of train"  # of those that are standardised


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
class Cell:
    """A part of a network's input that is put together of several."""

    window: Window  # in the result
    frame: Frame  # from the network's input that is shown there to the pixels of the window


class FramedTransform(Transform):
    """One that can tell where the places of a raw input went, so that targets can follow."""

    mosaic: float = 0.0  # share of inputs that are put together of several

    def cells(self) -> list[Cell]:
        """Drawn at random; the first is for the input itself, the others for any."""
        raise NotImplementedError(f"{type(self).__name__} says that it puts inputs together, and not how")

    def together(self, several: Sequence[Fields], cells: Sequence[Cell]) -> Fields:
        """The fields of an input of which each cell shows one of `several`."""
        raise NotImplementedError(f"{type(self).__name__} says that it puts inputs together, and not how")

    @abstractmethod
    def extent(self, raw: Any) -> Size:
        """Height and width of a raw input."""

    @abstractmethod
    def framed(self, first: Any, extent: Size) -> tuple[Fields, Any]:
        """`then` with the same draws, and where the places of the raw input went: a frames.Where.

        Raises: UserError for a variation that cannot tell it.
        """


def framed(transform: Transform, plural: str) -> FramedTransform:
    """The transform, for targets called `plural`. Raises: UserError where it cannot tell what they have to follow."""
    if not isinstance(transform, FramedTransform):
        raise UserError(f"{plural} lie at places in their inputs, and inputs of this kind have none")
    return transform


SEEN = -100  # as a target, in place of a part that is not asked for; what torch's losses leave out


class MaskingTransform(Transform):
    """One that can hide parts of a raw input, which then are what is to come out."""

    @abstractmethod
    def masked(self, first: Any, share: float) -> tuple[Fields, torch.Tensor]:
        """`then` with a share of the parts hidden, as torch's generator draws them, and what they were; SEEN elsewhere.

        Raises: UserError where nothing can stand in their place.
        """


def masking(transform: Transform, plural: str) -> MaskingTransform:
    """The transform, for targets called `plural`. Raises: UserError where it can hide nothing."""
    if not isinstance(transform, MaskingTransform):
        raise UserError(f"{plural} are parts of texts, and inputs of this kind have none")
    return transform


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
    pixels: ClassVar[bool] = False  # whether raw inputs are images, whose files and pixels a check looks at
    words: ClassVar[bool] = False  # whether raw inputs are texts, or pairs of texts, whose words a check looks at
    from_rows: ClassVar[bool] = False  # whether `listed` takes a second argument too, a Dialect of files of rows
    gap: int | None = None  # the number of what stands for a part that is to be found, where inputs are made of parts
    loading: ClassVar[tuple[str, ...]] = ()  # keys of a data option that `told` reads, and no source

    @abstractmethod
    def transform(self, augment: Augment | None = None) -> Transform:
        """As in evaluation, or varied at random as `augment` says.

        Raises: UserError for an augmentation that raw inputs of this kind do not have.
        """

    @abstractmethod
    def each(self, given: Any) -> Iterator[Any]:
        """The raw inputs that Python gave, one or many. Raises: UserError, saying what is accepted."""

    def received(self, given: Any, most: Most) -> Any:
        """The raw input that someone sent, whom nobody knows, as JSON or as a file's bytes; by default what Python
        takes. Raises: UserError, saying what is accepted."""
        if isinstance(given, bytes):
            raise UserError(f"{self.plural} are accepted as JSON, not as files")
        if (length := longest_text(given)) > most.characters:
            raise UserError(f"a text of {length:,} characters; at most {most.characters:,} are accepted")
        several = list(self.each([self.opened(given)]))
        if len(several) != 1:
            raise UserError(f"one input was expected, and there are {len(several)}")
        return several[0]

    def opened(self, given: Any) -> Any:
        """What JSON can say of an input as Python takes it."""
        return given

    def form(self) -> dict[str, Any]:
        """What a page asks a person for: {"kind": ...} and, by the kind, its fields; see ftlab/serving/page/page.js.

        By default a text in JSON.
        """
        return {"kind": "json"}

    @abstractmethod
    def listed(self, inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
        """What `input=` of `ftlab predict` names, in order, and warnings. Raises: UserError if it names nothing."""

    @abstractmethod
    def shown(self, raw: Any) -> dict[str, Any]:
        """A raw input for the report: {"image": a small Pillow image} or {"cells": {column: text}}."""

    def seen(self, fields: Fields) -> dict[str, Any]:
        """What a transform gave, for the report, in the form of `shown`; by default the first numbers of each field."""
        return {"cells": {name: beginning(field.flatten()[: SHOWN + 1].tolist()) for name, field in fields.items()}}

    @property
    def seen_as(self) -> str:
        """How `seen` shows what the network gets, in a few words for the report."""
        return ""

    @abstractmethod
    def builds(self) -> dict[str, Any]:
        """What a backbone must be told to take such inputs: keywords of its constructor."""

    @abstractmethod
    def blank(self) -> Fields:
        """What a transform gives of an input in which there is nothing, for widths and shapes."""

    def summary(self) -> str:
        """What an input is, as a plan says it; by default the shapes of its fields."""
        shapes = (f"{name} {tuple(field.shape)}" for name, field in self.blank().items())
        return f"{self.plural}: {', '.join(shapes)}"

    def stack(self, several: Sequence[Fields]) -> Fields:
        """The fields of several inputs as those of a batch: (...) to (b, ...)."""
        return {name: torch.stack([fields[name] for fields in several]) for name in several[0]}

    @classmethod
    def asks(cls, loading: Mapping[str, Any]) -> dict[str, Any]:
        """What a backbone is told that brings its own preprocessing, by a data option's keys `loading`: keywords of its
        constructor, each unless the backbone's option has set it."""
        return {}

    def told(self, loading: Mapping[str, Any]) -> "InputPreprocessing":
        """This one as a data option's keys `loading` want it."""
        return self

    @classmethod
    def cutter(cls, loading: Mapping[str, Any]) -> Cutter:
        """Which tiles raw inputs are cut into by a data option's keys `loading`, before there is a preprocessing."""
        return lambda extent: None

    def windows(self, extent: Size) -> list[Window] | None:
        """The tiles that a raw input of this height and width is cut into; None where none is cut."""
        return None

    def cut(self, raw: Any, window: Window) -> Any:
        """The part of a raw input that lies in a window."""
        raise NotImplementedError(f"{type(self).__name__} says that inputs have windows, and not how they are cut")

    def frame(self, inputs: "Inputs", index: int) -> Where | None:
        """Where the places of an input lie in the network's, unless it is varied, found without loading it; None where
        that is not known."""
        return None

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

    def positions(self, inputs: "Inputs") -> list[int] | None:
        """How many positions each input takes, without the network; None where all take as many, or nothing tells."""
        return None

    def remarks(self, parts: Mapping[str, "Inputs"]) -> tuple[str, ...]:
        """What a person should know of the inputs of each split. Raises: UserError where they do not fit."""
        return ()

    @classmethod
    def equals(cls, inputs: "Inputs") -> "list[tuple[Hashable, ...]] | None":
        """(n,) what equal inputs have in common, and no others; None where a check finds them, or where it is usual."""
        return None

    @classmethod
    def pieces(cls, parts: "Mapping[str, Inputs]") -> dict[str, list[np.ndarray]] | None:
        """Of each split, of each of its inputs (n,) the digests (p,) of its pieces, by which inputs that overlap are
        known; None where inputs have no pieces, or these say nothing. There is a split train."""
        return None

    def asked(self, raw: Any, question: str) -> Any:
        """A raw input with a question of a person's. Raises: UserError for one of which none can be asked."""
        raise NotImplementedError

    def unlearned(self, raw: Any) -> tuple[str, ...]:
        """What of a raw input the network has no knowledge of, since training did not hold it, each in a few words."""
        return ()

    def stored(self) -> dict[str, Any]:
        """What bundle.json holds; inputs.kinds.restored reads it. A class of the user's own has its full name."""
        return {"kind": name_of(type(self)), **asdict(self)}  # type: ignore[call-overload]  # every subclass is a dataclass

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "InputPreprocessing":
        """The fields that `stored` gave, after JSON has made lists of tuples.

        Raises: KeyError, TypeError, ValueError for what it cannot have given.
        """
        return cls(**stored)


def beginning(several: Sequence[float | str]) -> str:
    """The first of many numbers or texts, as a cell of the report."""
    texts = [one if isinstance(one, str) else f"{one:.3g}" for one in several[:SHOWN]]
    return " ".join(texts) + (" ..." if len(several) > SHOWN else "")


class Inputs(Protocol):
    """Raw inputs, loaded on access: PIL images (RGB) or uint8 tensors (c, h, w), or the rows of a table."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...
