"""A trained network for inference: from a bundle, or right after a run.

Shapes: b batch, k outputs.
"""

import glob
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ftlab.backbones.base import Backbone
from ftlab.backbones.hub import cache_only
from ftlab.bundle import DESCRIPTION, device_of, head_name, preprocessing_of, read, restore, spec_of, tensors
from ftlab.config import instantiate
from ftlab.data.base import Batch, Preprocessing
from ftlab.data.datasets import pixels
from ftlab.data.folders import image_files, skipped
from ftlab.data.images import load_image
from ftlab.data.transforms import evaluation_transform
from ftlab.errors import UserError
from ftlab.model import Model, width_of
from ftlab.tasks.base import Task

Picture = str | Path | Image.Image | Tensor  # a file, a PIL image, or a uint8 tensor (c, h, w)


class Predictor:
    """model, task and preprocessing together; `ftlab.load` makes one from a bundle."""

    def __init__(self, model: Model, task: Task, preprocessing: Preprocessing) -> None:
        self.model, self.task, self.preprocessing = model.eval(), task, preprocessing
        self.transform = evaluation_transform(preprocessing)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.task.spec.classes

    def predict(
        self, images: Picture | Iterable[Picture], batch_size: int = 32, top_k: int = 5
    ) -> list[dict[str, Any]]:
        """One record an image, in order: {class, probability, top: [{class, probability}]}; labels where several fit;
        {target: value} of a regression, in the units of its data.

        Raises: UserError naming a file that cannot be read.
        """
        many = [images] if isinstance(images, str | Path | Image.Image | Tensor) else images
        inputs = (self.transform(as_image(picture)) for picture in many)
        return [record for chunk in batches(inputs, batch_size) for record in self.records(torch.stack(chunk), top_k)]

    def records(self, inputs: Tensor, top_k: int) -> list[dict[str, Any]]:
        """Preprocessed images (b, c, h, w) to one record each."""
        return self.task.describe(self.predictions(inputs).cpu(), top_k)

    @torch.inference_mode()
    def predictions(self, inputs: Tensor) -> Tensor:
        """Preprocessed images (b, c, h, w) to what Task.predictions says of them."""
        device = next(self.model.parameters()).device
        nothing = torch.zeros(len(inputs), dtype=torch.long, device=device)
        batch = Batch(targets=nothing, index=nothing, images=inputs.to(device))
        return self.task.predictions(self.model(batch))

    def to_timm(self) -> torch.nn.Module:
        """The same network as a plain timm model with a classifier. Raises: UserError for a head that timm lacks."""
        if head_name(self.model) is None:
            raise UserError("to_timm: only a linear head on a timm backbone is a plain timm model")
        model = self.model.backbone.plain(self.task.num_outputs)
        model.load_state_dict(tensors(self.model))
        return model.eval()


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
    task = make(description.task_settings, spec=spec_of(description))
    if backbone is None:
        if not description.backbone:
            raise UserError(f"bundle={folder}: its backbone is the user's own module; ftlab.load(bundle, backbone=...)")
        with cache_only():  # whoever wrote the bundle may not send this machine to a hub
            backbone = make(description.backbone)
    head = make(
        description.head,
        num_features=width_of(backbone, description.head, preprocessing_of(description).size),
        num_outputs=description.num_outputs,
        default_pool=backbone.default_pool,
    )
    model = Model(backbone, head)
    restore(model, weights, folder)
    return Predictor(model.to(device_of(accelerator)), task, preprocessing_of(description))


def build(node: dict[str, Any], folder: Path, **runtime: Any) -> Any:
    """What a node of bundle.json describes. Raises: UserError if it cannot be built, be it too large."""
    try:
        return instantiate(node, **runtime)
    except UserError as error:
        raise UserError(f"{folder / DESCRIPTION}: {error}") from error
    except (TypeError, ValueError, AttributeError, KeyError, RuntimeError, MemoryError, OverflowError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{folder / DESCRIPTION}: {node['_target_']} cannot be built as described: {said}") from error


def as_image(picture: Picture) -> Image.Image | Tensor:
    """Raises: UserError for a file that cannot be read, or a tensor that holds no RGB image."""
    return load_image(picture) if isinstance(picture, str | Path) else pixels(picture)


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Runs of up to `size` items; nothing is read ahead."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def files(inputs: str | Sequence[str]) -> tuple[list[Path], tuple[str, ...]]:
    """The files that FILES, a FOLDER or a GLOB name, in the order given, folders and globs sorted; and warnings.

    In a folder only files with an image's suffix are taken, hidden ones never; the others are warned of.
    Raises: UserError for an input that names nothing.
    """
    found: list[Path] = []
    warnings: tuple[str, ...] = ()
    for text in [inputs] if isinstance(inputs, str) else inputs:
        path = Path(text)
        if path.is_dir():
            these, others = image_files(path)
            warnings += skipped(others)
        elif path.exists() or not glob.has_magic(text):
            these = [path]
        else:
            these = [p for p in map(Path, sorted(glob.glob(text, recursive=True))) if p.is_file()]
        if not these:
            raise UserError(f"input={text}: names no image; give files, a folder or a glob such as 'photos/*.jpg'")
        found += these
    return found, warnings
