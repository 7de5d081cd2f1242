"""All jobs of a sweep side by side: a table, a CSV file, and the spread over seeds."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ftlab.files.writing import write_text
from ftlab.patterns import shorten
from ftlab.reports import numbers
from ftlab.reports.jobs import FIGURES, objective_of, short_error
from ftlab.reports.terminal import table_of

SEEDS = ("seed", "data.split_seed")  # jobs that differ in these alone are one setting, tried several times
OTHER_COLUMNS = 60  # characters that a table needs beside its settings
LEAST_ROOM = 16
FIGURE = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")


def ranked(rows: Sequence[dict[str, Any]], key: str = "objective") -> list[dict[str, Any]]:
    """The best first, then those without a value of `key`, those that a search has ended, and those that failed; as
    they are where what they optimise differs."""
    mode = _mode(rows, key)
    if mode is None:
        return list(rows)
    sign = -1 if mode == "max" else 1

    def order(row: dict[str, Any]) -> tuple[bool, bool, bool, float]:
        failed, pruned = row.get("error") is not None, row.get("pruned") is not None
        return failed, pruned, row[key] is None, 0.0 if row[key] is None else sign * row[key]

    return sorted(rows, key=order)


def best(rows: Sequence[dict[str, Any]], key: str = "objective") -> dict[str, Any] | None:
    """The row with the best value; None when there is none, or when rows differ in what they optimise.

    An objective that is undefined is neither 0 nor the best.
    """
    return ranked(rows, key)[0] if _mode(rows, key) else None


def by_mean(spread: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The settings with the most seeds that gave a figure, the best first; the others, which are never the best, as
    their mean may be that of a lucky seed."""
    most = max(group["seeds"] for group in spread)
    if _mode(spread, "mean") is None:  # there is no best
        return list(spread), []
    whole, fewer = ([g for g in spread if (g["seeds"] == most) is full] for full in (True, False))
    return ranked(whole, "mean"), ranked(fewer, "mean")


def _mode(rows: Sequence[dict[str, Any]], key: str) -> str | None:
    """max or min, which way all that have a value are better; None where there is none, or not one."""
    found = {(row["name"], row["mode"]) for row in rows if row[key] is not None}
    return next(iter(found))[1] if len(found) == 1 else None


def over_seeds(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and sample standard deviation of the objective, and of its test figure, over the seeds of each setting.

    Empty where no two jobs differ in their SEEDS alone. "std" is None for a single seed; failed jobs, and those whose
    objective is undefined, are counted, not averaged.
    """
    groups: dict[tuple[tuple[str, str], ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(setting_of(row).items()), []).append(row)
    if all(len(group) == 1 for group in groups.values()):
        return []
    return [_spread(dict(setting), group) for setting, group in groups.items()]


def setting_of(row: Mapping[str, Any]) -> dict[str, str]:
    """The overrides of a job without its seeds."""
    return {key: value for key, value in row["overrides"].items() if key not in SEEDS}


def print_sweep(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """All jobs as a table, the best first; the errors of failed jobs and all warnings; where seeds differ, the settings
    with mean and spread over these, and then the best is the best of them: a lucky seed is no better setting."""
    keys_of, objective, spread = varied(rows), objective_of(rows), over_seeds(rows)
    keys = [key for key in keys_of if key not in SEEDS]
    room = max(LEAST_ROOM, console.width - OTHER_COLUMNS)
    console.print(_job_table(ranked(rows), keys_of, objective, None if spread else best(rows), room))
    for row in rows:
        if row["error"] is not None:
            console.print(Text(f"folder {row['job']} failed: {short_error(row['error'])}", style="red"), soft_wrap=True)
    for text in (*_undefined(rows, objective), *_lucky(spread, keys), *_warned(rows)):
        console.print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)
    if spread:
        console.print()
        console.print(_spread_table(spread, keys, objective, room))


def write_csv(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write one line a job, a column an override; beside it sweep_summary.csv when the sweep varies the seed."""
    overrides = list(dict.fromkeys(key for row in rows for key in row["overrides"]))
    header = ["job", *overrides, *FIGURES, "error", *(["pruned"] if any(row["pruned"] for row in rows) else [])]
    write_text(path, _csv(header, ({**row["overrides"], **row} for row in rows)))
    if spread := over_seeds(rows):
        header = [
            *(key for key in overrides if key not in SEEDS),
            "name",
            "mean",
            "std",
            "test_mean",
            "test_std",
            "seeds",
            "failed",
            "pruned",
            "undefined",
        ]
        lines = ({**group["overrides"], **group} for group in spread)
        write_text(Path(path).with_name("sweep_summary.csv"), _csv(header, lines))


def varied(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Overrides that tell the jobs apart; all of them when nothing does."""
    keys = list(dict.fromkeys(key for row in rows for key in row["overrides"]))
    return [key for key in keys if len({row["overrides"].get(key) for row in rows}) > 1] or keys


def _settings(overrides: dict[str, str], keys: Sequence[str], room: int | None = None) -> Text:
    """room: characters of a line; a longer key=value may be broken behind its =, so that no number is."""
    words = [numbers.readable(f"{key}={overrides[key]}") for key in keys if key in overrides]
    return Text(" ".join(word.replace("=", "= ", 1) if room and len(word) > room else word for word in words))


def _job_table(
    rows: Sequence[dict[str, Any]], keys: Sequence[str], objective: str, best: dict[str, Any] | None, room: int
) -> Table:
    table = table_of("folder", "overrides", objective, "time", "memory", "trainable", "", left=("overrides", ""))
    objectives = numbers.figures(row["objective"] for row in rows)
    times = numbers.durations(row["seconds"] for row in rows)
    memories = numbers.memories(row["peak_memory_bytes"] for row in rows)
    for row, *cells in zip(rows, objectives, times, memories, strict=True):
        failed, pruned = row["error"] is not None, row["pruned"] is not None
        ended = failed or pruned
        is_best = best is not None and not ended and row["objective"] == best["objective"]  # several may be equal
        cells = [cells[0], "", "", ""] if ended else [*cells, numbers.count(row["trainable_parameters"])]
        table.add_row(
            row["job"],
            _settings(row["overrides"], keys, room),
            *cells,
            Text("failed", style="red") if failed else "pruned" if pruned else _mark(row["objective"], is_best),
            style="bold" if is_best else None,
        )
    return table


def _mark(value: float | None, is_best: bool) -> Text:
    return Text("undefined", style="yellow") if value is None else Text("best" * is_best)


def _lucky(spread: Sequence[dict[str, Any]], keys: Sequence[str]) -> list[str]:
    """What is to be said of settings whose mean is better than that of the best, but of fewer seeds."""
    whole, fewer = by_mean(spread) if spread else ([], [])
    if not fewer:
        return []
    better = [group for group in fewer if group["mean"] is not None and ranked([whole[0], group], "mean")[0] is group]
    return [
        f"{_settings(group['overrides'], keys)} has a better mean, but of {group['seeds']} of "
        f"{numbers.plural(whole[0]['seeds'], 'seed')}: not the best"
        for group in better
    ]


def _warned(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Each warning of the jobs once, with the folders it is from; of those that differ in their figures alone one, with
    a # for each that differs."""
    found: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for row in rows:
        for text in row["warnings"] or ():
            found.setdefault(tuple(FIGURE.split(text)), []).append((row["job"], text))
    told = [(_merged([text for _, text in one]), list(dict.fromkeys(job for job, _ in one))) for one in found.values()]
    return [f"{text} (in {len(jobs)} of {len(rows)} jobs: folder {shorten(jobs)})" for text, jobs in told]


def _merged(texts: Sequence[str]) -> str:
    """The one text of several that differ in their figures alone."""
    columns = zip(*map(FIGURE.findall, texts), strict=True)
    shown = [figures[0] if len(set(figures)) == 1 else "#" for figures in columns]
    return numbers.readable("".join(chain.from_iterable(zip(FIGURE.split(texts[0]), [*shown, ""], strict=True))))


def _undefined(rows: Sequence[dict[str, Any]], objective: str) -> list[str]:
    """What is to be said of jobs that ended well without an objective, or without its figure on test."""
    ended = [row for row in rows if row["error"] is None and row["pruned"] is None]
    tested = any(row["test"] is not None for row in ended)
    lost = {
        objective: [row["job"] for row in ended if row["objective"] is None],
        f"{objective.removeprefix('val ')} on test": [row["job"] for row in ended if tested and row["test"] is None],
    }
    return [
        f"no {what} in {len(jobs)} of {len(ended)} jobs (folder {shorten(jobs)}): in no mean, never the best"
        for what, jobs in lost.items()
        if jobs
    ]


def _spread(overrides: dict[str, str], group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values = [row["objective"] for row in group if row["objective"] is not None]
    tests = [row["test"] for row in group if row["test"] is not None]
    return {
        "overrides": overrides,
        **{key: next((row[key] for row in group if row[key] is not None), None) for key in ("name", "mode")},
        "mean": fmean(values) if values else None,
        "std": stdev(values) if len(values) > 1 else None,
        "test_mean": fmean(tests) if tests else None,
        "test_std": stdev(tests) if len(tests) > 1 else None,
        "seeds": len(values),
        "failed": sum(row["error"] is not None for row in group),
        "pruned": sum(row["pruned"] is not None for row in group),
        "undefined": sum(row["error"] is None and row["pruned"] is None and row["objective"] is None for row in group),
    }


def _spread_table(spread: Sequence[dict[str, Any]], keys: Sequence[str], objective: str, room: int) -> Table:
    tested = any(group["test_mean"] is not None for group in spread)
    lost = ("failed", *(key for key in ("pruned", "undefined") if any(group[key] for group in spread)))
    left = ("over seeds", "")
    table = table_of("over seeds", objective, *(["test"] if tested else []), "seeds", *lost, "", left=left)
    whole, fewer = by_mean(spread)
    ordered, first = [*whole, *fewer], best(whole, "mean") if len(spread) > 1 else None
    means = numbers.spreads([(group["mean"], group["std"]) for group in ordered])
    tests = numbers.spreads([(group["test_mean"], group["test_std"]) for group in ordered])
    for group, mean, test in zip(ordered, means, tests, strict=True):
        is_best = first is not None and all(group[key] == first[key] for key in ("seeds", "mean"))
        table.add_row(
            _settings(group["overrides"], keys, room),
            mean,
            *([test] if tested else []),
            str(group["seeds"]),
            *(str(group[key] or "") for key in lost),
            "best" * is_best,
            style="bold" if is_best else None,
        )
    return table


def _csv(header: Sequence[str], lines: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
