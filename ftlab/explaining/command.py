"""`ftlab explain`: which parts of inputs the answers of a bundle hang on, as a page or as JSON."""

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ftlab import bundle as bundles
from ftlab.config import plainly
from ftlab.disk import clear_errors
from ftlab.earlier import of_bundle
from ftlab.errors import UserError, choices
from ftlab.explaining.found import Explanation
from ftlab.explaining.importance import MOST, REPEATS, importance
from ftlab.explaining.kinds import Look, check_whole, look_of
from ftlab.explaining.page import render
from ftlab.explaining.scores import Scores
from ftlab.files.writing import write_json, write_text
from ftlab.inputs.base import Unread
from ftlab.predictor import Predictor, load
from ftlab.run import command, new_file, required

FORMS = (".html", ".json")


def explain(config: Any) -> int:
    """2 if an input could not be read, else 0. Raises: UserError for what cannot be explained."""
    if find_spec("captum") is None:
        raise UserError("ftlab explain needs captum: pip install 'ftlab[explain]'")
    settings = plainly(config, resolve=True)
    required(settings, "output")
    output, folder = new_file(settings, "output"), Path(required(settings, "bundle"))
    if output.suffix.lower() not in FORMS:
        raise UserError(f"output={output}: no such kind of page, by its suffix; {choices(output.suffix, FORMS)}")
    predictor = load(folder, None, settings["accelerator"], settings["trusted_modules"])
    look, methods = look_of(predictor.preprocessing.kind, settings["method"])
    scores = Scores(predictor)
    inputs, warnings = predictor.preprocessing.listed(required(settings, "input"))
    for warning in warnings:
        print(f"input: {warning}", file=sys.stderr)
    explained, failed = explanations(scores, inputs, look, methods, settings["target"])
    columns = columns_of(predictor, folder, settings["trusted_modules"])
    about = {"bundle": str(settings["bundle"]), "task": predictor.task.name, "command": command("explain")}
    with clear_errors(output.parent, f"output={output}"):
        if output.suffix.lower() == ".json":
            write_json(output, {**about, "importance": columns, "inputs": [one.told() for one in explained]})
        else:
            write_text(output, render(explained, columns, about))
    print(f"{len(explained)} of {len(inputs)} {predictor.preprocessing.plural} explained, written to {output}")
    return 2 if failed else 0


def explanations(
    scores: Scores, inputs: Sequence[Unread], look: Look, methods: Sequence[str], target: str | None
) -> tuple[list[Explanation], int]:
    """Of each input that can be read, and how many cannot, which are told."""
    found, failed = [], 0
    for one in inputs:
        try:
            raw = one.read()
            ready = check_whole(scores.predictor.prepared(raw))
        except UserError as error:
            print(f"not explained: {error}", file=sys.stderr)
            failed += 1
            continue
        found.append(explanation(scores, _name(one), raw, ready, look, methods, target))
    return found, failed


def explanation(
    scores: Scores, name: str, raw: Any, ready: Any, look: Look, methods: Sequence[str], target: str | None = None
) -> Explanation:
    predictor = scores.predictor
    answers = predictor.answers([ready], 1)
    (record,) = predictor.task.describe(answers, **predictor.task.predict_settings)
    place = scores.chosen(target, answers)
    found, notes = look(scores, raw, ready, scores.output(place), methods)
    image = predictor.preprocessing.seen(ready[0])["image"] if predictor.preprocessing.pixels else None
    return Explanation(name, record, scores.names[place], image, tuple(found), tuple(notes))


def _name(one: Unread) -> str:
    return ", ".join(str(value) if key == "file" else f"{key} {value}" for key, value in one.name.items())


def columns_of(predictor: Predictor, folder: Path, trusted_modules: Sequence[str]) -> Mapping[str, Any] | None:
    """The importance of a table's columns, on the split of its run that decided nothing; where that cannot be read,
    None, and it is said."""
    form = predictor.preprocessing.form()
    if form["kind"] != "row":
        return None
    names = [one["name"] for one in form["fields"]]
    try:
        description = bundles.described(folder, trusted_modules)
        measured = of_bundle(None, None, None, folder, description, trusted_modules)
        samples = measured.splits.parts()[measured.split]
        columns = importance(predictor, samples.inputs, samples.targets, names)
    except (UserError, OSError) as error:
        print(
            f"columns: their importance is left out, since the data of the run cannot be read ({error})",
            file=sys.stderr,
        )
        return None
    figure, rows = predictor.task.objective, min(MOST, len(samples))
    return {"figure": figure, "split": measured.split, "rows": rows, "repeats": REPEATS, "columns": columns}
