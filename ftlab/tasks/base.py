"""What a task is: what a batch's targets mean, the loss, the predictions and the metrics. Not a modality.

Shapes: b batch, k outputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ftlab.batch import Batch
from ftlab.blocks import Block, Sample
from ftlab.data.base import DataSpec
from ftlab.errors import UserError, choices
from ftlab.frames import Frame, Size, Window
from ftlab.inputs.base import InputPreprocessing
from ftlab.targets.base import Target
from ftlab.tasks.sections import blocks_of

if TYPE_CHECKING:  # importing torchmetrics takes a second, which `ftlab plan` and `ftlab predict` do not need
    import numpy as np
    from torchmetrics import Metric, MetricCollection

    from ftlab.convex.standardised import Layer
    from ftlab.tasks.sums import Sums, Units

Better = Literal["max", "min"]  # the larger, or the smaller


@dataclass(frozen=True)
class Trivial:
    """A predictor that looks at no input."""

    says: str  # what it does, in words: "always saying 'cat'"
    prediction: Tensor  # (...) of any sample, in the form in which `compared` gives it


class Task(nn.Module, ABC):
    """Built as TaskClass(spec, **settings); holds no trainable parameters."""

    name: str
    objective: str  # the metric that a sweep optimises
    takes: ClassVar[type[Target]]  # the kind of target that it is of
    reads: ClassVar[str] = "numbers"  # what of a head's outputs it understands, as in Head.gives
    num_outputs: int
    predict_settings: Mapping[str, Any] = MappingProxyType({})  # with their defaults: what `describe` takes by name
    of_lines: Sequence[str] = ()  # those of them that `flat` leaves without effect
    background: int | None = None  # the class of what is nothing, where there is one
    worst_title = "The worst samples"  # over those that `worst` gives, in report.html
    # What a window of batches weighs at least: images without a box have a loss of their background and the weight 0,
    # where a detector that divides by the number of boxes takes 1.
    least_weight: float = 0.0
    # Whether metrics, diagnosis and `worst` are given both sides in the raw inputs' pixels, and all targets
    # of a sample, also what lies beyond what the network sees. Else in the network's, with what is left there.
    each_epoch: bool = False  # whether the figures of each epoch are of Head.answers, and not of what training sees
    joins: ClassVar[bool] = False  # whether figures of inputs in tiles are of what is `joined`; else tile by tile
    raw_figures: ClassVar[bool] = False
    formats: Sequence[str] = ()  # of ftlab.exports: what its predictions can be written as beside lines and tables

    def __init__(self, spec: DataSpec) -> None:
        """Raises: UserError for data with targets of another kind."""
        super().__init__()
        if not isinstance(spec.target, self.takes):
            what = f"needs {self.takes.plural} as targets, and data={spec.name} has {spec.target.plural}"
            ways = [f"choose task={spec.target.task}", *filter(None, [self.takes.given])]
            raise UserError(f"task={self.name}: {what}; {', or '.join(ways)}")
        self.spec = spec

    def meets(self, preprocessing: InputPreprocessing) -> None:  # most tasks need nothing of it
        """Called once it is known how inputs become the network's, for a task whose answers are parts of inputs."""
        return None

    def check_val(self, samples: int) -> None:  # most tasks settle nothing
        """Called before a run. Raises: UserError for fewer val samples than what is to be settled on them needs."""
        return None

    @abstractmethod
    def loss(self, outputs: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """(sum of the losses, sum of their weights), both scalars; the caller divides.

        Dividing once, over the accumulation window and all ranks, is what makes class weights right there too.
        """

    def training_loss(self, outputs: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """`loss` of a step: of each member of an ensemble by itself, where outputs hold a row for each of a sample."""
        if not isinstance(outputs, Tensor) or len(outputs) == len(batch):
            return self.loss(outputs, batch)
        places = torch.arange(len(batch), device=batch.index.device)
        targets = Batch(batch.targets, batch.index).select(places.repeat_interleave(len(outputs) // len(batch)))
        return self.loss(outputs, targets)

    def refuses_convex(self) -> str | None:
        """Why a convex phase cannot fit the last layer for this task; None: it can."""
        return f"task={self.name} has no convex fit of its last layer"

    def last_layer(self, features: Tensor, targets: Tensor, strength: float | None) -> "Layer":
        """The linear layer on features (n, d) that is best for all `targets` by a convex fit; `strength`: see Phase.C.

        Raises: UserError if the task has none.
        """
        raise UserError(f"{self.refuses_convex()}; use fit: gradient")

    def refuses_estimator(self) -> str | None:
        """Why a learner of scikit-learn cannot be the head; None: it can."""
        return f"task={self.name} has no learner of scikit-learn; use head=linear"

    def for_estimator(self, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """What such a learner is given: classes (n,) or numbers (n, k), and a weight of each sample (n,)."""
        return targets, None

    @abstractmethod
    def predictions(self, outputs: Any) -> Any:
        """Raw outputs to what they say, one a sample: probabilities (b, k), numbers in the user's units
        (b, targets, m), or tuples, lists and mappings of what is of each sample."""

    def in_raw(self, predictions: Any, frame: Any) -> Any:
        """Predictions in pixels of the network's inputs as those in pixels of the raw ones: for whoever predicts.

        Called where the kind of target `follows`; targets and losses are of the network's pixels, metrics as
        `raw_figures` says, and Batch tells the `frame` to the head and to `loss`.
        """
        raise NotImplementedError(f"task={self.name}: does not say how its predictions come back to the raw inputs")

    def joined(self, predictions: Sequence[Any], frame: Frame, windows: Sequence[Window], size: Size) -> Any:
        """The prediction of a whole input in its own pixels, of what `predictions` said of each of its tiles.

        frame: from the tiles to the network's inputs; windows: where they lie in the input, of the height and width
        `size`. What neighbours share is of both.
        """
        raise NotImplementedError(f"task={self.name}: does not say how predictions of tiles are joined")

    @abstractmethod
    def compared(self, predictions: Any, targets: Any) -> tuple[Any, Any]:
        """What metrics and diagnosis take of a batch: predictions and targets of the form that they expect."""

    @abstractmethod
    def metrics(self, samples: int) -> "MetricCollection":
        """Figures with dataset-level state, for a split of `samples`; each takes what `compared` gives."""

    @property
    def better(self) -> Mapping[str, Better]:
        """Which way each figure is better, beside the loss: what monitor= may name.

        By default as its metric says; one that does not say it is left out.
        """
        said = {name: metric.higher_is_better for name, metric in self.metrics(1).items()}
        return {name: "max" if higher else "min" for name, higher in said.items() if higher is not None}

    @property
    def mode(self) -> Better:
        """Which way the objective is better."""
        return self.better[self.objective]

    @property
    def scales(self) -> Mapping[str, tuple[float, float]]:
        """From where to where a figure goes; those of the objective's scale share its plot. By default as its metric
        says; one without an end on either side is left out.
        """
        said = {name: (m.plot_lower_bound, m.plot_upper_bound) for name, m in self.metrics(1).items()}
        return {name: (low, high) for name, (low, high) in said.items() if low is not None and high is not None}

    def figures(self, values: Mapping[str, Tensor]) -> dict[str, float | None]:
        """What the metrics have computed as numbers by name; None where a figure is undefined."""
        return {name: float(value) for name, value in values.items()}

    def scores(self, predictions: Any, targets: Any) -> Tensor | None:
        """(b,) numbers, one a sample, whose mean is the objective, higher being better; they tell what difference of
        two epochs chance may make. Takes what `compared` gives. None: it is no such mean."""
        return None

    def sums(self, predictions: "np.ndarray", targets: "np.ndarray", units: "Units") -> "Mapping[str, Sums]":
        """The main figures, the objective first, as functions of sums over samples, which is what gives them intervals.

        predictions, targets: all of a split that `compared` gave, as arrays (n, ...). By default none has an interval,
        and nothing of a split is gathered for it.
        """
        return {}

    def trivials(self) -> Sequence[Trivial]:
        """What the figures of `sums` are held against; none where the training targets are not known."""
        return ()

    @abstractmethod
    def diagnosis(self) -> "Metric | None":
        """What the report draws of a split, gathered as a metric: confusion matrices, or predictions beside truths.

        None: nothing that `metrics` have not gathered.
        """

    def settle(self, diagnosis: Any) -> None:
        """Decide what val decides once the network is trained, by what `diagnosis` computed of it: a threshold."""

    def settled(self) -> dict[str, Any]:
        """The settings that data have decided, as the bundle keeps them, which has no data: {name: value}."""
        return {}

    @abstractmethod
    def section(self, diagnosis: Any, split: str) -> dict[str, Any]:
        """The part of report.json, in plain containers, that tells what `diagnosis` computed on `split`."""

    def blocks(self, report: Mapping[str, Any]) -> Sequence[Block]:
        """What report.html shows of `report` (report.json, the own section in it) below the table of all figures.

        ftlab.blocks has what there is to give; by default the sections that ftlab knows, which nothing else needs.
        """
        return blocks_of(report)

    def at_predict(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of `describe`: `given` over the defaults.

        Raises: UserError for one that the task does not read, or a value that it does not take.
        """
        from ftlab.settings import mismatch  # pydantic: a quarter of a second

        for name, value in given.items():
            if name not in self.predict_settings:
                near = choices(name, self.predict_settings)
                raise UserError(f"{name}={value}: task={self.name} has no such setting when it predicts; {near}")
            if wrong := mismatch(name, value, [self.predict_settings[name]]):
                raise UserError(f"{name}={value}: {wrong}")
        return {**self.predict_settings, **given}

    def answering(self, settings: Mapping[str, Any]) -> Any:
        """How a head that generates its answers is to do that: by `settings` of `at_predict`, {} for the task's own."""
        return None

    def calibrated(self, predictions: Any) -> Any:
        """Predictions as they are said: brought nearer to what val has shown of them, where the task does that."""
        return predictions

    @abstractmethod
    def describe(self, predictions: Any, *args: Any, **settings: Any) -> list[dict[str, Any]]:
        """One plain record a sample, as `ftlab predict` writes it; `settings`: all of `predict_settings`, by name."""

    def flat(self, record: Mapping[str, Any], prediction: Any) -> Mapping[str, Any]:
        """What of a record of `describe` is in a row of a table, whose columns are the same for all samples.

        prediction: that of the sample, on the CPU. Mappings become columns of their own.
        """
        return record

    def painted(self, image: Any, record: Mapping[str, Any], prediction: Any) -> Any:
        """A raw image (Pillow) with a record of `describe` drawn upon it, and what that was made of; for `overlay` in
        `formats`."""
        raise NotImplementedError(f"task={self.name}: draws nothing upon images")

    @abstractmethod
    def worst(self, predictions: Any, targets: Any) -> list[dict[str, Any]]:
        """The wrong samples, worst first: {position, truth, prediction, severity, note}.

        severity orders the samples of all batches, the highest first; note says it to a person.
        """

    def drawn(self, sample: Sample, worst: Mapping[str, Any]) -> Sample:
        """One of the worst samples as the gallery shows it: with its raw input and what `worst` said, or drawn upon.

        worst: of `worst`, and beside it `answer` (what `predictions` gave, of this sample) and `target`, on the CPU;
        and `frame`, from the raw input's pixels to those that these are in, where the kind of target `follows`.
        """
        return sample


def class_weights(
    setting: str | list[float] | Mapping[str, float], counts: tuple[int, ...], classes: Sequence[str]
) -> list[float] | None:
    """One weight a class: none, a list in the order of the classes, a mapping of some of them (1 for the others),
    or balanced: n / (k * n of the class), as scikit-learn does."""
    if setting == "none":
        return None
    if setting == "balanced":
        total = sum(counts)
        return [total / (len(counts) * max(1, count)) for count in counts]
    if isinstance(setting, Mapping):
        named = {str(name): float(weight) for name, weight in setting.items()}
        for name in named:
            if name not in classes:
                raise UserError(f"task.class_weights: '{name}' is no class; {choices(name, classes)}")
        setting = [named.get(name, 1.0) for name in classes]
    weights = [float(w) for w in setting]
    if len(weights) != len(counts):
        raise UserError(
            f"task.class_weights: {len(weights)} weights for {len(counts)} classes; give one a class, in the order of "
            f"{', '.join(classes[:20])}, or by name: {{{classes[0]}: 2}}"
        )
    if not all(0 <= weight < float("inf") for weight in weights) or max(weights) == 0:
        raise UserError("task.class_weights: weights must be 0 or more, and one of them above 0")
    if not any(weight and count for weight, count in zip(weights, counts, strict=True)):
        raise UserError("task.class_weights: all training samples have the weight 0; give a class that is there more")
    return weights
