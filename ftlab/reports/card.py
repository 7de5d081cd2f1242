"""bundle/README.md: the model card of a bundle, which a person reads before using it, and huggingface_hub too.

What stands between its first two lines of --- is read by programs (`ModelCard.load(path).data`); the figures there are
those of report.json. (Mitchell et al. 2019, "Model Cards for Model Reporting".)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ftlab.reports import numbers
from ftlab.reports.held import held, judged
from ftlab.reports.intervals import how, interval, no_better
from ftlab.reports.page import subject

Report = Mapping[str, Any]

# What the hub calls a task on a kind of input; a pair that is not here has no name there.
ON_THE_HUB = {
    ("classification", "image"): "image-classification",
    ("multilabel", "image"): "image-classification",
    ("detection", "image"): "object-detection",
    ("segmentation", "image"): "image-segmentation",
    ("classification", "table"): "tabular-classification",
    ("regression", "table"): "tabular-regression",
    ("regression", "sequence"): "time-series-forecasting",
    ("classification", "text"): "text-classification",
    ("multilabel", "text"): "text-classification",
    ("question_answering", "text"): "question-answering",
}
COMMANDS = """```bash
ftlab predict bundle=FOLDER input=FILE
ftlab evaluate bundle=FOLDER
```

```python
import ftlab

predictor = ftlab.load("FOLDER")
print(predictor.predict(["FILE"]))
```"""
WITHOUT_US = {
    "timm": 'timm.create_model("local-dir:FOLDER", pretrained=True)',
    "transformers": 'transformers.AutoModel.from_pretrained("FOLDER")',
}


def card(report: Report, kind: str, library: str | None) -> str:
    """The file's text. kind: of the inputs, as bundle.json names it. library: the one that reads the folder too."""
    from huggingface_hub import ModelCardData

    title = f"{report['backbone']['name']} for {report['task'].replace('_', ' ')} of {subject(dict(report))}"
    data = ModelCardData(
        model_name=title,
        library_name=library or "ftlab",
        pipeline_tag=ON_THE_HUB.get((report["task"], kind)),
        tags=["ftlab", report["task"], report["strategy"]],
        eval_results=list(results(report)) or None,
    )
    parts = {
        "": f"# {plain(title)}\n\n{about(report)}",
        "Figures": "\n\n".join([table(report), *filter(None, [how(report)]), *warned(report)]),
        "Data": data_of(report),
        "Training": training(report),
        "Use": COMMANDS + (f"\n\nWithout ftlab, from the same folder: `{WITHOUT_US[library]}`." if library else ""),
        "Limits": listed(limits(report)),
        "Licence": licence(report),
    }
    body = "\n\n".join(f"## {name}\n\n{text.strip()}" if name else text for name, text in parts.items())
    return f"---\n{data.to_yaml()}\n---\n\n{body}\n"


def results(report: Report) -> Iterator[Any]:
    """Each figure of a split that was not trained on, as huggingface_hub takes it."""
    from huggingface_hub import EvalResult

    for split, figures in report["metrics"].items():
        for name, value in figures.items():
            if value is not None:
                yield EvalResult(
                    task_type=report["task"],
                    dataset_type=report["data"]["name"],
                    dataset_name=subject(dict(report)),
                    dataset_split=split,
                    metric_type=name,
                    metric_value=value,
                )


def about(report: Report) -> str:
    """What comes out, in one paragraph."""
    classes, numbers_of = report["data"].get("classes", []), report["data"].get("targets", [])
    if classes:
        return f"It knows {len(classes):,} classes: {short(classes)}."
    return f"It predicts {short(numbers_of)}." if numbers_of else ""


def short(names: Sequence[str], most: int = 20) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(plain, names[:most])) + more


def plain(text: object) -> str:
    """A name of the user's in a line or a cell of Markdown: nothing in it is a mark."""
    line = " ".join(str(text).split())
    return "".join(f"\\{mark}" if mark in "\\`*_{}[]<>#|$~" else mark for mark in line)


def table(report: Report) -> str:
    splits = list(report["metrics"])
    names = list(dict.fromkeys(name for figures in report["metrics"].values() for name in figures))
    if not names:
        return "There is no split that was not trained on, so there are no figures."
    rows = [[name, *(cell(report, split, name) for split in splits)] for name in names]
    heads = [f"{judged(dict(report), split)} ({report['data']['sizes'].get(split, 0):,})" for split in splits]
    return grid(["figure", *heads], rows)


def cell(report: Report, split: str, name: str) -> str:
    value = report["metrics"][split].get(name)
    ends = interval(report, split, name, value)
    return numbers.figure(value) + (f" ({ends})" if ends else "")


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([plain(one) for one in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def warned(report: Report) -> list[str]:
    """Figures that say nothing, said so."""
    return [f"**{plain(line)}.**" for line in no_better(report, report["metrics"], report["objective"]["name"])]


def data_of(report: Report) -> str:
    sizes = ", ".join(f"{size:,} {split}" for split, size in report["data"]["sizes"].items())
    left_out = len(report["data"].get("skipped", []))
    found = [*report["data"].get("warnings", []), *([f"left out: {left_out:,}"] if left_out else [])]
    told = f"\n\nWhat was found wrong with them:\n\n{listed(map(plain, found))}" if found else ""
    return f"{plain(subject(dict(report)))}: {sizes}.{told}"


def training(report: Report) -> str:
    """Where the weights come from, and what trained when."""
    network, versions = report["backbone"], report["versions"]
    began = f"{plain(network['name'])}, {network['parameters']:,} parameters, weights: {plain(network['weights'])}"
    rows = [
        [
            phase["name"],
            f"{phase['first_epoch'] + 1} to {phase['last_epoch'] + 1}",
            f"{phase['trainable_parameters']:,} of {phase['total_parameters']:,}",
        ]
        for phase in report["phases"]
    ]
    phases = grid(["phase", "epochs", "parameters that train"], rows)
    kept = plain(held(dict(report))) if report["history"] else "nothing was trained"
    kept = f"{phases}\n\n{kept[:1].upper()}{kept[1:]}"
    made = ", ".join(f"{name} {versions[name]}" for name in ("ftlab", "torch", "lightning") if name in versions)
    return f"{began}. Head: {report['head']}. Strategy: {report['strategy']}.\n\n{kept}. Made with {made}."


def limits(report: Report) -> Iterator[str]:
    """What must not be read into the figures."""
    yield f"The figures hold for data like those of {plain(subject(dict(report)))}; other data have others."
    if "val" in report["metrics"]:
        yield "Val has chosen among the epochs, so its figures are a little too good; test's are not."
    if report.get("refit"):
        yield "The bundle has learned from val too; its figures of val are those of the fit before."
    if report["data"].get("classes") and report["task"] == "classification":
        yield "It always answers with one of its classes, also for inputs that are of none."


def licence(report: Report) -> str:
    """Nobody but the user can give one for what comes of their own data."""
    began = report["backbone"].get("licence")
    origin = f"The weights that it began with are under {began}. " if began else ""
    return f"{origin}Whoever hands this bundle on says under which licence; the training data may set limits."


def listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
