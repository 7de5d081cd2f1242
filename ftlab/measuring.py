"""What `ftlab evaluate` computes of a bundle and of data, and what it leaves for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ftlab.data.base import Splits
from ftlab.data.module import DataModule
from ftlab.data.module import check as check_targets
from ftlab.data.tiles import tiled
from ftlab.disk import clear_errors
from ftlab.earlier import Measured
from ftlab.errors import UserError
from ftlab.evaluation import Evaluation, evaluate, results, section
from ftlab.files.writing import SCHEMA_VERSION, write_json
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import InputPreprocessing
from ftlab.predictor import Predictor
from ftlab.reports.intervals import no_better
from ftlab.reports.page import write_evaluation
from ftlab.tasks.resampling import by_split, remarks

Report = dict[str, Any]
TOLD = ("prediction", "truth", "note", "severity")  # of each of the worst samples


@dataclass
class Found:
    """An evaluation that is done."""

    predictor: Predictor
    measured: Measured
    data: DataModule
    evaluation: Evaluation
    remarks: Sequence[str]

    def report(self, bundle: str, command: str) -> Report:
        """What report.json says."""
        split, task = self.measured.split, self.predictor.task
        figures, undefined = self.evaluation.figures()
        samples = self.data.samples(split)
        names, one = samples.name, self.evaluation.judged(*samples.together)
        sure = {} if one is None else {split: one}
        resampled = by_split(sure)
        return {
            "schema_version": SCHEMA_VERSION,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command,
            "bundle": bundle,
            "task": task.name,
            "backbone": self.predictor.model.backbone.name,
            "data": {"name": self.measured.data, "sizes": dict(self.measured.sizes), **task.spec.target.described()},
            "split": split,
            "samples": self.evaluation.samples,
            "metrics": figures,
            **resampled,
            **section(self.evaluation, task, split),
            "worst": [
                {"name": names(one["index"]), **{key: one[key] for key in TOLD}} for one in self.evaluation.worst
            ],
            "warnings": [
                *no_better(resampled, {split: figures}, task.objective),
                *remarks(sure),
                *undefined,
                *self.measured.said,
                *self.remarks,
            ],
        }

    def leave(self, report: Report, output: Path) -> None:
        """report.json and report.html in the folder `output`, or the first alone as the file of that name."""
        split = self.measured.split
        with clear_errors(output.parent, f"output={output}"):
            if is_file(output):
                write_json(output, report)
                return
            output.mkdir(exist_ok=True)
            write_json(output / "report.json", report)
            drawn = {**report, "metrics": {split: report["metrics"]}}  # as the report of a run has them
            blocks = results(drawn, self.evaluation, self.predictor.task, self.data, split)
            write_evaluation(drawn, blocks, self.predictor.task.objective, output / "report.html")


def measure(predictor: Predictor, measured: Measured, batch_size: int, num_workers: int) -> Found:
    """Raises: UserError for data with other targets than the bundle's, or that the network cannot take."""
    spec, preprocessing = predictor.task.spec, predictor.preprocessing
    whole = measured.splits.suited(spec.target)
    splits = tiled(whole, preprocessing.windows, learned=False)
    check_targets(measured.data, splits)
    if preprocessing.from_rows:  # of images a check has told already
        check_inputs(preprocessing, splits)
    remarks = (*splits.warnings[len(whole.warnings) :], *preprocessing.remarks(splits.inputs()))
    data = DataModule(splits, spec, preprocessing, Augment(), batch_size, num_workers, seed=0)
    loader, samples = data.loader(measured.split, shuffle=False), data.samples(measured.split)
    model, task = predictor.model, predictor.task
    found = evaluate(model, task, loader, len(samples), column=samples.targets, tiled=samples.tiled)
    return Found(predictor, measured, data, found, remarks)


def check_inputs(preprocessing: InputPreprocessing, splits: Splits) -> None:
    """Raises: UserError, naming the first sample, for those that the network cannot take."""
    transform = preprocessing.transform()
    several = [(samples, place) for samples in splits.parts().values() for place in range(len(samples))]
    bad: list[str] = []
    for samples, place in several:
        try:
            transform(samples.inputs[place])
        except UserError as error:
            bad.append(f"{samples.name(place)}: {error}")
    if bad:
        plural = preprocessing.plural
        raise UserError(
            f"{len(bad):,} of {len(several):,} {plural} do not fit the bundle; mend or remove them: {bad[0]}"
        )


def is_file(output: Path) -> bool:
    """Whether `output` names a file, not a folder."""
    return output.suffix == ".json"


def new_place(output: str | None) -> Path | None:
    """Where the report goes. Raises: UserError for what is there already, or whose folder is not."""
    if output is None:
        return None
    path = Path(output)
    if not path.absolute().parent.is_dir():
        raise UserError(f"output={path}: the folder {path.parent} is not there; make it first")
    if is_file(path) and path.exists():
        raise UserError(f"output={path}: the file exists already; name another, nothing is overwritten")
    if not is_file(path) and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"output={path}: exists already; name a new folder, or a new file that ends in .json")
    return path
