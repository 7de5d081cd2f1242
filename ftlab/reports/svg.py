"""One look for all figures of the page: matplotlib draws them as SVG, the page's own style sheet colours them.

Ink, rules and frozen cells are drawn in placeholder colours that become CSS variables, and strengths are drawn as
transparency, so that one figure serves the light page, the dark page and paper.
"""

import html
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # matplotlib takes 0.3 s to import; a run needs it only when it ends
    from matplotlib.figure import Figure

INK, MUTED, LINE, FROZEN, ACCENT = "#010101", "#020202", "#030303", "#040404", "#050505"
VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", FROZEN: "--frozen", ACCENT: "--accent"}
SERIES = ("#3b7dd8", "#e0803a", "#3a9d78", "#9a6dd0", "#cf5570", "#8a8f98")  # readable on white and on near-black
WIDTH = 9.6  # inches: the width of the page's column at 96 pixels an inch
NARROW = 4.0  # the same on a telephone
SMALLEST = 0.85  # of its own width, to which a figure shrinks before it scrolls: text of 9 points stays above 10 pixels

STYLE: Any = {
    "svg.hashsalt": "ftlab",  # ids do not change from one run to the next
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "text.parse_math": False,  # a class may be called $x$
    "font.size": 9,
    "axes.titlesize": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def at_both_widths(draw: Callable[[float], str]) -> str:
    """What `draw` makes for a column of so many inches, for the page and for a telephone; the style sheet shows one."""
    wide, narrow = draw(WIDTH), draw(NARROW)
    return f'<div class="at-wide">{wide}</div>\n<div class="at-narrow">{narrow}</div>'


@contextmanager
def style() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # The browser draws the text; that matplotlib's own font lacks a script only makes its measure rough.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def canvas(width: float, height: float, fill: bool = True) -> "Figure":
    """An empty figure, in inches; `fill`: its axes shrink to make room for their labels, otherwise the figure grows."""
    from matplotlib.figure import Figure

    # Not pyplot: no global state, no display.
    return Figure(figsize=(width, height), layout="constrained" if fill else None)


def svg(figure: "Figure", label: str) -> str:
    """The figure as an element to put into a page, in a box in which it scrolls where it would be too small to read.

    No date, no prolog, no ids but those that are referred to.
    """
    import matplotlib

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    grows = figure.get_layout_engine() is None  # to measure what a figure needs is to draw it once more
    tight: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.03} if grows else {}
    # An id is looked for in the whole page, and what it names draws nothing where it is in a figure that is not shown.
    with matplotlib.rc_context({"svg.hashsalt": f"{STYLE['svg.hashsalt']} {figure.get_figwidth()}"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing, **tight)
    text = buffer.getvalue()
    least = SMALLEST * float(re.findall(r'<svg[^>]* width="([\d.]+)pt"', text)[0])
    begins = f'<svg role="img" aria-label="{html.escape(label)}" style="min-width: {least:.0f}pt"'
    text = text[text.index("<svg") :].replace("<svg", begins, 1)
    text = re.sub(r' id="[\w.]+_\d+"', "", text)  # figure_1, axes_1, ...: the same in every figure of the page
    text = re.sub(
        r" font-family: [^;\"]*;|(?<=\") ?transform=\"rotate\(-0 [^\"]*\"", "", text
    )  # the page's font; no turn
    text = re.sub("|".join(VARIABLES), lambda found: f"var({VARIABLES[found[0]]})", text)
    return f'<div class="box">{text.rstrip()}</div>'
