"""What a report is made of: blocks of plain data, which a task gives and the page draws, each by its class.

A number stands for itself: the page writes it with as many digits as it says something.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Cell = str | int | float | None  # None: nothing defines it
COUNTS_AT_MOST = 20  # classes of a Confusion whose counts are written into its cells


class Block:
    """One piece of a page; its subclasses are all that there is to draw."""


@dataclass(frozen=True)
class Heading(Block):
    text: str
    level: Literal[2, 3] = 3  # 2: of a section of the page's own


@dataclass(frozen=True)
class Note(Block):
    """A sentence or several."""

    text: str


@dataclass(frozen=True)
class Column:
    """How a Table writes what stands below one of its names."""

    name: str
    left: bool = False  # for text; the first column always stands left
    width: int = 40  # characters of a text before its middle gives way
    wraps: bool = False


@dataclass(frozen=True)
class Table(Block):
    columns: Sequence[Column | str]
    rows: Sequence[Sequence[Cell]]
    scrolls: bool = False  # within the page, where there are many rows
    shows: Sequence[str] = ()  # figures that it tells, and that the page's table of all figures leaves out


@dataclass(frozen=True)
class Beside(Block):
    """Parts side by side, as far as there is room."""

    parts: Sequence[Sequence[Block]]


@dataclass(frozen=True)
class Line:
    """Points of a curve, joined; NaN leaves a gap."""

    x: Sequence[float]
    y: Sequence[float]
    label: str = ""
    dots: bool = False  # on each point
    thin: bool = False  # what others are held against: in the colour of the text


@dataclass(frozen=True)
class Points:
    x: Sequence[float]
    y: Sequence[float]
    label: str = ""


@dataclass(frozen=True)
class Bars:
    """One bar each at the places 0, 1, ..., which Axes.places names."""

    heights: Sequence[float]
    label: str = ""


@dataclass(frozen=True)
class Histogram:
    """Counts between edges, one more than counts."""

    edges: Sequence[float]
    counts: Sequence[float]


@dataclass(frozen=True)
class Rule:
    """A thin line through all of the axes."""

    at: float
    upright: bool = False


@dataclass(frozen=True)
class Axes:
    """One panel of a Chart; what comes later is drawn above what comes before."""

    marks: Sequence[Line | Points | Bars | Histogram | Rule]
    title: str = ""
    x: str = ""  # what is along it, with its unit
    y: str = ""
    places: Sequence[str] = ()  # names of 0, 1, ... along x


@dataclass(frozen=True)
class Chart(Block):
    """Panels side by side."""

    axes: Sequence[Axes]
    label: str  # what it shows, for those who do not see it
    caption: str = ""


@dataclass(frozen=True)
class Confusion(Block):
    """Counts of k classes by k: rows are the truth, columns the prediction."""

    matrix: Sequence[Sequence[int]]
    classes: Sequence[str]
    caption: str = ""


@dataclass(frozen=True)
class Sample:
    """One of a Gallery, with its picture or its cells."""

    name: str
    prediction: str = ""
    truth: str = ""
    note: str = ""
    image: Any = None  # Pillow image
    side: int = 112  # pixels of the longer side that the image is shown with
    cells: Mapping[str, str] | None = None  # by column
    # A text in pieces, each with what it is of: an answer that was found, the true one, both, or none.
    passage: Sequence[tuple[str, Literal["", "found", "true", "both"]]] = ()


@dataclass(frozen=True)
class Gallery(Block):
    samples: Sequence[Sample]
