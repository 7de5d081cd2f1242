"""A trained network for inference: from a bundle, or right after a run.

Shapes: b batch, k outputs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ftlab.backbones.base import Backbone
from ftlab.backbones.hub import cache_only
from ftlab.batch import Batch, Fields, mapped, of_one
from ftlab.bundle import DESCRIPTION, Description, device_of, is_plain, read, restore, spec_of, tensors
from ftlab.config import instantiate
from ftlab.errors import UserError
from ftlab.evaluation import on_device
from ftlab.frames import Frame, Size, Where, Window
from ftlab.inputs.base import InputPreprocessing, framed
from ftlab.inputs.kinds import restored
from ftlab.model import Model, given
from ftlab.tasks.base import Task

Prepared = tuple[Fields, Where | None]  # of one input or of several; a frame where the kind of target follows


@dataclass(frozen=True)
class Pieces:
    """A raw input that is cut into tiles, which are prepared one by one: all at once they may be gigabytes."""

    raw: Any
    windows: Sequence[Window]
    size: Size


class Preparation:
    """From raw inputs to what a network takes, whatever runs it."""

    def __init__(self, task: Task, preprocessing: InputPreprocessing) -> None:
        self.task, self.preprocessing = task, preprocessing
        self.transform = preprocessing.transform()
        task.meets(preprocessing)

    def prepared(self, raw: Any) -> Prepared | Pieces:
        """A raw input as the network takes it, or what it is to be cut into."""
        target = self.task.spec.target
        if not target.follows:
            return self.transform(raw), None
        transform = framed(self.transform, target.plural)
        size = transform.extent(raw)
        if windows := self.preprocessing.windows(size):
            return Pieces(raw, windows, size)
        return transform.framed(transform.first(raw), size)

    def stacked(self, several: Sequence[Prepared]) -> Prepared:
        """Fields (b, ...) and frame of several inputs."""
        fields, frames = zip(*several, strict=True)
        return self.preprocessing.stack(fields), frames[0].stacked(frames) if self.task.spec.target.follows else None


class Predictor(Preparation):
    """model, task and preprocessing together; `ftlab.load` makes one from a bundle."""

    def __init__(self, model: Model, task: Task, preprocessing: InputPreprocessing) -> None:
        super().__init__(task, preprocessing)
        self.model = model.eval()

    @property
    def classes(self) -> tuple[str, ...]:
        return self.task.spec.target.classes

    def predict(self, inputs: Any, batch_size: int = 32, **settings: Any) -> list[dict[str, Any]]:
        """One record an input, in order: {class, probability, top: [{class, probability}]}; labels where several fit;
        {target: value} of a regression, in the units of its data.

        inputs: one or many; images as files, Pillow images, uint8 tensors (c, h, w) or arrays, of which four
        dimensions are many; rows of a table as mappings of column to cell, or a DataFrame. settings: the task's own,
        such as top_k=5, the number of classes in `top`.
        Raises: UserError naming an input that cannot be read, or a setting that the task has not.
        """
        checked = self.task.at_predict(settings)
        ready = (self.prepared(raw) for raw in self.preprocessing.each(inputs))
        how = self.task.answering(checked)
        chunks = (self.answers(chunk, batch_size, how) for chunk in batches(ready, batch_size))
        return [one for answers in chunks for one in self.task.describe(answers, **checked)]

    def answers(self, ready: Sequence[Prepared | Pieces], batch_size: int, how: Any = None) -> Any:
        """What the task says of several inputs that are `prepared`, in their own pixels, on the CPU. how: of
        Task.answering; None: as the task is set."""
        pieces = [one for one in ready if isinstance(one, Pieces)]
        if pieces:  # then all of them: whether inputs are cut is the preprocessing's to say
            return [self._joined(one, batch_size, how) for one in pieces]
        whole = [one for one in ready if not isinstance(one, Pieces)]
        return mapped(self.predictions(*self.stacked(whole), how), Tensor.cpu)

    def _joined(self, one: Pieces, batch_size: int, how: Any) -> Any:
        """The prediction of an input of that of its tiles."""
        transform = framed(self.transform, self.task.spec.target.plural)
        tiles = (self.preprocessing.cut(one.raw, window) for window in one.windows)
        ready = (transform.framed(transform.first(tile), transform.extent(tile)) for tile in tiles)
        found, frames = [], []
        for chunk in batches(ready, batch_size):
            fields, frame = self.stacked(chunk)
            said = mapped(self._said(fields, frame, how), Tensor.cpu)
            found += [of_one(said, place) for place in range(len(chunk))]
            frames += [own for _, own in chunk if own is not None]
        return self.task.joined(found, Frame.stacked(frames), one.windows, one.size)

    @torch.inference_mode()
    def predictions(self, fields: Fields, frame: Where | None = None, how: Any = None) -> Any:
        """Of preprocessed inputs, `stacked`, to what Task.predictions says of them, in the raw inputs' own pixels."""
        found = self._said(fields, frame, how)
        device = next(self.model.parameters()).device
        return found if frame is None else self.task.in_raw(found, frame.each(lambda part: part.to(device)))

    @torch.inference_mode()
    def _said(self, fields: Fields, frame: Where | None, how: Any) -> Any:
        """The same in pixels of the network's inputs."""
        device = next(self.model.parameters()).device
        nothing = torch.zeros(len(next(iter(fields.values()))), dtype=torch.long)
        batch = on_device(Batch(targets=None, index=nothing, inputs=fields, frame=frame), device)
        asked = self.task.answering({}) if how is None else how
        return self.task.predictions(self.model.answers(batch, asked))

    def to_timm(self) -> torch.nn.Module:
        """The same network as a plain timm model with a classifier; it knows its classes and how to prepare images.

        Raises: UserError for a head that timm lacks.
        """
        if not is_plain(self.model):
            raise UserError("to_timm: only a linear head on a timm backbone and its pooling is a plain timm model")
        model: Any = self.model.backbone.plain(self.task.num_outputs)
        model.load_state_dict(tensors(self.model))
        told = self.model.backbone.described(self.task.num_outputs, self.classes or (), self.preprocessing.stored())
        if told is not None:
            known = {key: told[key] for key in ("num_classes", "label_names") if key in told}
            model.pretrained_cfg = model.default_cfg = {**model.pretrained_cfg, **told["pretrained_cfg"], **known}
        return model.eval()  # type: ignore[no-any-return]

    def to_transformers(self) -> torch.nn.Module:
        """The same network as a plain model of transformers; it knows its classes. Of a regression it gives standard
        deviations from the mean of the training targets.

        Raises: UserError for a head that transformers has not; AutoModel.from_pretrained(bundle) gives the network.
        """
        model: Any = self.model.head.in_library(self.model.backbone.model)
        if self.classes:
            model.config.id2label = dict(enumerate(self.classes))
            model.config.label2id = {name: place for place, name in enumerate(self.classes)}
        return model.cpu()  # type: ignore[no-any-return]


def load(
    bundle: str | Path,
    backbone: Backbone | None = None,
    accelerator: str = "auto",
    trusted_modules: Sequence[str] = (),
) -> Predictor:
    """A bundle as a Predictor. `backbone`: the user's own, if the run was given one.

    `trusted_modules`: own Python modules whose classes the bundle may name; a bundle cannot trust for you.

    Raises: UserError naming the file that is missing, broken or does not fit.
    """
    folder = Path(bundle)
    description, weights = read(folder, trusted_modules)
    make = partial(build, folder=folder, trusted_modules=trusted_modules)
    task, preprocessing = task_of(description, folder, trusted_modules)
    if backbone is None:
        if not description.backbone:
            raise UserError(f"bundle={folder}: its backbone is the user's own module; ftlab.load(bundle, backbone=...)")
        with cache_only():  # whoever wrote the bundle may not send this machine to a hub
            backbone = make({**description.backbone, **preprocessing.builds()})
    head = make(
        description.head,
        num_outputs=description.num_outputs,
        **given(backbone, description.head, preprocessing, task.spec.target, trusted_modules),
    )
    model = Model(backbone, head)
    restore(model, weights, folder)
    return Predictor(model.to(device_of(accelerator)), task, preprocessing)


def task_of(
    description: Description, folder: Path, trusted_modules: Sequence[str] = ()
) -> tuple[Task, InputPreprocessing]:
    """All that predictions need beside the network. Raises: UserError if it cannot be built."""
    spec = spec_of(description, trusted_modules)
    task = build(description.task_settings, folder, trusted_modules=trusted_modules, spec=spec)
    return task, restored(description.preprocessing, trusted_modules)


def build(node: dict[str, Any], folder: Path, **runtime: Any) -> Any:
    """What a node of bundle.json describes. Raises: UserError if it cannot be built, be it too large."""
    try:
        return instantiate(node, **runtime)
    except UserError as error:
        raise UserError(f"{folder / DESCRIPTION}: {error}") from error
    except (TypeError, ValueError, AttributeError, KeyError, RuntimeError, MemoryError, OverflowError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{folder / DESCRIPTION}: {node['_target_']} cannot be built as described: {said}") from error


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Runs of up to `size` items; nothing is read ahead."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
