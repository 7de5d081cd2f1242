"""experiment/best.yaml of a sweep: what was typed for its best run, as an experiment file of one's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftlab.config import groups
from ftlab.files.writing import write_text
from ftlab.overrides import parse
from ftlab.reports.sweep import best, by_mean, over_seeds, setting_of
from ftlab.yaml_text import dumped

FILE = Path("experiment", "best.yaml")  # in the sweep's folder, which is then a --config-dir


def best_row(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The best job; over seeds the first job of the setting with the best mean. None where nothing is the best."""
    spread = over_seeds(rows)
    if not spread:
        found = best(rows)
        return found if found is not None and found["objective"] is not None else None
    whole, _ = by_mean(spread)
    if whole[0]["mean"] is None or (len(whole) > 1 and best(whole, "mean") is None):
        return None
    own = [row for row in rows if setting_of(row) == whole[0]["overrides"]]
    return next(row for row in own if row["objective"] is not None)


def write_best(rows: Sequence[dict[str, Any]], folder: Path) -> str | None:
    """Write the file; what one types to repeat the run. None where there is no best."""
    row = best_row(rows)
    return None if row is None else write_repeat(row, folder)


def write_repeat(row: Mapping[str, Any], folder: Path) -> str:
    """Write the file of a job; what one types to repeat it."""
    experiments = str(row["overrides"].get("experiment", ""))
    (folder / FILE).parent.mkdir(exist_ok=True)
    write_text(folder / FILE, as_file(row["overrides"], f"job {row['job']}"))
    others = [name for name in experiments.strip("[]").split(",") if name]
    named = f"'experiment=[{','.join([*others, 'best'])}]'" if others else "experiment=best"
    return f"ftlab train --config-dir {folder} {named}"


def as_file(overrides: Mapping[str, str], whose: str) -> str:
    """The overrides as text of an experiment file, options first."""
    typed, errors = parse([f"{key}={value}" for key, value in overrides.items()], False, frozenset())
    assert not errors, errors  # they have been run
    options: list[dict[str, Any]] = []
    values: dict[str, Any] = {}
    for one in typed:
        if one.key == "experiment" or one.key.startswith("sweep."):
            continue  # named beside this one; how the values were found
        value = one.values[0].value()
        if one.key in groups("train"):
            options.append({f"override /{one.key}": value})
        else:
            *path, name = one.key.split(".")
            node: dict[str, Any] = values
            for part in path:
                node = node.setdefault(part, {})
            node[name] = value
    head = f"# @package _global_\n# What {whose} of a sweep was run with.\n"
    return head + dumped({**({"defaults": options} if options else {}), **values})
