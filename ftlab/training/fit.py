"""Fit the parts of a run, and tell what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from rich.console import Console
from torch import Tensor

from ftlab.assembly import Parts
from ftlab.backbones.depthwise import by_taps
from ftlab.backbones.layout import channels_last
from ftlab.blocks import Block
from ftlab.bundle import Description, settled_of, targets_of
from ftlab.data.module import DataModule
from ftlab.data.seen import training_samples
from ftlab.errors import UserError
from ftlab.evaluation import Evaluation, evaluate, monitored, results, section, shown
from ftlab.inputs.images.transforms import mix
from ftlab.reports.intervals import no_better
from ftlab.resume import flat, is_unasked, went_on
from ftlab.run_settings import RunSettings
from ftlab.search.pruning import pruning_of
from ftlab.strategies.base import prolonged_by
from ftlab.tasks.monitor import Monitor, monitor_of
from ftlab.tasks.resampling import Judged, by_split, remarks
from ftlab.training import trainer as trainers
from ftlab.training.blending import Blended, blend, kept, start_of
from ftlab.training.caching import Caching
from ftlab.training.distributed.ranks import EqualRanks
from ftlab.training.environment import environment, versions
from ftlab.training.finetuner import FineTuner
from ftlab.training.phases import thaws
from ftlab.training.phases.averaging import Averaging
from ftlab.training.phases.convex import ConvexFit
from ftlab.training.phases.history import best_epoch, in_effect, losses, phase_records, unmeasured
from ftlab.training.phases.rates import RatePlan
from ftlab.training.phases.unfreezing import Unfreezing
from ftlab.training.progress import EpochLines
from ftlab.training.saving.checkpoints import Checkpoints, newest
from ftlab.training.saving.files import BEST
from ftlab.training.saving.interruptions import Interruptions
from ftlab.training.saving.loading import read_checkpoint
from ftlab.training.saving.nonfinite import factor
from ftlab.training.saving.nonfinite import warnings as recovered
from ftlab.training.saving.recovery import Recovery
from ftlab.training.tracking.callback import Tracking, guards
from ftlab.training.trials.compiling import Compiling, clear_errors
from ftlab.training.trials.out_of_memory import out_of_memory
from ftlab.training.watching import Watching
from ftlab.watchers.deadline import deadline_of

WORST = 24  # samples in the gallery of the report
WITHOUT_WEIGHTS = {"pretrained": False, "weights": None, "checkpointing": False}  # of a backbone in a bundle

Report = dict[str, Any]


def fit(
    parts: Parts, settings: RunSettings, make_data: Callable[..., DataModule], folder: Path, console: Console
) -> "Fitted":
    """Train all phases; afterwards the model holds the best weights of the run.

    Raises: UserError for a run without steps, or numbers that go bad.
    """
    with trainers.only_news():
        trainer, finetuner = prepare(parts, settings, make_data, folder, console)
        last = newest(folder / "checkpoints") if settings.resumes else None
        start = start_of(parts, settings, make_data()) if settings.blend != "none" and trainer.is_global_zero else None
        try:
            layout = channels_last(parts.model, trainer.strategy.root_device)
            with out_of_memory(settings), clear_errors(), by_taps(parts.model), layout:
                trainer.fit(finetuner, ckpt_path=last, weights_only=True)
        except SystemExit as stop:  # Lightning turns Ctrl-C into exit code 1
            raise (stop.__context__ if isinstance(stop.__context__, KeyboardInterrupt) else stop) from None
    if not finetuner.history:
        raise UserError(
            "the run took no step: there is nothing to train on; look at the data's sizes and trainer.max_epochs"
        )
    end = kept(finetuner, start is not None)
    if end != len(finetuner.history) - 1:  # else they are there
        finetuner.load_state_dict(read_checkpoint(folder / "checkpoints" / BEST)["state_dict"])
    device = trainer.strategy.root_device
    finetuner.model.to(device), finetuner.task.to(device)
    found = Fitted(parts, settings, finetuner)
    if start is not None:
        found.blend(start, end, console)
    return found


def prepare(
    parts: Parts, settings: RunSettings, make_data: Callable[..., DataModule], folder: Path, console: Console
) -> tuple[Trainer, FineTuner]:
    checkpoints = folder / "checkpoints"
    interruptions, unfreezing = Interruptions(), Unfreezing(checkpoints)
    recovery = Recovery(settings.on_nonfinite, checkpoints, unfreezing)
    trainer = trainers.build(
        settings.trainer,
        epochs=sum(phase.epochs for phase in parts.phases) if parts.follows is None else len(parts.follows),
        loggers=guards(settings.trackers, folder, console, again=parts.follows is not None),
        callbacks=[
            Tracking(flat(settings.written.config), settings.resumes),
            unfreezing,
            Averaging(parts.weight_average),
            Caching(parts.cache, console),
            *([Compiling(console)] if settings.compile == "on" else []),
            ConvexFit(folder),
            recovery,
            EqualRanks(),
            EpochLines(console),
            Watching([*pruning_of(folder), *([] if settings.resumes else deadline_of(folder))]),
            interruptions,
            Checkpoints(
                checkpoints, interruptions, writes_metrics=settings.writes_metrics, **asdict(settings.checkpoint)
            ),
        ],
        validates="val" in parts.spec.sizes,
    )
    data = make_data(world=trainer.world_size)
    finetuner = FineTuner(
        model=parts.model,
        task=parts.task,
        optimizer=parts.optimizer,
        plan=rate_plan(parts, settings, data),
        mix=partial(mix, augment=parts.augment, num_classes=parts.spec.target.one_hot),
        seed=settings.seed,
        monitor=monitor_of(settings.monitor, parts.task),
        data=make_data,
        evaluation=monitored(parts.task, parts.splits.val),
        batch_size=data.batch_size,
        recovery=recovery,
        follows=parts.follows,
    )
    return trainer, finetuner


def rate_plan(parts: Parts, settings: RunSettings, data: DataModule) -> RatePlan:
    steps = -(-data.batches() // settings.trainer.accumulate_grad_batches)  # the last window may be incomplete
    return RatePlan(parts.optimizer.lr, parts.rates, parts.schedule, parts.phases, max(1, steps))


@dataclass
class Fitted:
    """A run that has trained."""

    parts: Parts
    settings: RunSettings
    finetuner: FineTuner
    blended: Blended | None = None

    def blend(self, start: Mapping[str, Tensor], end: int, console: Console) -> None:
        """Go back from the weights that are there, of the epoch `end`, towards `start`, as far as val likes it."""
        by = self._monitor()
        self.blended = blend(self.parts.model, start, end, lambda: self.evaluate("val").figures()[0].get(by.name), by)
        console.print(self.blended.line(), markup=False, highlight=False, soft_wrap=True)

    @property
    def chosen(self) -> list[float | None]:
        """What phases and rates went by, up to the epoch whose weights are kept."""
        values = self.finetuner.losses
        best = best_epoch(values)
        return values if best is None else values[: best + 1]

    def evaluate(self, split: str) -> Evaluation:
        """The best weights on a split that there is."""
        parts, batches = self.parts, self.finetuner.data().loader(split, False)
        own = parts.splits.parts()[split]
        return evaluate(parts.model, parts.task, batches, len(own), WORST, own.targets, own.tiled)

    def report(self, evaluations: Mapping[str, Evaluation]) -> Report:
        """What report.json says, but for times and config."""
        from ftlab.plan_tables import plan_table, stage_table

        tuner, parts, values = self.finetuner, self.parts, self.finetuner.losses
        figures = {split: evaluation.figures() for split, evaluation in evaluations.items()}
        metrics = {split: found[0] for split, found in figures.items()}
        undefined = {f"{split}: {text}": 1 for split, (_, found) in figures.items() for text in found} | tuner.warned
        sizes, free = parts.model.sizes(), parts.model.free_sizes()
        drawn = shown(evaluations)
        sure = self._sure(evaluations)
        resampled = by_split(sure)
        judged = "val" if "val" in metrics else "test" if "test" in metrics else None
        return {
            "schema_version": 1,
            "task": parts.task.name,
            "backbone": {
                "name": parts.model.backbone.name,
                **parts.model.backbone.loaded.told(),
                "parameters": sum(p.numel() for p in parts.model.backbone.parameters()),
            },
            "head": type(parts.model.head).__name__.lower(),
            "strategy": self.settings.written.strategy,
            "objective": {
                "name": parts.task.objective,
                "value": metrics[judged][parts.task.objective] if judged else None,
                "mode": parts.task.mode,
                "split": judged,
            },
            "metrics": metrics,
            **resampled,
            "stages": stage_table(parts),
            "plan": plan_table(parts),
            "phases": phase_records(parts.phases, tuner.history, values, sizes, tuner.supply.told, free),
            "history": [{key: value for key, value in record.items() if key != "rates"} for record in tuner.history],
            "rates": tuner.plan.curve(values, factor=self._halved, ran=[one.get("rates", []) for one in tuner.history]),
            "best": self._best(values),
            **({"blend": self.blended.told()} if self.blended else {}),
            "prolonged_by": prolonged_by(parts.phases, values),
            "data": {
                "name": parts.spec.name,
                "sizes": dict(parts.spec.sizes),
                **parts.spec.target.described(),
                "warnings": list(parts.spec.warnings),
                "skipped": [asdict(fault) for fault in parts.spec.skipped],
            },
            **({} if drawn is None else section(evaluations[drawn], evaluations[drawn].task[0], drawn)),
            "versions": versions(),
            "environment": environment(),
            "resumed": tuner.resumed,
            "warnings": [
                *no_better(resampled, metrics, parts.task.objective),
                *remarks(sure),
                *map(went_on, filter(is_unasked, tuner.resumed)),
                *recovered(tuner.recovery.events),
                *(f"{text} ({count} times)" for text, count in undefined.items()),
                *unmeasured(tuner.history, values, self._monitor().typed),
                *thaws.warnings(self._judges(), parts.phases, thaws.ways(parts, self.settings.slower)),
            ],
        }

    def _monitor(self) -> Monitor:
        return in_effect(self.finetuner.history, self.finetuner.monitor)

    def _sure(self, evaluations: Mapping[str, Evaluation]) -> dict[str, Judged]:
        """How sure the figures of each split are."""
        parts = self.parts.splits.parts()
        found = {split: evaluation.judged(*parts[split].together) for split, evaluation in evaluations.items()}
        return {split: one for split, one in found.items() if one is not None}

    def _judges(self) -> list[thaws.Judge]:
        """The monitored figure, then the task's objective where val defines it."""
        task, history, samples = self.parts.task, self.finetuner.history, self.parts.spec.sizes.get("val", 0)
        monitors = dict.fromkeys((self._monitor(), monitor_of(task.objective, task)))
        found = [
            thaws.Judge(one.name, losses(history, one.name, one.sign), one.sign, samples, task.scales.get(one.name))
            for one in {one.name: one for one in monitors}.values()
        ]
        return [found[0], *(one for one in found[1:] if best_epoch(one.losses) is not None)]

    def _halved(self, epoch: int, step: int) -> float:
        """What rollbacks have made of the rate by the optimizer step `step` of `epoch`."""
        batches = self.settings.trainer.accumulate_grad_batches
        return factor(self.finetuner.recovery.events, epoch, step * batches)

    def _best(self, values: list[float | None]) -> Report | None:
        """The epoch whose weights are kept; `over`: the one that val puts above it, by no more than chance."""
        epoch = best_epoch(values)
        if epoch is None:
            return None
        history, monitor = self.finetuner.history, self._monitor()
        measured = losses(history, monitor.name, monitor.sign)
        top = min(((value, place) for place, value in enumerate(measured) if value is not None))[1]
        record = history[epoch]
        best = {"epoch": epoch, "phase": record["phase"], "monitor": monitor.name}
        best |= {"value": record["val"][monitor.name]}
        above = measured[top] != measured[epoch]
        return {**best, "over": {"epoch": top, "value": history[top]["val"][monitor.name]} if above else None}

    def blocks(self, report: Report, evaluations: Mapping[str, Evaluation]) -> list[Block]:
        """What the page shows of the split that is judged: the task's own, and the worst samples of it; then some
        samples that were trained on."""
        split, data = shown(evaluations), self.finetuner.data()
        judged = [] if split is None else results(report, evaluations[split], evaluations[split].task[0], data, split)
        return [*judged, *(self.blended.blocks() if self.blended else []), *training_samples(data)]

    def description(self, report: Report, own_backbone: bool, own_data: bool) -> Description:
        """bundle.json of the run. The backbone's weights are in the bundle, so it is built without any."""
        written = self.settings.written
        backbone = {
            **written.backbone,
            **{key: value for key, value in WITHOUT_WEIGHTS.items() if key in written.backbone},
        }
        preprocessing = self.parts.preprocessing
        return Description(
            task=report["task"],
            targets=targets_of(self.parts.spec),
            preprocessing=preprocessing.stored(),
            backbone={}
            if own_backbone
            else {**backbone, **preprocessing.builds(), **self.parts.model.backbone.rebuilds()},
            head={**written.head, **self.parts.model.head.rebuilds()},
            task_settings={**written.task, **settled_of(self.parts.task)},
            num_outputs=self.parts.task.num_outputs,
            metrics=report["metrics"],
            versions=report["versions"],
            config={**written.config, "data": None} if own_data else dict(written.config),
        )
