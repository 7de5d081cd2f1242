"""What a kind of target must do: one object knows all that is to be known of what is to come out.

A kind is a frozen dataclass in a file that nobody lists: ftlab/targets/KIND.py, or a trusted module of the user's own.

Shapes: n samples, b batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor

from ftlab.errors import UserError
from ftlab.frames import Frame, Where
from ftlab.inputs.augment import Augment
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


class Target(ABC):
    """Refuses whatever it does not say that it follows."""

    kind: ClassVar[str]  # the name of its file; a bundle keeps a class of the user's own by its full name
    plural: ClassVar[str]  # what a person calls them
    task: ClassVar[str]  # the option of task= that is meant for them
    given: ClassVar[str] = ""  # how data gives them, for a person who has others
    at_random: ClassVar[str] = ""  # what is said of a split by chance; "": nothing, since chance is meant
    follows: ClassVar[bool] = False  # whether a target lies at places in its input, and goes where these go
    where: ClassVar[type[Where]] = Frame  # of what class the `frame` is by which it follows
    classes: tuple[str, ...] = ()  # by name, where there are any
    counts: tuple[int, ...] = ()  # training samples of each class

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
