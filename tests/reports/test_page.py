import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftlab.blocks import Gallery, Sample
from ftlab.reports.figures import curves_figure, rates_figure
from ftlab.reports.grids import plan_figure
from ftlab.reports.page import render, write_evaluation, write_page
from ftlab.tasks.sections import blocks_of


class Page(HTMLParser):
    """Tags, the text of the page as a wide screen shows it, and whatever it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        text = re.sub(r'<div class="at-narrow">.*?</svg></div></div>', "", text, flags=re.DOTALL)
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_the_page_shows_the_figures_of_the_report(report: dict[str, Any], worst: list[Sample]) -> None:
    report["objective"]["value"] = 0.91234
    report["phases"][1]["seconds"] = 77
    page = Page(render(report, [*blocks_of(report), Gallery(worst)]))
    # accuracy val and test, a phase's time, epochs, memory, a rate of the plan, counts of the confusion matrix
    for shown in ("0.9123", "0.9668", "1 min 17 s", "epoch 3-5", "412 MB", "1e-3", "118", "121"):
        assert shown in page.words, shown
    text = " ".join(page.words)
    for shown in (
        "1,149 train",
        "2 files are copies of others",
        "ftlab train data=image_folder",
        "97.0%",
        "patience: 3",
    ):
        assert shown in text, shown


def cells(page: Page, first: str) -> list[str]:
    """The words from `first` on, without the gaps between cells."""
    return [word for word in page.words[page.words.index(first) :] if word]


def test_the_page_shows_what_the_frozen_part_cost_and_saved(report: dict[str, Any]) -> None:
    words = cells(Page(render(report, blocks_of(report))), "The frozen part")
    # 2874 x 0.004 s - 1.5 s = 9.996 s; 4311 x 0.004 s = 17.244 s
    head = ["1 head", "in memory", "in memory", "3.0 MiB", "1,437", "1.5 s", "2,874", "10.0 s"]
    later = ["2 blocks.5", "in memory", "in memory", "-", "0", "-", "4,311", "17.2 s", "there since an earlier phase"]
    assert words[words.index("1 head") :][: len(head + later)] == head + later
    assert "3 all" not in words  # it freezes nothing
    text = " ".join(words)
    assert "(4 ms, 4 ms), less the cost; in all about 27.2 s." in " ".join(text.split())
    assert "Images: 1,437 kept decoded, 4.0 MiB." in text


def test_a_frozen_part_that_is_computed_at_each_step_says_why(report: dict[str, Any]) -> None:
    why = "one epoch: nothing is computed twice"
    report["phases"][0]["cache"] |= {"train": "live", "val": "live", "why": why, "bytes": 0, "computed": 0, "read": 0}
    words = cells(Page(render(report, blocks_of(report))), "The frozen part")
    row = ["1 head", "each step", "each step", "-", "0", "-", "0", "-", why]
    assert words[words.index("1 head") :][: len(row)] == row
    assert "Saved is an estimate" in " ".join(words)
    report["phases"][1]["cache"]["read"] = 0
    assert "Saved is an estimate" not in render(report, blocks_of(report))  # where nothing was read nothing was saved


def test_images_that_did_not_fit_are_counted(report: dict[str, Any]) -> None:
    report["images"]["left_out"] = 1200
    text = " ".join(Page(render(report, blocks_of(report))).words)
    assert "1,200 more did not fit into the budget and were decoded in every epoch." in text


def test_a_run_without_a_cache_has_a_page_that_is_silent_about_it(report: dict[str, Any]) -> None:
    for phase in report["phases"]:
        phase["cache"] = None
    report["images"] = {"kept": 0, "bytes": 0, "left_out": 0}
    report["automatic"] = []
    text = " ".join(Page(render(report, blocks_of(report))).words)
    assert not any(words in text for words in ("The frozen part", "kept decoded", "Chosen by itself"))


def test_choices_of_keys_that_are_auto_are_listed(report: dict[str, Any]) -> None:
    assert report["automatic"][0] in cells(Page(render(report, blocks_of(report))), "Chosen by itself")


def test_every_figure_is_there_and_gives_its_purpose(report: dict[str, Any]) -> None:
    text = render(report, blocks_of(report))
    assert Page(text).tags.count("svg") == 4
    assert len(re.findall(r'<svg role="img" aria-label="[^"]+"', text)) == 4 + 3  # the matrix is as it is everywhere
    assert "#010101" not in text  # every placeholder colour has become a variable


def test_what_may_be_wider_than_a_telephone_lies_in_a_box_that_scrolls(report: dict[str, Any], tmp_path: Path) -> None:
    text = render(report, blocks_of(report))
    assert len(re.findall(r'<div class="box( scroll)?"><(table|svg)', text)) == len(re.findall("<(table|svg)", text))
    assert text.count("<table") == 4  # phases, the frozen part, figures, classes
    evaluated = {**report, "bundle": "bundle", "split": "test", "samples": 361, "backbone": "resnet"}
    figures = {"test": report["metrics"]["test"]}
    write_evaluation({**evaluated, "metrics": figures}, [], "accuracy", tmp_path / "evaluation.html")
    measured = (tmp_path / "evaluation.html").read_text(encoding="utf8")
    assert re.findall(r"<div[^>]*><table|<table", measured) == ['<div class="box"><table']


def test_the_page_names_the_file_or_folder_that_a_person_gave(report: dict[str, Any]) -> None:
    given = {
        "houses.csv": {"root": ".", "file": "houses.csv"},
        "photos/labels.csv": {"root": "/home/me/photos", "file": "labels.csv"},
        "pets": {"root": "/home/me/pets"},
        "CIFAR10": {"root": "downloads", "dataset": "CIFAR10"},
        "photos": {"root": None},  # no place: the name of the option, which the report has
    }
    for name, data in given.items():
        page = Page(render({**report, "config": {"data": data}}, []))
        assert sum(word.endswith(f" on {name}") for word in page.words) == 1, name


def test_facts_that_are_lists_are_written_as_words(report: dict[str, Any]) -> None:
    for gpus, words in (([], "none"), (["H200", "H100"], "H200, H100")):
        page = Page(render({**report, "environment": {"gpus": gpus}}, []))
        assert [word for word in page.words[page.words.index("gpus") :] if word][1] == words


def sizes(figure: str) -> tuple[float, float, float]:
    """Width of a figure, its height, and the width to which it shrinks before it scrolls, in points."""
    (found,) = re.findall(
        r'<svg role="img"[^>]*min-width: (\d+)pt"[^>]* width="([\d.]+)pt" height="([\d.]+)pt"', figure
    )
    return float(found[1]), float(found[2]), float(found[0])


def test_a_telephone_has_figures_of_its_own_width_with_text_of_the_same_size(report: dict[str, Any]) -> None:
    text = render(report, blocks_of(report))
    pairs = re.findall(r'<div class="at-wide">(.*?</svg>)</div></div>\s*<div class="at-narrow">(.*?</svg>)', text, re.S)
    assert len(pairs) == 3
    for wide, narrow in pairs:
        assert sizes(wide)[0] == pytest.approx(9.6 * 72)
        assert sizes(narrow)[0] == pytest.approx(4.0 * 72)  # the 388 pixels that margins leave of 420
        assert sizes(narrow)[2] == pytest.approx(0.85 * 4.0 * 72, abs=0.5)
        fonts = [set(re.findall(r"font-size: ([\d.]+)px", one)) for one in (wide, narrow)]
        assert min(float(size) for size in fonts[0] | fonts[1]) >= 7.5  # points, which are 10 pixels
        ids = [set(re.findall(r' id="([^"]+)"', one)) for one in (wide, narrow)]
        assert not ids[0] & ids[1]  # what is not shown must not be what an address finds first


def test_the_panels_of_a_telephone_stand_below_each_other(report: dict[str, Any]) -> None:
    wide, narrow = (curves_figure(report, None, width) for width in (9.6, 4.0))
    assert sizes(narrow)[1] == 2 * sizes(wide)[1]
    titles = [re.findall(r'<text[^>]* x="([\d.]+)"[^>]*>(?:loss|metrics of val)</text>', one) for one in (wide, narrow)]
    left, right = map(float, titles[0])
    assert right - left > sizes(wide)[0] / 3
    assert len(set(titles[1])) == 1
    assert plan_figure(report, 4.0).count("var(--accent)") == plan_figure(report).count("var(--accent)")
    report["plan"] = [{**report["plan"][0], "phase": f"phase {place}"} for place in range(14)]
    assert sizes(plan_figure(report, 4.0))[0] > 6 * 72  # it scrolls: 14 rates have no room


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_script(report: dict[str, Any], worst: list[Sample]) -> None:
    text = render(report, [*blocks_of(report), Gallery(worst)])
    page = Page(text)
    assert len(page.loaded) > len(worst)
    assert all(
        address.startswith(("data:image/png;base64,", "data:image/jpeg;base64,", "#")) for address in page.loaded
    )
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
    assert not re.search(r"url\((?!#)", text)


def test_markup_in_names_is_text_everywhere(report: dict[str, Any], worst: list[Sample]) -> None:
    evil = "<script>alert(1)</script>"
    report["data"]["classes"][0] = evil
    report["data"]["warnings"] = [evil]
    report["phases"][0]["name"] = report["plan"][0]["phase"] = evil
    report["config"] = {evil: evil}
    worst[0] = replace(worst[0], name=f'"><{evil}', truth=evil, prediction=evil)
    text = render(report, [*blocks_of(report), Gallery(worst)])
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 6
    assert '"><&lt;' not in text
    assert 'alt="&#34;&gt;&lt;' in text


def test_names_that_matplotlib_would_typeset_or_cannot_draw_stay_as_they_are(report: dict[str, Any]) -> None:
    report["data"]["classes"] = ["$x^2$", "栗鼠", "caf\udce9"]
    page = Page(render(report, blocks_of(report)))
    for name in ("$x^2$", "栗鼠", "caf\\udce9"):
        assert page.words.count(name) == 3, name  # both sides of the matrix, and the table


def test_equal_reports_give_equal_pages(report: dict[str, Any], worst: list[Sample], tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_page(report, [*blocks_of(report), Gallery(worst)], {"accuracy": (0.0, 1.0)}, tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_hundred_classes_get_a_table_of_the_worst_confused_pairs(report: dict[str, Any]) -> None:
    matrix = np.diag([50] * 100)
    matrix[7, 9] = 31
    report["data"]["classes"] = [f"kind {place}" for place in range(100)]
    report["confusion"]["matrix"] = matrix.tolist()
    text = render(report, blocks_of(report))
    page = Page(text)
    start = page.words.index("Most frequent mistakes")
    cells = [word for word in page.words[start:] if word][5:9]
    assert cells == ["kind 7", "kind 9", "31", f"{100 * 31 / 81:.1f} %"]
    assert not re.search(r"<text[^>]*>50</text>", text)  # the matrix itself has no room for its counts


def test_long_plans_name_their_phases_by_number(
    report: dict[str, Any], deep_plan: tuple[list[dict[str, Any]], list[dict[str, Any]]]
) -> None:
    report["stages"], report["plan"] = deep_plan
    words = Page(render(report, blocks_of(report))).words
    assert {str(place) for place in range(1, 15)} <= set(words)
    assert {stage["address"] for stage in report["stages"]} <= set(words)


def test_a_run_that_was_interrupted_before_its_first_epoch_still_has_a_page(report: dict[str, Any]) -> None:
    report |= {"history": [], "phases": [], "metrics": {}, "rates": {"epoch": [], "groups": {}}, "best": None}
    report["objective"]["value"] = None
    del report["confusion"]
    page = Page(render(report, blocks_of(report)))
    assert page.tags.count("svg") == 1  # the plan
    assert page.words.count("not run") == 3 + 1  # its three phases, and the legend


def test_the_picture_shows_what_was_executed_not_what_was_planned(report: dict[str, Any]) -> None:
    planned = plan_figure(report).count("var(--accent)")
    assert planned == sum(len(phase["trainable_stages"]) for phase in report["phases"]) == 13
    report["phases"][1]["trainable_stages"] = ["head/fc"]  # blocks.5 and blocks.6 stayed frozen
    assert plan_figure(report).count("var(--accent)") == planned - 2


def test_figures_that_are_null_leave_gaps(report: dict[str, Any]) -> None:
    for record in report["history"][4:]:
        record["train"]["loss"] = record["val"]["loss"] = record["val"]["accuracy"] = None
    report["best"]["value"] = None
    assert Page(render(report, blocks_of(report))).tags.count("svg") == 4


def test_a_multilabel_run_shows_the_figures_that_it_counted_itself(report: dict[str, Any]) -> None:
    del report["confusion"]
    report["labels"] = [{"label": "sky", "precision": 0.5, "recall": None, "f1": 0.25, "support": 12345}]
    words = Page(render(report, blocks_of(report))).words
    place = words.index("sky")
    assert [word for word in words[place:] if word][:5] == ["sky", "0.5000", "-", "0.2500", "12345"]


def test_reports_import_no_network_library_and_draw_late() -> None:
    code = (
        "import sys, ftlab.reports.page, ftlab.reports.sweep, ftlab.reports.terminal\n"
        "print(sorted({'torch', 'lightning', 'timm', 'matplotlib', 'jinja2', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("phases", [1, 14])
def test_no_text_of_the_plan_lies_outside_its_picture(report: dict[str, Any], phases: int) -> None:
    report["plan"] = [{**report["plan"][0], "phase": f"phase {place}"} for place in range(phases)]
    svg = re.search(r"<svg.*?</svg>", render(report, blocks_of(report)), re.S)
    assert svg is not None
    width = float(re.findall(r'viewBox="0 0 ([\d.]+)', svg[0])[0])
    places = [float(x) for x in re.findall(r'<text[^>]* x="([-\d.]+)"', svg[0])]
    assert places
    assert 0 <= min(places) <= max(places) <= width


def test_groups_that_never_train_have_no_place_in_the_legend_of_rates(report: dict[str, Any]) -> None:
    ticks = report["rates"]["epoch"]
    report["rates"]["groups"] = {"backbone/stem": [None] * len(ticks), "head/fc": [1e-3] * len(ticks)}
    text = rates_figure(report)
    assert "head/fc" in text
    assert "backbone/stem" not in text
    report["rates"]["groups"] = {"head/fc": [None] * len(ticks)}
    assert "head/fc" not in rates_figure(report)


def curves(report: dict[str, Any], scales: dict[str, tuple[float, float]] | None) -> list[str]:
    """The names in the legend of the metrics."""
    drawn = curves_figure(report, scales)
    names = {name for record in report["history"] for name in record["val"]} - {"loss"}
    return [name for name in sorted(names) if f">{name}</text>" in drawn]


def test_figures_share_the_plot_of_the_objective_where_the_task_gives_them_its_scale(report: dict[str, Any]) -> None:
    for record in report["history"]:
        record["val"] |= {"rmse": 0.5, "percent": 40.0, "recall": 60.0}
    assert curves(report, None) == ["accuracy", "f1", "rmse"]  # by their values: of a page without its task
    shares, percents = {"accuracy": (0.0, 1.0), "f1": (0.0, 1.0)}, {"percent": (0.0, 100.0), "recall": (0.0, 100.0)}
    assert curves(report, {**shares, **percents}) == ["accuracy", "f1"]
    report["objective"]["name"] = "percent"
    assert curves(report, {**shares, **percents}) == ["percent", "recall"]
    report["objective"]["name"] = "rmse"
    assert curves(report, {**shares, **percents}) == ["rmse"]  # it has none
    report["history"][0]["val"]["f1"] = -0.1
    report["objective"]["name"] = "accuracy"
    assert curves(report, shares) == ["accuracy"]


def test_the_ring_of_the_best_epoch_is_on_the_curve_of_what_was_monitored_or_nowhere(report: dict[str, Any]) -> None:
    def ringed() -> bool:
        return "stroke-width: 1.2" in curves_figure(report)

    assert ringed()
    report["best"] |= {"monitor": "accuracy", "value": 0.97}
    assert ringed()
    report["best"] |= {"monitor": "mae", "value": 12345.0}  # it would make the axis of the others useless
    assert not ringed()


def test_epochs_count_from_1_on_the_page(report: dict[str, Any]) -> None:
    report["history"], report["phases"] = report["history"][:2], report["phases"][:1]
    report["best"] = {"epoch": 1, "phase": "head", "monitor": "loss", "value": 0.63}
    drawn = curves_figure(report)
    ticks = [str(number) for number in range(4) if f">{number}</text>" in drawn]
    assert ticks == ["1", "2"]
    points = re.findall(r'<use[^>]* x="([\d.]+)" y="([\d.]+)"', drawn)
    assert max(map(points.count, points)) == 2  # the ring lies on a point of the curve
    assert "The bundle holds epoch 2 (phase 1, head): val loss 0.6300." in " ".join(Page(render(report, [])).words)


def test_a_run_that_went_on_says_whose_times_it_shows_and_which_rates_are_not_known(report: dict[str, Any]) -> None:
    assert "this sitting" not in render(report, [])
    report["resumed"] = [{"epoch": 6, "batch": 0, "epochs_before": 6, "epochs": 8}]
    page = " ".join(render(report, []).split())
    assert "<dt>time, this sitting</dt>" in page
    assert "Prolonged from 6 to 8 epochs. This sitting: setup 1.5 s" in page
    assert "not known what rates ran" not in page
    report["rates"]["planned"] = [0, 1, 2]
    assert "Of 3 of the epochs it is not known what rates ran" in render(report, [])
