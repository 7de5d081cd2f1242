"""The jobs of a multirun as their folders tell them: a row a job, and its line in the terminal."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ftlab.errors import UserError
from ftlab.files.writing import read_json, read_report
from ftlab.log import FILE as LOG
from ftlab.reports import numbers
from ftlab.yaml_text import loaded

ERROR_WIDTH = 200  # characters of a failed job's error in the terminal; the CSV file has all of it
PRUNED = "pruned.json"  # in the folder of a job that a search has ended: why, and its overrides
FIGURES = ("name", "mode", "objective", "test", "seconds", "peak_memory_bytes", "trainable_parameters")


def collect(sweep_dir: Path) -> list[dict[str, Any]]:
    """One row a job, in the order of their numbers.

    A row holds "job" (the folder's name), "overrides" (key to value, as text), "error" (None when the job ended well),
    "pruned" (why a search ended it; else None), "split" (of the objective), "samples" (of train), "warnings" and
    FIGURES, all None when it failed. "test" is the objective's metric on the test split, "trainable_parameters" are
    those of the phase that trains most, "peak_memory_bytes" the highest of all phases.

    Raises: UserError when the folder is missing or holds no job.
    """
    if not Path(sweep_dir).is_dir():
        raise UserError(f"No sweep folder '{sweep_dir}'; accepted: the hydra.sweep.dir of an earlier `ftlab train -m`.")
    jobs = [path for path in Path(sweep_dir).iterdir() if path.is_dir() and not path.is_symlink() and _is_job(path)]
    if not jobs:
        raise UserError(f"No job in '{sweep_dir}'; accepted: a folder whose subfolders 0, 1, ... are runs.")
    return [row_of(job) for job in sorted(jobs, key=_job_order)]


def line(row: dict[str, Any]) -> str:
    """What came of a job, in one line; a failed one names the file that holds the rest."""
    if row["pruned"] is not None:
        return f"pruned: {row['pruned']}"
    if row["error"] is not None:
        return f"failed: {short_error(row['error'])}; see {row['folder'] / LOG}"
    is_judged = row["split"] is not None or row["objective"] is not None
    judged = f"{objective_of([row])} {numbers.figure(row['objective'])}" if is_judged else "nothing is judged"
    warned = [numbers.plural(len(row["warnings"]), "warning")] if row["warnings"] else []
    return ", ".join([judged, numbers.duration(row["seconds"]), *warned])


def short_error(error: str) -> str:
    return numbers.shorten(" ".join(error.split()), ERROR_WIDTH)


def objective_of(rows: Sequence[dict[str, Any]]) -> str:
    """val accuracy, where all jobs have the same."""
    names = {(row["split"], row["name"]) for row in rows if row["name"] is not None}
    return " ".join(filter(None, next(iter(names)))) if len(names) == 1 else "objective"


def has_ended(job: Path) -> bool:
    """Well, or failed, or ended by a search."""
    return any((job / name).is_file() for name in ("report.json", "failed.json", PRUNED))


def _is_job(path: Path) -> bool:
    return any((path / name).exists() for name in ("report.json", "failed.json", PRUNED, ".hydra"))


def _job_order(path: Path) -> tuple[int, str]:
    return (int(path.name), "") if path.name.isdecimal() else (10**9, path.name)


def row_of(job: Path) -> dict[str, Any]:
    """A job that ended well has a report, one that failed says why, one that was killed has neither."""
    failed, ended = job / "failed.json", job / PRUNED
    texts: Iterable[str] = []
    figures, error, pruned = dict.fromkeys((*FIGURES, "split", "samples", "warnings")), None, None
    try:
        if failed.is_file():
            content = read_json(failed)
            error, texts = str(content.get("error", "no error text")), content.get("overrides", [])
        elif ended.is_file():
            content = read_json(ended)
            pruned, texts = str(content.get("why", "")), content.get("overrides", [])
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
    overrides = dict(map(_override, texts))
    return {"job": job.name, "folder": job, "overrides": overrides, "error": error, "pruned": pruned, **figures}


def _figures_of(report: dict[str, Any]) -> dict[str, Any]:
    objective, phases = report["objective"], report["phases"]
    memory = [phase["peak_memory_bytes"] for phase in phases if phase["peak_memory_bytes"] is not None]
    return {
        "name": objective["name"],
        "mode": objective["mode"],
        "objective": objective["value"],
        "split": objective.get("split"),
        "samples": report.get("data", {}).get("sizes", {}).get("train"),
        "warnings": [*report.get("data", {}).get("warnings", []), *report.get("warnings", [])],
        "test": report["metrics"].get("test", {}).get(objective["name"]),
        "seconds": sum(report["seconds"].values()),
        "peak_memory_bytes": max(memory, default=None),
        "trainable_parameters": max((phase["trainable_parameters"] for phase in phases), default=0),
    }


def _override(text: str) -> tuple[str, str]:
    """Key and value as Hydra saved them; a deletion (~key) has no value."""
    key, _, value = text.partition("=")
    return key, value
