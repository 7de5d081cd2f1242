"""All jobs of a sweep side by side: a table, a CSV file, and the spread over seeds."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.text import Text

from ftlab.errors import UserError
from ftlab.files.writing import read_json, read_report, write_text
from ftlab.patterns import shorten
from ftlab.reports import numbers
from ftlab.reports.terminal import table_of
from ftlab.yaml_text import loaded

ERROR_WIDTH = 200  # characters of a failed job's error in the terminal; the CSV file has all of it
FIGURES = ("name", "mode", "objective", "test", "seconds", "peak_memory_bytes", "trainable_parameters")


def collect(sweep_dir: Path) -> list[dict[str, Any]]:
    """One row a job, in the order of their numbers.

    A row holds "job" (the folder's name), "overrides" (key to value, as text), "error" (None when the job ended well)
    and FIGURES, all None when it failed. "test" is the objective's metric on the test split, "trainable_parameters" are
    those of the phase that trains most, "peak_memory_bytes" the highest of all phases.

    Raises: UserError when the folder is missing or holds no job.
    """
    if not Path(sweep_dir).is_dir():
        raise UserError(f"No sweep folder '{sweep_dir}'. Accepted: the hydra.sweep.dir of an earlier `ftlab train -m`.")
    jobs = [path for path in Path(sweep_dir).iterdir() if path.is_dir() and _is_job(path)]
    if not jobs:
        raise UserError(f"No job in '{sweep_dir}'. Accepted: a folder whose subfolders 0, 1, ... are runs.")
    return [_row(job) for job in sorted(jobs, key=_job_order)]


def best_job(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The row with the best objective; None when no job has one, or when jobs differ in what they optimise.

    An objective that is undefined is neither 0 nor the best.
    """
    valued = [row for row in rows if row["objective"] is not None]
    if len({(row["name"], row["mode"]) for row in valued}) != 1:
        return None
    pick = max if valued[0]["mode"] == "max" else min
    return pick(valued, key=lambda row: row["objective"])


def over_seeds(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and sample standard deviation of the objective, and of its test figure, over the seeds of each setting.

    Empty when no job overrides `seed`. "std" is None for a single seed; failed jobs, and those whose objective is
    undefined, are counted, not averaged.
    """
    if not any("seed" in row["overrides"] for row in rows):
        return []
    groups: dict[tuple[tuple[str, str], ...], list[dict[str, Any]]] = {}
    for row in rows:
        setting = tuple((key, value) for key, value in row["overrides"].items() if key != "seed")
        groups.setdefault(setting, []).append(row)
    return [_spread(dict(setting), group) for setting, group in groups.items()]


def print_sweep(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """All jobs as a table, the best one marked; then the errors of failed jobs, then the spread over seeds."""
    varied = _varied(rows)
    names = {row["name"]: None for row in rows if row["name"] is not None}
    objective = next(iter(names)) if len(names) == 1 else "objective"
    table = table_of("job", "overrides", objective, "time", "memory", "trainable", "", left=("overrides", ""))
    best = best_job(rows)
    for row in rows:
        table.add_row(*_cells(row, varied, is_best=row is best), style="bold" if row is best else None)
    console.print(table)
    for row in rows:
        if row["error"] is not None:
            text = numbers.shorten(" ".join(row["error"].split()), ERROR_WIDTH)
            console.print(Text(f"job {row['job']} failed: {text}", style="red"))
    for text in _undefined(rows, objective):
        console.print(Text(f"warning: {text}", style="yellow"))
    if spread := over_seeds(rows):
        console.print()
        console.print(_spread_table(spread, [key for key in varied if key != "seed"], objective))


def write_csv(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write one line a job, a column an override; beside it sweep_summary.csv when the sweep varies the seed."""
    overrides = list(dict.fromkeys(key for row in rows for key in row["overrides"]))
    header = ["job", *overrides, *FIGURES, "error"]
    write_text(path, _csv(header, ({**row["overrides"], **row} for row in rows)))
    if spread := over_seeds(rows):
        header = [
            *(key for key in overrides if key != "seed"),
            "name",
            "mean",
            "std",
            "test_mean",
            "test_std",
            "seeds",
            "failed",
            "undefined",
        ]
        lines = ({**group["overrides"], **group} for group in spread)
        write_text(Path(path).with_name("sweep_summary.csv"), _csv(header, lines))


def _is_job(path: Path) -> bool:
    return any((path / name).exists() for name in ("report.json", "failed.json", ".hydra"))


def _job_order(path: Path) -> tuple[int, str]:
    return (int(path.name), "") if path.name.isdecimal() else (10**9, path.name)


def _row(job: Path) -> dict[str, Any]:
    """A job that ended well has a report, one that failed says why, one that was killed has neither."""
    failed = job / "failed.json"
    texts: Iterable[str] = []
    figures, error = dict.fromkeys(FIGURES), None
    try:
        if failed.is_file():
            content = read_json(failed)
            error, texts = str(content.get("error", "no error text")), content.get("overrides", [])
        elif (job / "report.json").is_file():
            figures = _figures_of(read_report(job))
        else:
            error = "no report: the job was ended before it could write one"
    except UserError as broken:  # one broken file must not hide the other jobs
        error = str(broken)
    saved = job / ".hydra" / "overrides.yaml"
    if saved.is_file():
        try:
            texts = loaded(saved.read_text(encoding="utf-8")) or []
        except ValueError as broken:
            error = error or f"{saved}: {broken}"
    return {"job": job.name, "overrides": dict(map(_override, texts)), "error": error, **figures}


def _figures_of(report: dict[str, Any]) -> dict[str, Any]:
    objective, phases = report["objective"], report["phases"]
    memory = [phase["peak_memory_bytes"] for phase in phases if phase["peak_memory_bytes"] is not None]
    return {
        "name": objective["name"],
        "mode": objective["mode"],
        "objective": objective["value"],
        "test": report["metrics"].get("test", {}).get(objective["name"]),
        "seconds": sum(report["seconds"].values()),
        "peak_memory_bytes": max(memory, default=None),
        "trainable_parameters": max((phase["trainable_parameters"] for phase in phases), default=0),
    }


def _override(text: str) -> tuple[str, str]:
    """Key and value as Hydra saved them; a deletion (~key) has no value."""
    key, _, value = text.partition("=")
    return key, value


def _varied(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Overrides that tell the jobs apart; all of them when nothing does."""
    keys = list(dict.fromkeys(key for row in rows for key in row["overrides"]))
    return [key for key in keys if len({row["overrides"].get(key) for row in rows}) > 1] or keys


def _settings(overrides: dict[str, str], keys: Sequence[str]) -> Text:
    return Text(" ".join(numbers.readable(f"{key}={overrides[key]}") for key in keys if key in overrides))


def _cells(row: dict[str, Any], varied: Sequence[str], is_best: bool) -> list[Text | str]:
    cells: list[Text | str] = [row["job"], _settings(row["overrides"], varied), numbers.figure(row["objective"])]
    if row["error"] is not None:
        return [*cells, "", "", "", Text("failed", style="red")]
    trainable = numbers.count(row["trainable_parameters"])
    return [
        *cells,
        numbers.duration(row["seconds"]),
        numbers.memory(row["peak_memory_bytes"]),
        trainable,
        "best" * is_best if row["objective"] is not None else Text("undefined", style="yellow"),
    ]


def _undefined(rows: Sequence[dict[str, Any]], objective: str) -> list[str]:
    """What is to be said of jobs that ended well without an objective, or without its figure on test."""
    ended = [row for row in rows if row["error"] is None]
    tested = any(row["test"] is not None for row in ended)
    lost = {
        objective: [row["job"] for row in ended if row["objective"] is None],
        f"{objective} on test": [row["job"] for row in ended if tested and row["test"] is None],
    }
    return [
        f"no {what} in {len(jobs)} of {len(ended)} jobs ({shorten(jobs)}): in no mean, never the best"
        for what, jobs in lost.items()
        if jobs
    ]


def _spread(overrides: dict[str, str], group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values = [row["objective"] for row in group if row["objective"] is not None]
    tests = [row["test"] for row in group if row["test"] is not None]
    return {
        "overrides": overrides,
        "name": next((row["name"] for row in group if row["name"] is not None), None),
        "mean": fmean(values) if values else None,
        "std": stdev(values) if len(values) > 1 else None,
        "test_mean": fmean(tests) if tests else None,
        "test_std": stdev(tests) if len(tests) > 1 else None,
        "seeds": len(values),
        "failed": sum(row["error"] is not None for row in group),
        "undefined": sum(row["error"] is None and row["objective"] is None for row in group),
    }


def _spread_table(spread: Sequence[dict[str, Any]], keys: Sequence[str], objective: str) -> Any:
    tested = any(group["test_mean"] is not None for group in spread)
    lost = ("failed", *(("undefined",) if any(group["undefined"] for group in spread) else ()))
    columns = (f"mean {objective}", "std", *(("test", "std") if tested else ()), "seeds", *lost)
    table = table_of("over seeds", *columns, left=("over seeds",))
    for group in spread:
        setting = _settings(group["overrides"], keys)
        keys_shown = ("mean", "std", *(("test_mean", "test_std") if tested else ()))
        figures = [numbers.figure(group[key]) for key in keys_shown]
        table.add_row(setting, *figures, str(group["seeds"]), *(str(group[key] or "") for key in lost))
    return table


def _csv(header: Sequence[str], lines: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
