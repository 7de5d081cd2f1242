"""What a kind of target must do: one object knows all that is to be known of what is to come out.

A kind is a frozen dataclass in a file that nobody lists: ftlab/targets/KIND.py, or a trusted module of the user's own.

Shapes: n samples, b batch.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor

from ftlab.batch import Fields
from ftlab.errors import UserError
from ftlab.frames import Frame, Size, Where, Window
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import Transform
from ftlab.problems import Problem


class Rows(Protocol):
    """The targets of a split where they are no tensor."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> Any: ...

    def select(self, places: Tensor, /) -> "Rows": ...


Column = Any  # a Tensor (n, ...), or Rows


def selected(column: Column, places: Tensor) -> Column:
    """The targets at `places` (m,) int64, in that order."""
    return column[places] if isinstance(column, Tensor) else column.select(places)


@dataclass(frozen=True)
class Tiles:
    """Windows of raw inputs."""

    of: Tensor  # (n,) int64: which raw input each is of
    windows: Sequence[Window]  # (n,)
    sizes: Sequence[Size]  # of the raw input of each (n,)

    def frames(self) -> list[Frame]:
        """Where each brings the places of its raw input."""
        return [window.frame(size) for window, size in zip(self.windows, self.sizes, strict=True)]

    def owned(self) -> list[Window]:
        """Of each the part that is no other's: between two neighbours half of what they share is of each, as seen in
        the pixels of its raw input."""
        lines = defaultdict(set)  # of each raw input and axis, where windows begin and end
        for number, window in zip(self.of.tolist(), self.windows, strict=True):
            lines[number, 0].add((window.top, window.top + window.height))
            lines[number, 1].add((window.left, window.left + window.width))
        found = []
        for number, window in zip(self.of.tolist(), self.windows, strict=True):
            top, bottom = _own(window.top, sorted(lines[number, 0]))
            left, right = _own(window.left, sorted(lines[number, 1]))
            found.append(Window(top, left, bottom - top, right - left))
        return found


def _own(start: int, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Of the span that begins at `start`, from the middle of what it shares with the one before to that with the one
    behind."""
    place = [first for first, _ in spans].index(start)
    first, last = spans[place]
    low = (first + spans[place - 1][1]) // 2 if place else first
    high = (spans[place + 1][0] + last) // 2 if place + 1 < len(spans) else last
    return low, high


class Target(ABC):
    """Refuses whatever it does not say that it follows."""

    kind: ClassVar[str]  # the name of its file; a bundle keeps a class of the user's own by its full name
    plural: ClassVar[str]  # what a person calls them
    task: ClassVar[str]  # the option of task= that is meant for them
    given: ClassVar[str] = ""  # how data gives them, for a person who has others
    at_random: ClassVar[str] = ""  # what is said of a split by chance; "": nothing, since chance is meant
    mosaics: ClassVar[bool] = False  # whether those of several inputs can be `together`
    follows: ClassVar[bool] = False  # whether a target lies at places in its input, and goes where these go
    hides: ClassVar[bool] = False  # whether a target is what of its input is hidden, drawn anew in each epoch
    where: ClassVar[type[Where]] = Frame  # of what class the `frame` is by which it follows
    classes: tuple[str, ...] = ()  # by name, where there are any
    counts: tuple[int, ...] = ()  # training samples of each class
    corpus: tuple[str, ...] = ()  # all texts of train, of a kind that is texts to write

    # --- the targets of a split

    def misshapen(self, column: Column) -> str | None:
        """Why a column as a whole cannot be of this kind; None where it can."""
        return None

    @abstractmethod
    def faults(self, column: Column) -> dict[int, str]:
        """The samples whose target cannot be used, each with what it is and what is accepted."""

    def fitted(self, train: Column) -> Self:
        """The same kind with what it learns from the training samples.

        Raises: UserError where there is nothing to learn; its text follows "data=NAME: ".
        """
        return self

    def problems(self, parts: Mapping[str, Column]) -> list[Problem]:
        """What a person should know of the targets of all splits."""
        return []

    def strata(self, column: Column) -> Tensor | None:
        """(n,) int64: samples of one number are shared out evenly over the splits; None: by chance."""
        return None

    # --- one target

    @abstractmethod
    def shown(self, one: Any) -> str:
        """As a person reads it."""

    @abstractmethod
    def same(self, one: Any, other: Any) -> bool:
        """Whether equal inputs with these targets do not contradict each other."""

    def written(self, column: Column) -> Iterator[str]:
        """A text for each target that tells it from others, by names, since another class gives others new numbers."""
        return (self.shown(column[place]) for place in range(len(column)))

    def collated(self, several: Sequence[Any]) -> Any:
        """The targets of a batch: a tensor (b, ...), or what has `each` and `select` as Batch has."""
        return torch.stack(tuple(several))

    def joined(self, several: Sequence[Column]) -> Column:
        """The targets of several splits as one column. Raises: UserError for targets that cannot be joined."""
        if all(isinstance(column, Tensor) for column in several):
            return torch.cat(list(several))
        raise UserError(f"{self.plural} of several splits cannot be put together; choose one of them by split=")

    def gathered(self, column: Column, places: Tensor) -> Any:
        """`collated` of the samples at `places` (b,) int64."""
        if isinstance(column, Tensor) and type(self).collated is Target.collated:
            return column[places]  # the same, at once
        return self.collated([column[place] for place in places.tolist()])

    # --- images that are varied

    def refuses(self, augment: Augment) -> str | None:
        """Why samples with such targets cannot be varied so; None where they can."""
        if not self.follows and (augment.random or augment.mixup or augment.cutmix):
            return f"augment: {self.plural} do not follow an image that is varied; use augment=none"
        for name in ("mixup", "cutmix", "randaugment"):
            if value := getattr(augment, name):
                return f"augment.{name}={value}: {self.plural} cannot follow it; use augment.{name}=0"
        return None

    def follow(self, one: Any, frame: Any) -> Any:
        """A target in pixels of its raw input as one in pixels of the network's; called where the kind `follows`, in
        evaluation too. `one` stays as it is.
        """
        raise NotImplementedError(f"{type(self).__name__} says that it follows, and not how")

    def together(self, several: Sequence[Any], windows: Sequence[Window], size: Size) -> Any:
        """The target of an input of this height and width, each window of which shows what one of `several` is of, in
        pixels of the window."""
        raise NotImplementedError(f"{type(self).__name__} says that it can be put together, and not how")

    def cut(self, column: Column, tiles: "Tiles", owned: bool) -> Column:
        """The targets of tiles of the raw inputs, each in pixels of its tile.

        owned: each pixel counts in one tile only, where the kind is one of pixels; else in every tile that shows it.
        Raises: UserError for a kind whose inputs cannot be cut.
        """
        raise UserError(f"data.tile: {self.plural} are of whole inputs, which cannot be cut into tiles")

    def hidden(self, transform: Transform, first: Any) -> tuple[Fields, Any]:
        """The fields of an input of which something is hidden, and that as its target; called where the kind `hides`.

        Draws from torch's generator. Raises: UserError for inputs of which nothing can be hidden.
        """
        raise NotImplementedError(f"{type(self).__name__} says that it hides, and not what")

    def sides(self, one: Any, frame: Any) -> Tensor:
        """(m,) the shorter side of each of its m objects in pixels of the network's input; 0 of what is left out there,
        nothing where a target has no objects."""
        return torch.zeros(0)

    @property
    def one_hot(self) -> int | None:
        """How many classes targets (b,) are spread over before they are mixed; None: they are mixed as they are."""
        return None

    # --- later data, and the bundle

    def moved(self, column: Column, other: Self) -> Column:
        """Targets of this object as those of `other`, a bundle's of the same kind.

        Raises: UserError for what the other lacks; its text follows "data: ".
        """
        return column

    @abstractmethod
    def stored(self) -> dict[str, Any]:
        """Plain values for bundle.json, without the kind."""

    @classmethod
    @abstractmethod
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        """What `stored` gave. Raises: KeyError, TypeError, ValueError for what nothing can have stored."""

    def described(self) -> dict[str, Any]:
        """Its part of report.json under "data"."""
        return {"classes": list(self.classes), "targets": []}
