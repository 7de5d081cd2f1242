import csv
import io
import statistics
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ftlab.errors import UserError
from ftlab.reports.jobs import collect, line, row_of
from ftlab.reports.sweep import best, over_seeds, print_sweep, ranked, write_csv
from ftlab.sweep import progress
from tests.reports.conftest import dump

SCORES = {("full", 0): 0.91, ("full", 1): 0.95, ("head_only", 0): 0.90, ("head_only", 1): None}


@pytest.fixture
def sweep(report: dict[str, Any], tmp_path: Path) -> Path:
    """Four jobs, strategy by seed; the last one failed."""
    folder = tmp_path / "sweep"
    for number, ((strategy, seed), score) in enumerate(SCORES.items()):
        job = folder / str(number)
        (job / ".hydra").mkdir(parents=True)
        overrides = ["data=digits", f"strategy={strategy}", f"seed={seed}"]
        (job / ".hydra" / "overrides.yaml").write_text("".join(f"- {text}\n" for text in overrides))
        if score is None:
            dump(job / "failed.json", {"error": "loss is not finite\nat step 3", "overrides": overrides})
        else:
            report["objective"] |= {"value": score, "split": None}  # as in reports of before there was one
            report["metrics"]["test"] = {report["objective"]["name"]: score - 0.01}
            dump(job / "report.json", report)
    (folder / "notes").mkdir()  # not a job
    return folder


def test_a_job_whose_overrides_cannot_be_read_hides_no_other(sweep: Path) -> None:
    (sweep / "1" / ".hydra" / "overrides.yaml").write_text("- [")
    rows = collect(sweep)
    assert "overrides.yaml: line 1" in rows[1]["error"]
    assert [row["objective"] for row in rows] == list(SCORES.values())


def test_every_job_gives_a_row_the_failed_one_too(sweep: Path, report: dict[str, Any]) -> None:
    rows = collect(sweep)
    assert [row["job"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["objective"] for row in rows] == [0.91, 0.95, 0.90, None]
    assert rows[2]["overrides"] == {"data": "digits", "strategy": "head_only", "seed": "0"}
    assert rows[3]["error"] == "loss is not finite\nat step 3"
    assert rows[0]["seconds"] == 1.5 + 20 + 0.75
    assert rows[0]["peak_memory_bytes"] == 412_000_000  # the first phase could not measure
    assert rows[0]["trainable_parameters"] == sum(stage["parameters"] for stage in report["stages"])


def test_jobs_are_in_the_order_of_their_numbers(report: dict[str, Any], tmp_path: Path) -> None:
    for number in (10, 9, 2):
        dump(tmp_path / str(number) / "report.json", report)
    assert [row["job"] for row in collect(tmp_path)] == ["2", "9", "10"]


def test_the_best_job_depends_on_what_is_better(sweep: Path) -> None:
    rows = collect(sweep)
    highest = best(rows)
    assert highest is not None
    assert highest["job"] == "1"
    lowest = best([{**row, "mode": "min"} for row in rows])
    assert lowest is not None
    assert lowest["job"] == "2"
    assert best([rows[0], {**rows[1], "name": "f1"}]) is None  # nothing to compare


def test_the_best_job_is_first_and_those_without_a_value_are_last(sweep: Path) -> None:
    rows = collect(sweep)
    undefined = {**rows[0], "job": "9", "objective": None}
    assert [row["job"] for row in ranked([undefined, *rows])] == ["1", "0", "2", "9", "3"]
    downwards = [{**row, "mode": row["mode"] and "min"} for row in [undefined, *rows]]
    assert [row["job"] for row in ranked(downwards)] == ["2", "0", "1", "9", "3"]
    assert ranked([rows[2], {**rows[1], "name": "f1"}])[0] is rows[2]  # nothing to compare: as they were


def test_the_best_comes_first_and_the_failed_job_is_listed(sweep: Path) -> None:
    console = Console(file=io.StringIO(), width=80)
    print_sweep(collect(sweep), console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    cells = [line.split() for line in lines]
    jobs = [line[0] for line in cells if line[:1] and line[0].isdecimal()]
    assert jobs == ["1", "0", "2", "3"]  # by 0.95, 0.91, 0.90, and the failed one
    assert ["1", "strategy=full", "seed=1", "0.9500", "22.2", "s", "412", "MB", "259", "k"] in cells
    assert ["3", "strategy=head_only", "seed=1", "-", "failed"] in cells
    assert [line for line in cells if "best" in line] == [  # of the settings, by the mean over seeds
        ["strategy=full", "0.9300", "±", "0.0283", "0.9200", "±", "0.0283", "2", "best"]
    ]
    assert "folder 3 failed: loss is not finite at step 3" in lines
    assert not any("data=digits" in line for line in lines)  # the same in every job


def test_the_spread_over_seeds_leaves_failed_jobs_out_of_the_mean(sweep: Path) -> None:
    full, head_only = over_seeds(collect(sweep))
    assert full["overrides"] == {"data": "digits", "strategy": "full"}
    assert full["mean"] == pytest.approx((0.91 + 0.95) / 2)
    assert full["std"] == pytest.approx(statistics.stdev([0.91, 0.95]))
    assert (head_only["mean"], head_only["std"], head_only["seeds"], head_only["failed"]) == (0.90, None, 1, 1)


@pytest.fixture
def undefined(sweep: Path, report: dict[str, Any]) -> Path:
    """Where job 0 has no objective, its split being without what defines it, and job 2 none on test."""
    for job, objective, test in (("0", None, None), ("2", 0.90, None)):
        report["objective"]["value"] = objective
        report["metrics"]["test"] = {report["objective"]["name"]: test}
        dump(sweep / job / "report.json", report)
    return sweep


@pytest.mark.parametrize("mode", ["max", "min"])
def test_an_undefined_objective_is_never_the_best(undefined: Path, mode: str) -> None:
    found = best([{**row, "mode": mode} for row in collect(undefined)])
    assert found is not None
    assert found["job"] == {"max": "1", "min": "2"}[mode]


def test_an_undefined_objective_is_counted_apart_from_failures_and_in_no_mean(undefined: Path) -> None:
    full, head_only = over_seeds(collect(undefined))
    assert (full["mean"], full["std"], full["test_mean"]) == (0.95, None, 0.94)
    assert (full["seeds"], full["failed"], full["undefined"]) == (1, 0, 1)
    assert (head_only["mean"], head_only["test_mean"]) == (0.90, None)
    assert (head_only["seeds"], head_only["failed"], head_only["undefined"]) == (1, 1, 0)
    write_csv(collect(undefined), undefined / "sweep.csv")
    with open(undefined / "sweep_summary.csv", newline="") as file:
        assert [line["undefined"] for line in csv.DictReader(file)] == ["1", "0"]


def test_the_table_says_which_objective_is_undefined(undefined: Path) -> None:
    console = Console(file=io.StringIO(), width=100)
    print_sweep(collect(undefined), console)
    assert isinstance(console.file, io.StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert "0 strategy=full seed=0 - 22.2 s 412 MB 259 k undefined" in lines
    assert "warning: no accuracy in 1 of 3 jobs (folder 0): in no mean, never the best" in lines
    assert "warning: no accuracy on test in 2 of 3 jobs (folder 0, 2): in no mean, never the best" in lines
    assert "over seeds accuracy test seeds failed undefined" in lines


def test_the_csv_files_hold_a_column_an_override(sweep: Path) -> None:
    write_csv(collect(sweep), sweep / "sweep.csv")
    with open(sweep / "sweep.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["strategy"] for line in lines] == ["full", "full", "head_only", "head_only"]
    assert [line["objective"] for line in lines] == ["0.91", "0.95", "0.9", ""]
    assert lines[3]["error"] == "loss is not finite\nat step 3"
    with open(sweep / "sweep_summary.csv", newline="") as file:
        summary = list(csv.DictReader(file))
    assert [(line["strategy"], line["seeds"]) for line in summary] == [("full", "2"), ("head_only", "1")]
    assert float(summary[0]["mean"]) == pytest.approx(0.93)
    assert float(summary[0]["test_mean"]) == pytest.approx(0.92)
    assert float(summary[0]["test_std"]) == pytest.approx(statistics.stdev([0.90, 0.94]))


def test_a_sweep_without_seeds_has_no_summary(report: dict[str, Any], tmp_path: Path) -> None:
    dump(tmp_path / "0" / "report.json", report)
    write_csv(collect(tmp_path), tmp_path / "sweep.csv")
    assert not (tmp_path / "sweep_summary.csv").exists()


def test_a_killed_job_and_a_broken_report_are_rows_with_an_error(sweep: Path) -> None:
    (sweep / "0" / "report.json").unlink()
    (sweep / "1" / "report.json").write_text("{")
    rows = collect(sweep)
    assert "ended before" in rows[0]["error"]
    assert "cannot be read" in rows[1]["error"]
    assert rows[2]["error"] is None


def test_a_folder_without_jobs_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        collect(tmp_path / "nowhere")
    with pytest.raises(UserError, match="No job in"):
        collect(tmp_path)


def test_without_seeds_the_best_job_is_marked_and_all_that_equal_it(report: dict[str, Any], tmp_path: Path) -> None:
    for number, score in enumerate((0.8, 0.9, 0.9)):
        report["objective"] |= {"value": score, "split": "val"}
        dump(tmp_path / str(number) / "report.json", report)
        (tmp_path / str(number) / ".hydra").mkdir()
        (tmp_path / str(number) / ".hydra" / "overrides.yaml").write_text(f"- optimizer.lr={number}\n- seed=3\n")
    rows = collect(tmp_path)
    assert over_seeds(rows) == []  # one seed tells of no spread
    console = Console(file=io.StringIO(), width=80)
    print_sweep(rows, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert [line.split()[0] for line in lines if line.rstrip().endswith("best")] == ["1", "2"]
    assert "val accuracy" in lines[0]


def test_a_split_of_its_own_is_a_seed_too(sweep: Path) -> None:
    rows = [{**row, "overrides": {"lr": "1", "data.split_seed": row["job"]}} for row in collect(sweep)]
    (group,) = over_seeds(rows)
    assert group["overrides"] == {"lr": "1"}
    assert group["mean"] == pytest.approx((0.91 + 0.95 + 0.90) / 3)


def test_a_job_is_one_line_with_its_figure_time_and_warnings(sweep: Path, report: dict[str, Any]) -> None:
    report["objective"] |= {"value": 0.953, "split": "val"}
    report["warnings"] = ["phase 2 (top) cost more than it brought"]
    dump(sweep / "0" / "report.json", report)
    assert line(row_of(sweep / "0")) == "val accuracy 0.9530, 22.2 s, 2 warnings"  # one is of the data
    failed = f"failed: loss is not finite at step 3; see {sweep / '3' / 'ftlab.log'}"
    assert line(row_of(sweep / "3")) == failed


def test_a_warning_of_several_jobs_is_told_once_with_their_folders(sweep: Path, report: dict[str, Any]) -> None:
    for job, loss in (("0", 0.5), ("2", 0.75)):
        report["warnings"] = [f"val loss was {loss:.4f} (epoch 1)"]
        dump(sweep / job / "report.json", report)
    console = Console(file=io.StringIO(), width=80)
    print_sweep(collect(sweep), console)
    assert isinstance(console.file, io.StringIO)
    warned = [line for line in console.file.getvalue().splitlines() if line.startswith("warning: ")]
    assert warned == [
        "warning: 2 files are copies of others (in 3 of 4 jobs: folder 0, 1, 2)",
        "warning: val loss was # (epoch 1) (in 2 of 4 jobs: folder 0, 2)",
    ]


def test_numbers_that_differ_between_the_warnings_of_jobs_are_not_those_of_one(sweep: Path) -> None:
    said = {"0": ["class 3, of 10, has 1 training sample", "lr 1e-05: low"], "1": ["lr 2e-05: low"],
            "2": ["class 7, of 10, has 1 training sample", "class 8, of 10, has 1 training sample"]}  # fmt: skip
    rows = [{**row, "warnings": said.get(row["job"])} for row in collect(sweep)]
    assert [line for line in shown(rows) if line.startswith("warning: ")] == [
        "warning: class #, of 10, has 1 training sample (in 2 of 4 jobs: folder 0, 2)",
        "warning: lr #: low (in 2 of 4 jobs: folder 0, 1)",
    ]


def seeded(rows: list[dict[str, Any]], **figures: list[float | None]) -> list[dict[str, Any]]:
    """Rows of settings over seeds: a figure for each seed, None where it failed."""
    ended, failed = rows[0], rows[3]
    return [
        {**(failed if figure is None else ended), "job": f"{lr}{seed}", "overrides": {"lr": lr, "seed": str(seed)},
         **({} if figure is None else {"objective": figure, "test": None, "warnings": []})}
        for lr, found in figures.items()
        for seed, figure in enumerate(found)
    ]  # fmt: skip


def shown(rows: list[dict[str, Any]]) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    print_sweep(rows, console)
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_settings_are_in_the_order_of_their_means(sweep: Path) -> None:
    rows = seeded(collect(sweep), low=[0.5, 0.6], high=[0.8, 0.9])
    assert [line.split()[0] for line in shown(rows)[-2:]] == ["lr=high", "lr=low"]
    downwards = shown([{**row, "mode": "min"} for row in rows])[-2:]
    assert [line.split()[0] for line in downwards] == ["lr=low", "lr=high"]
    assert [line.endswith("best") for line in downwards] == [True, False]


@pytest.mark.parametrize(("mode", "lucky"), [("max", 0.95), ("min", 0.92)])
def test_a_setting_of_which_most_seeds_failed_is_never_the_best_and_that_is_said(
    sweep: Path, mode: str, lucky: float
) -> None:
    rows = seeded(collect(sweep), large=[lucky, None, None], small=[0.93, 0.94, 0.945], none=[None, None, None])
    lines = shown([{**row, "mode": row["mode"] and mode} for row in rows])
    mean, std = statistics.fmean([0.93, 0.94, 0.945]), statistics.stdev([0.93, 0.94, 0.945])
    assert lines[-3:] == [f"lr=small {mean:.4f} ± {std:.4f} 3 best", f"lr=large {lucky:.4f} 1 2", "lr=none - 0 3"]
    assert "warning: lr=large has a better mean, but of 1 of 3 seeds: not the best" in lines
    assert sum("better mean" in line for line in lines) == 1


def test_fewer_seeds_with_no_better_mean_are_not_spoken_of(sweep: Path) -> None:
    lines = shown(seeded(collect(sweep), large=[0.93, None], small=[0.93, 0.93]))
    assert [line.endswith("best") for line in lines[-2:]] == [True, False]
    assert not any("better mean" in line for line in lines)


def test_no_number_of_a_setting_is_broken_on_a_terminal_of_80_characters(sweep: Path) -> None:
    rows = collect(sweep)
    for row, rate in zip(rows, ("0.000333457", "0.00123457", "0.0456789", "1.0"), strict=True):
        row["overrides"] = {"optimizer.weight_decay": rate, "strategy": "full"}
    shown = io.StringIO()
    print_sweep(rows, Console(file=shown, width=80))
    assert all(rate in shown.getvalue() for rate in ("0.000333457", "0.00123457", "0.0456789"))
    wide = io.StringIO()
    print_sweep(rows, Console(file=wide, width=160))
    assert "optimizer.weight_decay=0.000333457" in wide.getvalue()


def test_a_job_says_what_is_best_so_far_and_how_long_the_others_take(sweep: Path) -> None:
    (sweep / "multirun.yaml").touch()
    now = (sweep / "multirun.yaml").stat().st_mtime + 80
    assert progress(sweep, 4, now) == ""  # all have ended
    assert progress(sweep, 6, now) == "; best 0.9500 (job 2), about 40.0 s left"
    assert progress(sweep, None, now) == "; best 0.9500 (job 2)"
