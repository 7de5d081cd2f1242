import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ftlab.errors import UserError
from ftlab.problems import Problem
from ftlab.reports import numbers
from ftlab.reports.terminal import epoch_line, print_facts, print_plan, print_problems, print_summary
from tests.reports.conftest import planned

Deep = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=80)


def printed(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_plan_shows_each_stage_in_each_phase(report: dict[str, Any], console: Console) -> None:
    print_plan(report["stages"], report["plan"], console)
    cells = [line.split() for line in printed(console)]
    total = sum(stage["parameters"] for stage in report["stages"])
    # stem and blocks.0 to blocks.4 are alike in every phase and share a row of 1000 * (1 + 2 + ... + 32) parameters
    assert ["backbone/stem", "…", "blocks.4", "63", "k", "frozen", "frozen", "1e-4"] in cells
    assert ["backbone/blocks.5", "…", "blocks.6", "192", "k", "frozen", "1e-4", "1e-4"] in cells
    assert ["head/fc", "3.84", "k", "1e-3", "1e-3", "1e-3"] in cells
    assert " ".join(cells[-1]).startswith(numbers.count(total))
    assert cells[-1][-3:] == ["weight", "decay", "0.01"]


def test_no_line_ends_in_blanks(report: dict[str, Any], console: Console) -> None:
    facts = {"data": "digits, 1,257 samples", "seed": "0", "device": "cpu"}
    print_facts(facts, console)
    assert printed(console) == ["data    digits, 1,257 samples", "seed    0", "device  cpu", ""]
    print_plan(report["stages"], report["plan"], console)
    print_summary(report, console)
    assert [line for line in printed(console) if line != line.rstrip(" ")] == []


def test_detail_layers_gives_each_stage_a_row_of_its_own(report: dict[str, Any], console: Console) -> None:
    print_plan(report["stages"], report["plan"], console, detail="layers")
    first = [line.split()[0] for line in printed(console) if line.strip()]
    assert [word for word in first if "/" in word] == [stage["address"] for stage in report["stages"]]


def test_an_unknown_detail_names_the_key_and_what_is_accepted(report: dict[str, Any], console: Console) -> None:
    with pytest.raises(UserError, match=r"plan\.detail: 'layer'.*did you mean 'layers'.*stages"):
        print_plan(report["stages"], report["plan"], console, detail="layer")


def test_weight_decays_that_differ_are_shown_where_they_apply(report: dict[str, Any], console: Console) -> None:
    report["plan"][2]["stages"]["head/fc"]["weight_decay"] = 0.05
    print_plan(report["stages"], report["plan"], console)
    lines = printed(console)
    head = next(place for place, line in enumerate(lines) if line.startswith("head/fc"))
    assert lines[head + 1].split() == ["decay", "0.01", "decay", "0.01", "decay", "0.05"]


def test_four_phases_fit_80_columns_with_whole_heads_and_a_column_each(console: Console) -> None:
    names = ["backbone/stem", *(f"backbone/blocks.{place}" for place in range(7)), "head/fc"]
    stages = [{"address": name, "parameters": 444_864} for name in names]
    phases = {"head": 8, "blocks.5": 6, "blocks.2": 3, "stem": 0}  # each trains the stages from there on
    print_plan(stages, [planned(name, 2, first, stages) for name, first in phases.items()], console)
    lines = printed(console)
    assert max(map(len, lines)) <= 80
    assert [line.split() for line in lines[:3]] == [
        ["1", "2", "3", "4"], list(phases), ["stage", "parameters", *("2 epochs " * 4).split()],
    ]  # fmt: skip
    # Neighbours that are alike share a row, and each phase thaws one more of these, from below.
    trains = [[cell != "frozen" for cell in line.split()[-4:]] for line in lines[4:8]]
    assert trains == [[place + column >= 3 for column in range(4)] for place in range(4)]


@pytest.mark.parametrize("detail", ["stages", "layers"])
def test_fourteen_phases_of_thirteen_stages_fit_80_columns_unbroken(
    deep_plan: Deep, console: Console, detail: str
) -> None:
    stages, plan = deep_plan
    print_plan(stages, plan, console, detail)
    lines = printed(console)
    assert max(map(len, lines)) <= 80
    for place, phase in enumerate(plan, start=1):
        assert any(line.strip().startswith(f"{place} {phase['phase']} ") for line in lines), phase["phase"]
    if detail == "stages":  # phases 2 to 14 train one run of the backbone, and the head
        assert sum(line.rstrip().endswith("1e-4") for line in lines) == 13
        assert sum("head/fc" in line for line in lines) == 14
    else:  # 1 stage in the first phase, 13 in the thirteenth, and 13 when everything trains again
        assert sum(line.rstrip().endswith(("1e-4", "1e-3")) for line in lines) == sum(range(14)) + 13


def test_rates_that_differ_within_a_run_are_given_as_their_range(deep_plan: Deep, console: Console) -> None:
    stages, plan = deep_plan
    for place, stage in enumerate(stages[:-1]):
        plan[-1]["stages"][stage["address"]]["rate"] = 1e-6 * 2**place
    print_plan(stages, plan, console)
    assert any(line.rstrip().endswith("1e-6 … 2e-3") for line in printed(console))  # 1e-6 * 2 ** 11 is 2.0e-3


def test_square_brackets_in_names_are_no_markup(report: dict[str, Any], console: Console) -> None:
    report["plan"][0]["phase"] = report["phases"][0]["name"] = "[red]"
    print_plan(report["stages"], report["plan"], console)
    print_summary(report, console)
    assert sum("[red]" in line for line in printed(console)) == 2


def test_the_summary_shows_metrics_phases_and_paths_that_exist(
    report: dict[str, Any], console: Console, tmp_path: Path
) -> None:
    (tmp_path / "report.html").touch()
    print_summary(report, console)
    lines = printed(console)
    cells = [line.split() for line in lines]
    assert lines[0] == "val accuracy 0.9753 (higher is better), 22.2 s"  # 1.5 + 20 + 0.75 s
    assert ["accuracy", "0.9753", "0.9668"] in cells
    assert ["head", "1-2", "3.84", "k", "5.0", "s", "125", "ms", "-", "in", "memory", "epochs"] in cells
    assert ["all", "6-8", "259", "k", "7.5", "s", "125", "ms", "412", "MB", "-", "epochs"] in cells
    assert ["report.html", str(tmp_path / "report.html")] in cells
    assert not any(line.startswith("bundle") for line in lines)


def test_the_longest_figures_of_a_phase_stay_on_one_line_of_80_characters(
    report: dict[str, Any], console: Console
) -> None:
    report["phases"][0] |= {"name": "blocks.11", "first_epoch": 99, "last_epoch": 248, "trainable_parameters": 55_500}
    report["phases"][0] |= {"seconds": 7440, "peak_memory_bytes": 12.3e9, "ended_by": "patience"}
    report["phases"][0]["cache"]["train"] = "live"
    print_summary(report, console)
    (line,) = (line for line in printed(console) if line.startswith("blocks.11"))
    assert " ".join(line.split()) == "blocks.11 100-249 55.5 k 2 h 04 min 125 ms 12.30 GB each step patience"
    assert max(map(len, printed(console))) <= 80


def test_a_run_without_a_cache_has_a_summary_too(report: dict[str, Any], console: Console) -> None:
    for phase in report["phases"]:
        phase["cache"] = None
    print_summary(report, console)
    assert "head 1-2 3.84 k 5.0 s 125 ms - - epochs" in [" ".join(line.split()) for line in printed(console)]


def test_an_epoch_is_one_line_of_at_most_80_characters(report: dict[str, Any]) -> None:
    line = epoch_line(report["history"][2], report["history"][0])
    # the fixture's curves at its epoch 2, which a person calls the third: 0.8 ** 2, 0.9 * 0.49, 1 - 0.3 * 0.49
    assert line.split() == [
        "epoch",
        "3",
        "blocks.5",
        "train",
        "0.6400",
        "val",
        "0.4410",
        "accuracy",
        "0.8530",
        "2.5",
        "s",
    ]
    longest = {**report["history"][2], "epoch": 998, "phase": "backbone/blocks.11 and all", "seconds": 3599.0}
    longest["train"], longest["val"] = {"loss": 12.34567}, {"loss": 12.34567, "a_very_long_metric": 0.5}
    assert len(epoch_line(longest, longest)) <= 80


def test_an_epoch_without_val_is_a_line_too() -> None:
    record = {"epoch": 0, "phase": "head", "seconds": 0.04, "train": {"loss": None}}
    assert epoch_line(record, record).split() == ["epoch", "1", "head", "train", "-", "40", "ms"]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (numbers.rate(1e-4), "1e-4"),
        (numbers.rate(2.5e-4), "2.5e-4"),
        (numbers.rate(0.0), "0"),
        (numbers.figure(11969.4), "11969"),
        (numbers.figure(-2.775e8), "-2.775e+08"),
        (numbers.count(999), "999"),
        (numbers.count(3_371_234), "3.37 M"),
        (numbers.count(999_900), "1000 k"),
        (numbers.duration(59.97), "1 min 00 s"),
        (numbers.duration(7440), "2 h 04 min"),
        (numbers.memory(1.24e9), "1.24 GB"),
        (numbers.epochs(0, 3), "1-4"),
        (numbers.epochs(4, 4), "5"),
        (numbers.epochs(3, 2), "-"),
        (numbers.figure(0.00004), "0.000040"),
        (numbers.shorten("abcdefghij", 5), "ab…ij"),
    ],
)
def test_figures_are_short_and_have_units(shown: str, expected: str) -> None:
    assert shown == expected


def test_the_figures_of_a_column_have_the_same_number_of_digits() -> None:
    assert numbers.figures([9.5728, 12.34567, None, 0.0]) == ["9.5728", "12.3457", "-", "0.0000"]
    assert numbers.figures([0.904, 0.00004]) == ["0.904000", "0.000040"]  # two digits of the smallest
    assert numbers.figures([2567.24, 0.3430072]) == ["2567.2400", "0.3430"]
    assert numbers.figures([45231.1, 123456.7]) == ["45231", "123457"]
    assert numbers.figures([2.775e8, 0.5]) == ["277500000.0000", "0.5000"]
    assert numbers.figures([1e-9, 0.5]) == ["1.000e-09", "5.000e-01"]
    assert numbers.durations([0.035, 0.523]) == ["35 ms", "523 ms"]
    assert numbers.durations([0.82, 1.7, None]) == ["0.82 s", "1.70 s", "-"]
    assert numbers.durations([0.82, 65.0]) == ["820 ms", "1 min 05 s"]
    assert numbers.memories([68e6, 1.24e9, None]) == ["0.07 GB", "1.24 GB", "-"]
    assert numbers.percents([0.984, 0.0003, 1.0]) == ["98.400 %", "0.030 %", "100.000 %"]
    assert numbers.spreads([(0.95, 0.0123), (0.9, None)]) == ["0.9500 ± 0.0123", "0.9000"]
    assert numbers.spreads([(0.95, 1e-9), (0.9, 0.01)]) == ["0.9500 ± 1.000e-09", "0.9000 ± 1.000e-02"]
    assert numbers.spreads([(1e-9, 0.01)]) == ["1.000e-09 ± 0.0100"]


def test_lines_of_epochs_keep_the_digits_of_the_first(report: dict[str, Any]) -> None:
    first, later = report["history"][0], report["history"][7]
    later["train"]["loss"], later["val"]["loss"] = 0.00004, 12.5
    assert " train 0.0000400  val 12.5000 " in epoch_line(later, first)
    first["train"]["loss"] = 0.00072
    assert " train 0.0000400  val 12.5000 " in epoch_line(later, first)


def test_the_summary_says_which_epoch_the_bundle_holds_and_why(report: dict[str, Any], console: Console) -> None:
    report["best"] = {"epoch": 3, "phase": "blocks.5", "monitor": "loss", "value": 0.21299}
    print_summary(report, console)
    assert "the bundle holds epoch 4 (phase 2, blocks.5): val loss 0.2130" in printed(console)


def test_without_a_figure_of_val_the_bundle_holds_the_last_epoch(report: dict[str, Any], console: Console) -> None:
    report["best"] = None
    print_summary(report, console)
    said = "the bundle holds epoch 8 (phase 3, all), the last: no figure of val chose among them"
    assert said in printed(console)


def test_the_time_of_a_run_that_went_on_is_that_of_its_last_sitting(report: dict[str, Any]) -> None:
    for resumed, said in (([], "22.2 s\n"), ([{"epoch": 6, "batch": 0}], "22.2 s, this sitting\n")):
        console = Console(file=io.StringIO(), width=120)
        print_summary({**report, "resumed": resumed}, console)
        assert said in console.file.getvalue()


def test_the_digits_of_a_figure_are_chosen_by_its_row() -> None:
    metrics = {"val": {"loss": 9.1e-06, "accuracy": 1.0}, "test": {"loss": 0.0021, "accuracy": 0.9966}}
    assert numbers.rows_of(metrics) == [
        ("loss", ("0.0000091", "0.0021000")),
        ("accuracy", ("1.0000", "0.9966")),
    ]


def test_losses_below_a_thousandth_are_told_apart_from_epoch_to_epoch(report: dict[str, Any]) -> None:
    first, later = report["history"][0], report["history"][7]
    for loss, shown in ((9.1e-06, "0.00000910"), (9.2e-06, "0.00000920"), (0.000412, "0.000412"), (0.0012, "0.0012")):
        later["train"]["loss"] = later["val"]["loss"] = loss
        line = epoch_line(later, first)
        assert f" train {shown}  val {shown}  " in line
        assert len(line) <= 80


def test_no_line_of_a_table_ends_in_blanks(report: dict[str, Any]) -> None:
    console = Console(file=io.StringIO(), width=80)
    print_plan(report["stages"], report["plan"], console)
    print_summary(report, console)
    problems = [Problem("files are empty", "error", 2, ("a.png", "a_much_longer_name.png")), *[Problem("x", "note", 1)]]
    print_problems("mine", {"train": 4}, problems, console)
    lines = printed(console)
    assert [line for line in lines if line != line.rstrip()] == []
    assert lines[-1] == "1 error, 0 warnings, 1 note"
