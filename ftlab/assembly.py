"""From a checked config to the parts of a run: data, backbone, head, task, phases, rates."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from ftlab.backbones.base import Backbone
from ftlab.config import instantiate
from ftlab.data.augment import Augment
from ftlab.data.base import DataSpec, Preprocessing, Source, Splits
from ftlab.data.module import describe, read
from ftlab.errors import UserError
from ftlab.model import Model
from ftlab.schedules.base import Schedule
from ftlab.strategies.base import Phase, Strategy, check, with_early_stopping
from ftlab.tasks.base import Task
from ftlab.training.optimizers import OptimizerSettings

# Keys of a data option that say how batches are made, not where samples come from.
LOADING = ("batch_size", "num_workers", "image_size", "crop_pct")


@dataclass
class Parts:
    """All that a run is made of, before any step."""

    splits: Splits
    spec: DataSpec
    preprocessing: Preprocessing
    augment: Augment
    model: Model
    task: Task
    phases: list[Phase]
    rates: dict[str, float]  # multiplier of each stage
    schedule: Schedule
    optimizer: OptimizerSettings


def assemble(
    config: Mapping[str, Any],
    data: Splits | None = None,
    backbone: Backbone | None = None,
    describe_only: bool = False,
) -> Parts:
    """Build every part. `describe_only`: a network without weights, for the plan.

    Raises: UserError for anything in the config or the data that cannot work.
    """
    splits, spec = _data(config, data)
    make = partial(instantiate, trusted_modules=config["trusted_modules"])
    task: Task = make(config["task"], spec=spec)
    size = config["data"]["image_size"]
    torch.manual_seed(config["seed"])  # new weights: of the head, and of a network without pretrained ones
    if backbone is None:
        backbone = make({"image_size": size, **_given(config["backbone"])}, meta=describe_only)
    head = make(
        config["head"],
        num_features=backbone.num_features,
        num_outputs=task.num_outputs,
        default_pool=backbone.default_pool,
    )
    model = Model(backbone, head)
    return Parts(
        splits=splits,
        spec=spec,
        preprocessing=_preprocessing(backbone, size, config["data"]["crop_pct"]),
        augment=make(config["augment"]),
        model=model,
        task=task,
        phases=_phases(config, model, task, has_validation=splits.val is not None),
        rates=make(config["rates"]).of(model.addresses),
        schedule=_schedule(config, has_validation=splits.val is not None),
        optimizer=make(config["optimizer"]),
    )


def _data(config: Mapping[str, Any], data: Splits | None) -> tuple[Splits, DataSpec]:
    if data is not None:
        return describe("your own", data, config["seed"], config["subset"])
    source: Source = instantiate(
        {k: v for k, v in config["data"].items() if k not in LOADING}, trusted_modules=config["trusted_modules"]
    )
    return read(source, config["seed"], config["subset"])


def _given(node: Mapping[str, Any]) -> dict[str, Any]:
    """A backbone's settings; the data's image size stands in for one that is not set."""
    return {key: value for key, value in node.items() if key != "image_size" or value is not None}


def _preprocessing(backbone: Backbone, size: int | list[int] | None, crop_pct: float | None) -> Preprocessing:
    """The backbone's own, unless the data sets size or crop."""
    own = backbone.preprocessing
    if own is None:
        raise UserError("the backbone says nothing of its preprocessing; give ModuleBackbone(..., preprocessing=...)")
    if size is not None:
        own = replace(own, size=(size, size) if isinstance(size, int) else (size[0], size[1]))
    return own if crop_pct is None else replace(own, crop_pct=crop_pct)


def _phases(config: Mapping[str, Any], model: Model, task: Task, has_validation: bool) -> list[Phase]:
    strategy: Strategy = instantiate(config["strategy"], trusted_modules=config["trusted_modules"])
    phases = strategy.phases(model.addresses, config["trainer"]["max_epochs"])
    stopping = config["early_stopping"]
    phases = with_early_stopping(phases, stopping["patience"], stopping["min_delta"])
    check(phases, model.addresses, has_validation)
    for phase in phases:
        if phase.fit == "convex":
            _check_convex(phase, model, task)
    return phases


def _check_convex(phase: Phase, model: Model, task: Task) -> None:
    """Raises: UserError where a convex phase has nothing that it can fit."""
    reason = task.refuses_convex()
    if model.head.last_linear is None:
        own = type(model.head).__name__.lower()
        reason = f"head={own} is more than one linear layer 'fc' on the features; use head=linear"
    if reason:
        raise UserError(f"strategy, phase '{phase.name}', fit=convex (closed form): {reason}, or fit by gradient")


def _schedule(config: Mapping[str, Any], has_validation: bool) -> Schedule:
    schedule: Schedule = instantiate(config["schedule"], trusted_modules=config["trusted_modules"])
    if schedule.needs_validation and not has_validation:
        option = str(config["schedule"]["_target_"]).split(".")[-2]
        raise UserError(f"schedule={option}: follows the validation split, and the data has none; choose another")
    return schedule
