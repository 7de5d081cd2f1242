"""Figures of one split, gathered batch by batch: loss, metrics, what the report draws, the worst samples.

Shapes: b batch, k outputs.
"""

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ftlab.backbones.modes import in_evaluation
from ftlab.batch import Batch, mapped, of_one
from ftlab.blocks import Block, Gallery, Heading, Sample
from ftlab.data.base import Samples, Tiled
from ftlab.data.module import DataModule
from ftlab.model import Model
from ftlab.targets.base import Column
from ftlab.tasks.base import Task
from ftlab.tasks.resampling import Judged, judged
from ftlab.tasks.wholes import Whole

GATHERED = 200_000_000  # numbers of predictions, above which they are not kept to give figures intervals


class Sums:
    """A sum of losses and their weight, on the device of what is added, without a word to the CPU.

    Not a registered buffer: DDP would overwrite it with that of rank 0 in each forward pass.
    """

    def __init__(self, total: float = 0.0, weight: float = 0.0) -> None:
        self.both = torch.tensor([total, weight], dtype=torch.float64)

    def add(self, total: Tensor, weight: Tensor) -> None:
        wide = torch.float32 if total.device.type == "mps" else torch.float64  # MPS has no float64
        self.both = self.both.to(total.device, wide) + torch.stack([total.detach(), weight]).to(wide)


def numbers_of_one(compared: tuple[Tensor, Tensor]) -> int:
    """How many numbers `Task.compared` gives of one sample, predictions and targets."""
    return sum(part[:1].numel() for part in compared)


def mean(total: float, weight: float, task: Task) -> float:
    """The mean of losses; not a number where nothing was weighed."""
    divisor = max(weight, task.least_weight)
    return total / divisor if divisor else math.nan


class Evaluation(nn.Module):
    """Dataset-level state, never a mean of batch means."""

    def __init__(
        self,
        task: Task,
        samples: int,
        keep: int = 0,
        shared: bool = True,
        column: Column | None = None,
        tiled: Tiled | None = None,
    ) -> None:
        """`keep`: how many of the worst samples; with 0 what the report draws is not gathered either.

        `shared`: whether other ranks hold the rest of the split. `column`: its targets, for tasks with `raw_figures`.
        `tiled`: see Samples.
        """
        super().__init__()
        self.task = [task]  # in a list, so that its buffers are not registered twice
        self.samples, self.keep = samples, keep
        self.column = column
        self.whole = Whole(task, tiled, shared) if tiled is not None and task.joins else None
        self.metrics = task.metrics(samples)
        self.diagnosis = task.diagnosis() if keep else None
        for metric in [*self.metrics.values(), *([self.diagnosis] if self.diagnosis is not None else [])]:
            # Both: torchmetrics reads the second, which its constructor copies from the first.
            metric.sync_on_compute = metric._to_sync = shared and self.whole is None
        self.loss = Sums()
        # (samples,) of Task.scores, 0 for those of other ranks; there too where this rank has no sample.
        self.scores = None if type(task).scores is Task.scores else torch.zeros(samples)
        self.gathers = bool(keep) and type(task).sums is not Task.sums
        self.too_many = False  # told by the first batch: a mask gives more numbers than it has classes
        self.compared: list[tuple[Tensor, ...]] = []  # of each batch, where they are resampled; and index
        self.worst: list[dict[str, Any]] = []  # what Task.worst told, and what Task.drawn is told beside it

    def reset(self) -> None:
        self.metrics.reset()
        if self.whole is not None:
            self.whole.reset()
        self.loss = Sums()
        self.scores = None if self.scores is None else torch.zeros(self.samples)
        self.worst, self.compared = [], []
        if self.diagnosis is not None:
            self.diagnosis.reset()

    @torch.no_grad()
    def update(self, outputs: Any, batch: Batch) -> None:
        """Take in the raw outputs of a batch."""
        task = self.task[0]
        total, weight = task.loss(outputs, batch)
        self.loss.add(total, weight)
        own = task.predictions(outputs)
        predictions, targets = self._in_its_pixels(own, batch)
        compared = task.compared(predictions, targets)
        self._keep_scores(task.scores(*compared), batch)
        if self.whole is None:
            self._judge(compared)
        else:
            self.whole.add(own, batch)
        self.too_many = self.too_many or (self.gathers and self.samples * numbers_of_one(compared) > GATHERED)
        if self.gathers and not self.too_many:
            self.compared.append(tuple(part.detach().cpu() for part in (*compared, batch.index)))
        if self.keep:
            here = mapped((predictions, targets, batch.frame), Tensor.cpu)
            named = [{**w, "index": int(batch.index[w["position"]])} for w in task.worst(*here[:2])[: self.keep]]
            self.worst = sorted([*self.worst, *named], key=lambda w: -w["severity"])[: self.keep]
            for one in self.worst:
                if "answer" not in one:  # of this batch, which is let go; only what is drawn of it stays
                    one["answer"], one["target"], one["frame"] = mapped(of_one(here, one["position"]), Tensor.clone)

    def _judge(self, compared: tuple[Any, Any]) -> None:
        self.metrics.update(*compared)
        if self.diagnosis is not None:
            self.diagnosis.update(*compared)

    def join(self) -> None:
        """Judge the inputs whose tiles were taken in as a whole; all tiles of the split have to be there."""
        if self.whole is not None and (compared := self.whole.compared()) is not None:
            self._judge(compared)

    def _in_its_pixels(self, predictions: Any, batch: Batch) -> tuple[Any, Any]:
        """Predictions and targets, in the raw inputs' pixels where the task's figures are of these."""
        task = self.task[0]
        if not task.raw_figures or batch.frame is None:
            return predictions, batch.targets
        assert self.column is not None, "targets in the raw inputs' pixels"
        whole = task.spec.target.gathered(self.column, batch.index.cpu())
        device = batch.index.device
        return task.in_raw(predictions, batch.frame), mapped(whole, lambda part: part.to(device))

    def _keep_scores(self, scores: Tensor | None, batch: Batch) -> None:
        if scores is not None and self.scores is not None:
            self.scores = self.scores.to(scores)
            self.scores[batch.index] = scores

    def figures(self, loss: Tensor | None = None) -> tuple[dict[str, float | None], list[str]]:
        """(metrics by name, warnings about those that are undefined); `loss` replaces the own sums, for all ranks'."""
        self.join()
        total, weight = (self.loss.both if loss is None else loss).tolist()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # torchmetrics does not say of which class; the task does.
            warnings.filterwarnings("ignore", "No (positive|negative) samples in targets")
            values = self.task[0].figures(self.metrics.compute())
        return {"loss": mean(total, weight, self.task[0]), **values}, [str(w.message) for w in caught]

    def judged(self, groups: Tensor | None = None, of: str = "samples") -> Judged | None:
        """Intervals of the main figures, and how they stand beside a trivial predictor; None for a task without.

        groups: (n,) of the split's samples; of: see Samples.together.
        """
        if not self.gathers:
            return None
        if self.too_many:
            return Judged(why=f"more than {GATHERED:,} numbers are predicted")
        predictions, targets, index = (torch.cat(parts) for parts in zip(*self.compared, strict=True))
        order = index.argsort(stable=True)
        return judged(self.task[0], predictions[order], targets[order], groups, of)


def monitored(task: Task, val: Samples | None) -> Evaluation:
    """What each epoch's figures of val, if there is one, are gathered by."""
    if val is None:
        return Evaluation(task, 0)
    return Evaluation(task, len(val), column=val.targets, tiled=val.tiled)


def of_an_epoch(model: Model, task: Task, batch: Batch) -> Any:
    """Raw outputs by which an epoch is judged: generating texts would take longer than training does."""
    return model.answers(batch, task.answering({})) if task.each_epoch else model(batch)


def evaluate(
    model: Model,
    task: Task,
    batches: Iterable[Batch],
    samples: int,
    keep: int = 24,
    column: Column | None = None,
    tiled: Tiled | None = None,
) -> Evaluation:
    """All of `batches` through the model in evaluation mode, on the device that it is on; the modes are put back.

    keep, column, tiled: see Evaluation.
    """
    weight = next(model.parameters())
    found = Evaluation(task, samples, keep, shared=False, column=column, tiled=tiled).to(weight.device)
    with in_evaluation(model), torch.inference_mode():
        for batch in batches:
            moved = as_weights(batch, weight)
            found.update(model.answers(moved, task.answering({})), moved)
    found.join()
    return found


def section(found: Evaluation, task: Task, split: str) -> dict[str, Any]:
    """What the report tells of a split beside its figures, in the task's own form."""
    return {} if found.diagnosis is None else task.section(found.diagnosis.compute(), split)


def results(report: Mapping[str, Any], found: Evaluation, task: Task, data: DataModule, split: str) -> list[Block]:
    """What a page shows of a split below the table of all figures: the task's own, and the worst samples of it."""
    own, worst = task.blocks(report), gallery(found, task, data, split)
    return [*own, Heading(task.worst_title, level=2), worst] if worst.samples else [*own]


def gallery(found: Evaluation, task: Task, data: DataModule, split: str) -> Gallery:
    """The worst samples, each with its image or its cells, as the task draws them."""
    names, drawn = data.samples(split).name, []
    for one in found.worst:
        texts = {key: one[key] for key in ("prediction", "truth", "note")}
        sample = Sample(names(one["index"]), **texts, **data.shown(split, one["index"]))
        drawn.append(task.drawn(sample, one))
    return Gallery(drawn)


def shown(evaluations: Mapping[str, Evaluation]) -> str | None:
    """The split that the report draws."""
    return "test" if "test" in evaluations else "val" if "val" in evaluations else None


def as_weights(batch: Batch, weight: Tensor) -> Batch:
    """The batch on the device of `weight`, what is no whole number in its type: a run may train in 64 or 16 bits."""
    return batch.each(lambda tensor: tensor.to(weight.device, weight.dtype if tensor.is_floating_point() else None))


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with every tensor on `device`."""
    return batch.each(lambda tensor: tensor.to(device))
