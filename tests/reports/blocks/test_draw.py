"""Each kind of block as an element of the page."""

import re
from dataclasses import dataclass

import pytest
from markupsafe import Markup

from ftlab.blocks import (
    Axes,
    Bars,
    Beside,
    Block,
    Chart,
    Column,
    Confusion,
    Gallery,
    Heading,
    Histogram,
    Line,
    Note,
    Points,
    Rule,
    Sample,
    Table,
)
from ftlab.errors import UserError
from ftlab.reports.blocks.charts import _panel
from ftlab.reports.blocks.draw import html, told
from ftlab.reports.svg import canvas, style

EVIL = "<script>alert('&')</script>"
CHART = Chart([Axes([Points([1.0], [2.0], EVIL)], EVIL, EVIL, EVIL, [EVIL])], EVIL + '"', EVIL)
KINDS: list[Block] = [
    Heading(EVIL),
    Note(EVIL),
    Table([EVIL, Column(EVIL, width=99)], [[EVIL, EVIL]]),
    Beside([[Note(EVIL)], [Heading(EVIL)]]),
    CHART,
    Confusion([[1, 0], [0, 2]], [EVIL, "b"], EVIL),
    Gallery([Sample(EVIL, EVIL, EVIL, EVIL, cells={EVIL: EVIL})]),
]


def test_every_kind_of_block_is_drawn_with_its_text_escaped() -> None:
    assert {type(block) for block in KINDS} == set(Block.__subclasses__()) - {Sky}
    for block in KINDS:
        drawn = html(block)
        assert isinstance(drawn, Markup)
        assert "<script" not in drawn
        assert "&lt;" in drawn, block
        assert 'aria-label="<' not in drawn


def test_a_table_writes_numbers_by_their_size_and_text_within_its_width() -> None:
    columns = ["name", Column("where", left=True, width=9), "loss", "count"]
    drawn = html(Table(columns, [("a", "abcdefghijklm", 0.123456, 1234567), ("b", "c", None, 0)]))
    cells = re.findall(r"<t[dh]([^>]*)>([^<]*)</t[dh]>", drawn)
    left = ' class="left"'
    assert cells == [
        ("", "name"), (left, "where"), ("", "loss"), ("", "count"),
        ("", "a"), (left, "abcd…jklm"), ("", "0.1235"), ("", "1234567"),
        ("", "b"), (left, "c"), ("", "-"), ("", "0"),
    ]  # fmt: skip


def test_a_row_with_a_cell_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        html(Table(["a", "b"], [("x",)]))


def test_figures_of_tables_that_stand_side_by_side_are_told_too() -> None:
    inner = Table(["a"], [], shows=["mae/x"])
    assert list(told([Table(["b"], [], shows=["f1/y"]), Beside([[Note("")], [inner]])])) == ["f1/y", "mae/x"]


def test_a_chart_has_its_marks_and_a_legend_of_those_with_a_label() -> None:
    marks = [Bars([1, 2, 3], "height"), Line([0, 1, 2], [3, 2, 1], "fall", dots=True), Rule(0.5), Rule(1, upright=True)]
    panels = [
        Axes(marks, "both", places=["one", "two", "three"]),
        Axes([Histogram([0, 1, 2], [5, 6]), Line([0, 2], [0, 6], thin=True)], x="metres", y="samples"),
        *[Axes([Points([0.0], [0.0])])] * 2,
    ]
    drawn = html(Chart(panels, "A chart"))
    for words in ("both", "one", "two", "three", "height", "fall", "metres", "samples"):
        assert f">{words}</text>" in drawn, words
    assert "figcaption" not in drawn
    height = re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', drawn)
    assert height is not None
    assert float(height[1]) == 2 * 3 * 72  # four panels take two rows of three inches
    one = html(Chart(panels[:1], "One"))
    assert not re.search(r"#0[1-5]0[1-5]0[1-5]", drawn + one)


@pytest.mark.parametrize("width", [4.0, 9.6])
def test_a_legend_covers_no_bar(width: float) -> None:
    with style():
        figure = canvas(width, 3.0)
        panels = figure.subplots(1, 1 if width < 9 else 3, squeeze=False).flatten()
        _panel(panels[-1], Axes([Bars([3, 3, 3], "height"), Line([0, 1, 2], [3, 2, 1], "fall")], places=["abcd"] * 3))
        figure.draw_without_rendering()
        bottom = panels[-1].get_legend().get_window_extent().y0
        assert all(bar.get_window_extent().y1 < bottom for bar in panels[-1].patches)
        assert max(panels[-1].get_yticks()) <= 3.2  # the room of the legend is no part of the scale


@dataclass(frozen=True)
class Sky(Block):
    colour: str


def test_what_nothing_draws_is_refused_by_name_and_a_renderer_of_ones_own_is_found_by_the_class() -> None:
    with pytest.raises(UserError, match=r"a str cannot be drawn; accepted: Beside, Chart, Confusion, .*Table"):
        html("<b>text</b>")
    with pytest.raises(UserError, match=r"a Note is no mark; accepted: Bars, Histogram, Line, Points, Rule"):
        html(Chart([Axes([Note("x")])], "x"))  # type: ignore[list-item]
    with pytest.raises(UserError, match="a Sky cannot be drawn"):
        html(Sky("blue"))
    html.register(Sky, lambda block: Markup("<hr title={}>").format(block.colour))
    assert html(Sky("blue")) == "<hr title=blue>"


def test_the_figures_of_a_column_have_the_same_number_of_digits() -> None:
    drawn = html(Table(["target", "mae", "count"], [["angle", 12.5, 3], ["width", 0.00004, 12], ["depth", None, 1]]))
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", drawn)
    assert cells == ["angle", "12.500000", "3", "width", "0.000040", "12", "depth", "-", "1"]
