"""The page of a regression: each target with its figures and pictures, in the units of the data."""

import re
from typing import Any

import pytest
import torch

from ftlab.blocks import Chart
from ftlab.reports.blocks.charts import chart_figure
from ftlab.reports.page import render
from ftlab.tasks.residuals import residuals
from ftlab.tasks.sections import DRAWN_AT_MOST, blocks_of
from tests.reports.test_page import Page

NAMES = ("angle", "<b>width</b>")


def drawn(report: dict[str, Any]) -> str:
    return render(report, blocks_of(report))


def picture_of(one: dict[str, Any]) -> str:
    """The first picture of a page whose only target is `one`."""
    page = {"residuals": {"split": "val", "targets": [one]}, "metrics": {"val": {}}}
    (chart,) = (block for block in blocks_of(page) if isinstance(block, Chart))
    return chart_figure(chart)


def target(name: str, seed: int = 0, n: int = 60) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(n, generator=generator) * 90
    return {"target": name, **residuals(torch.stack([truth + torch.randn(n, generator=generator), truth], dim=1))}


def regression(report: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The small report as a regression would leave it."""
    del report["confusion"]
    report["data"] |= {"classes": [], "targets": list(names)}
    report["task"], report["objective"]["name"] = "regression", "r2"
    each = {f"mae/{name}": 12.5 + place for place, name in enumerate(names)} if len(names) > 1 else {}
    report["metrics"] = {split: {"loss": 0.25, "r2": 0.875, "mae": 13.0, **each} for split in ("val", "test")}
    report["residuals"] = {"split": "test", "targets": [target(name, i) for i, name in enumerate(names)]}
    return report


def test_each_target_has_its_figures_and_its_picture(report: dict[str, Any]) -> None:
    text = drawn(regression(report, NAMES))
    page = Page(text)
    assert page.tags.count("svg") == 3 + 2  # plan, curves, rates; one a target
    table = page.words[page.words.index("Each target, test") :]
    cells = [word for word in table if word]
    assert cells[1:11] == [
        "target",
        "r2",
        "mae",
        "angle",
        "-",
        "12.5000",
        "<b>width</b>",
        "-",
        "13.5000",
        "angle, test",
    ]
    assert "mae/angle" not in page.words  # the table of all splits holds the means
    assert "<b>width" not in text  # names are text
    assert "with the targets angle, " in " ".join(text.split())


def test_one_target_needs_no_table_of_its_own(report: dict[str, Any]) -> None:
    page = Page(drawn(regression(report, ("angle",))))
    assert page.tags.count("svg") == 3 + 1
    assert "Each target, test" not in page.words
    assert "0.8750" in page.words


def test_of_very_many_targets_the_first_are_drawn_and_that_is_said(report: dict[str, Any]) -> None:
    page = Page(drawn(regression(report, tuple(f"t{i}" for i in range(DRAWN_AT_MOST + 2)))))
    assert page.tags.count("svg") == 3 + DRAWN_AT_MOST
    assert any(f"Only the first {DRAWN_AT_MOST} targets are drawn" in word for word in page.words)


def test_a_picture_has_a_point_for_each_sample_and_the_ranges_of_the_truth() -> None:
    one = target("angle")
    picture = picture_of(one)
    for words in ("predicted against true", "errors", "error by true value"):
        assert f">{words}<" in picture
    assert picture.count("<use ") >= 60
    for part in one["ranges"]:
        assert f"{part['low']:.3g} … {part['high']:.3g}" in picture
    assert not re.search("#0[1-5]0[1-5]0[1-5]", picture)
    assert len(picture_of(target("many", n=5000))) < 150_000


@pytest.mark.parametrize("values", [[], [[1.0, 1.0]], [[2.0, 1.0]] * 3])
def test_a_picture_of_next_to_nothing_is_drawn(values: list[list[float]]) -> None:
    assert "<svg" in picture_of({"target": "x", **residuals(torch.tensor(values).reshape(-1, 2))})
