"""From a checked config to the parts of a run: data, backbone, head, task, phases, rates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ftlab import bundle as bundles
from ftlab.adapters.adapting import NOT_ADAPTED, Adapted, adapt
from ftlab.backbones.base import Backbone
from ftlab.cache.settings import CacheSettings
from ftlab.config import instantiate, named, options
from ftlab.data.base import DataSpec, Splits
from ftlab.data.checks.seen import unseen
from ftlab.data.checks.targets import small, undecided
from ftlab.data.membership.holding import Hold
from ftlab.data.membership.record import Membership
from ftlab.data.module import describe
from ftlab.errors import UserError
from ftlab.gradients import check_gradients
from ftlab.heads.base import Head
from ftlab.inputs import kinds
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import InputPreprocessing
from ftlab.matching import check_augment, check_head, check_kind
from ftlab.model import Model, given
from ftlab.optimizers import OptimizerSettings, anchored
from ftlab.resume import AUTO
from ftlab.schedules.base import Schedule
from ftlab.sized import Choice, by_network, by_size, settled
from ftlab.strategies.averages import Average
from ftlab.strategies.base import Phase, Strategy, with_early_stopping
from ftlab.strategies.checks import check as check_phases
from ftlab.strategies.checks import without_idle
from ftlab.survey import FRESH, in_tiles, option_of, split_seed, surveyed, target_kind_of
from ftlab.tasks.base import Task
from ftlab.tasks.monitor import unjudged_by


@dataclass
class Parts:
    """All that a run is made of, before any step."""

    splits: Splits
    spec: DataSpec
    preprocessing: InputPreprocessing
    augment: Augment
    model: Model
    task: Task
    phases: list[Phase]
    rates: dict[str, float]  # multiplier of each stage
    schedule: Schedule
    optimizer: OptimizerSettings
    cache: CacheSettings
    choices: tuple[Choice, ...] = ()  # what was `auto`, by the size of the data
    decided: tuple[Choice, ...] = ()  # what of the strategy was `auto` and a person might have expected otherwise
    adapted: Adapted = NOT_ADAPTED  # which parameters of the stages that train do not, and what was put beside them
    weight_average: Average | None = None  # in place of what the phases say
    membership: Membership | None = None  # which sample is in which split, where `hold` asks for it
    follows: Sequence[float | None] | None = None  # the `losses` of a fit whose phases and rates this one repeats


def assemble(
    config: Mapping[str, Any],
    data: Splits | None = None,
    backbone: Backbone | None = None,
    describe_only: bool = False,
    hold: Hold = FRESH,
) -> Parts:
    """Build every part. `describe_only`: a network without weights, for the plan; `hold`: what data are held against.

    Raises: UserError for anything in the config or the data that cannot work.
    """
    splits, spec, membership = _data(config, data, hold)
    return replace(put_together(config, splits, spec, backbone, describe_only), membership=membership)


def task_of(config: Mapping[str, Any]) -> Task:
    """The task alone, for what is to be known of it before any run. Raises: UserError as `assemble` for the data."""
    splits, spec, _ = _data(config, None, FRESH)
    config = settled(config, by_size(config, spec, splits.train.inputs))
    task: Task = instantiate(config["task"], trusted_modules=config["trusted_modules"], spec=spec)
    return task


def put_together(
    config: Mapping[str, Any],
    splits: Splits,
    spec: DataSpec,
    backbone: Backbone | None = None,
    describe_only: bool = False,
    phases: Sequence[Phase] | None = None,
) -> Parts:
    """As `assemble`, for data that have been read and described. `phases`: to be repeated, so val is not asked for."""
    is_judged = splits.val is not None or phases is not None
    choices = by_size(config, spec, splits.train.inputs)
    config, make = settled(config, choices), partial(instantiate, trusted_modules=config["trusted_modules"])
    task: Task = make(config["task"], spec=spec)
    if phases is None:  # of a second fit val has had its say
        task.check_val(spec.sizes.get("val", 0))
    fitted = _fitted(config, splits)
    torch.manual_seed(config["seed"])  # new weights: of the head, and of a network without pretrained ones
    if backbone is None:
        backbone = _backbone(config, splits.kind, fitted, describe_only)
    preprocessing = fitted or _of_backbone(backbone, splits.kind, config["data"])
    choices += by_network(config, backbone)
    config = settled(config, choices)
    received = given(backbone, config["head"], preprocessing, spec.target, config["trusted_modules"])
    head = make(config["head"], num_outputs=task.num_outputs, **received)
    check_head(task, head)
    task.meets(preprocessing)
    model, augment = Model(backbone, head), make(config["augment"])
    check_augment(augment, preprocessing, spec.target)
    remarks = (*preprocessing.remarks(splits.inputs()), *head.remarks(splits.targets()), *unseen(splits, preprocessing))
    unjudged = unjudged_by(config["monitor"], config.get("refit", False), task, is_judged)
    phases = list(phases or _phases(config, model, task, is_judged))
    _check_blend(config, phases, is_judged)
    adapted = adapt(model, make(config["adapters"]), config["parameters"], phases)
    phases = without_idle(phases, model.idle, adapted.keys)
    unchecked = check_gradients(phases, model, adapted.names, splits, preprocessing)
    return Parts(
        splits=splits,
        spec=replace(
            task.spec,
            warnings=(*spec.warnings, *remarks, *_at_random(model, phases, adapted.keys), *unjudged, *unchecked),
        ),
        preprocessing=preprocessing,
        augment=augment,
        model=model,
        task=task,
        phases=phases,
        rates=make(config["rates"]).of(model.addresses),
        schedule=_schedule(config, is_judged),
        optimizer=anchored(_optimizer(config), make(config["anchor"]), model, adapted.names),
        cache=make(config["cache"]),
        choices=choices,
        decided=_left_out(config["strategy"], model, task),
        adapted=adapted,
        weight_average=make(config["weight_average"]),
    )


def _data(config: Mapping[str, Any], data: Splits | None, hold: Hold) -> tuple[Splits, DataSpec, Membership | None]:
    node = config["data"]
    trusted = config["trusted_modules"]
    whole = surveyed(node, config["seed"], data, trusted, hold, target_kind=target_kind_of(config["task"], trusted))
    name = option_of(node) if data is None else "your own"
    cut = in_tiles(whole.splits, node)
    checked, spec = describe(name, cut, split_seed(node, config["seed"]), config["subset"])
    few = [found.text for found in small(len(checked.train), node["batch_size"])]
    classes = bool(spec.target.described()["classes"])
    few += undecided(spec.sizes.get("val", 0), classes, config.get("refit", False))
    return checked, replace(spec, warnings=(*whole.said, *spec.warnings, *few)), whole.membership


def _fitted(config: Mapping[str, Any], splits: Splits) -> InputPreprocessing | None:
    """The preprocessing of data that brings its own: of the run whose bundle the weights are, else fitted on train."""
    if splits.fit is None:
        return None
    fresh, trusted = splits.fit(splits.train.inputs).told(config["data"]), config["trusted_modules"]
    weights = Path(config["backbone"].get("weights") or "").expanduser()
    if not (weights / bundles.DESCRIPTION).is_file():
        return fresh
    found = kinds.restored(bundles.read(weights, trusted)[0].preprocessing, trusted)
    check_kind(f"backbone.weights={weights}", found.kind, splits.kind)
    return found.suited(fresh)


def _backbone(config: Mapping[str, Any], kind: str, fitted: InputPreprocessing | None, describe_only: bool) -> Backbone:
    """Told what it must take by the data: its fitted preprocessing, or what the kind of inputs asks for."""
    node, trusted = config["backbone"], config["trusted_modules"]
    takes = getattr(named(node, trusted), "takes", kind)  # one that a function of the user's own makes may take any
    if takes != kind:
        names = {option.get("_target_"): name for name, option in options("backbone").items()}
        ways = [name for name, option in options("backbone").items() if getattr(named(option), "takes", None) == kind]
        way = f"; use backbone={ways[0]}" if ways else ""
        check_kind(f"backbone={names.get(node['_target_'], node['_target_'])}", takes, kind, way)
    if fitted is None:
        asked = kinds.of(kind).asks(config["data"])
        told = asked | {key: value for key, value in node.items() if key not in asked or value is not None}
    else:
        told = {**node, **fitted.builds()}
    backbone: Backbone = instantiate(told, trusted_modules=trusted, meta=describe_only)
    return backbone


def _of_backbone(backbone: Backbone, kind: str, data: Mapping[str, Any]) -> InputPreprocessing:
    """The preprocessing that its weights were trained with, unless the data sets something else (size, crop)."""
    own = backbone.preprocessing
    if own is None:
        raise UserError("the backbone says nothing of its preprocessing; give ModuleBackbone(..., preprocessing=...)")
    check_kind(f"the backbone '{backbone.name}'", own.kind, kind)
    return own.told(data)


def _phases(config: Mapping[str, Any], model: Model, task: Task, has_validation: bool) -> list[Phase]:
    settings = _decided(config["strategy"], model, task, has_validation, bool(config["head"].get("strides")))
    strategy: Strategy = instantiate(settings, trusted_modules=config["trusted_modules"])
    phases = strategy.phases(model.addresses, config["trainer"]["max_epochs"])
    stopping = config["early_stopping"]
    phases = with_early_stopping(phases, stopping["patience"], stopping["min_delta"])
    check_phases(phases, model.addresses, has_validation)
    for phase in phases:
        if phase.fit == "convex":
            _check_convex(phase, model, task)
        elif not model.head.follows_gradients:
            raise UserError(f"head=sklearn, phase '{phase.name}': follows no gradient; use strategy=closed_form")
    return phases


def _decided(settings: Mapping[str, Any], model: Model, task: Task, has_val: bool, levels: bool) -> dict[str, Any]:
    """A strategy's settings with what `auto` stands for, which depends on parts that a strategy is not told of."""
    fresh = model.backbone.loaded.source == "random"
    # The best head for features of chance has large weights, which blow up the gradients of what is behind it.
    noise = fresh and not model.backbone.passes_inputs
    init = "random" if noise or _no_convex_fit(model, task) else "closed_form"
    # A head that reads maps of several stages gains, as measured, where all of them thaw at once, and fast.
    # Random weights are nothing to keep for later; a single stage makes a single group.
    groups = 1 if fresh or levels or len(model.backbone.stages) == 1 else 2
    # A head alone learns nothing by descent from what chance made, which is usual where no weights come along.
    probes = not noise or model.backbone.preprocessing is not None
    rate, head_rate = (model.backbone.rate, model.backbone.head_rate) if fresh else (3.0 if levels else 0.5, 1.0)
    auto = {"head_init": init, "groups": groups, "restore_best": has_val, "average": not fresh}
    auto |= {"head_share": 0.2 if probes else 0.0, "rate": rate, "head_rate": head_rate}
    return {key: auto[key] if value == "auto" and key in auto else value for key, value in settings.items()}


def _left_out(settings: Mapping[str, Any], model: Model, task: Task) -> tuple[Choice, ...]:
    """That the head's fit in closed form is left out, and why, where a pretrained backbone would call for one."""
    why = None if model.backbone.loaded.source == "random" else _no_convex_fit(model, task)
    is_told = settings.get("head_init") == "auto" and why is not None
    return (Choice("strategy.head_init", "random", f"not in closed form: {why}"),) if is_told else ()


def _at_random(model: Model, phases: Sequence[Phase], few: str) -> tuple[str, ...]:
    """The warning about stages that stay as chance made them while others are trained upon them by gradient descent."""
    if model.backbone.loaded.source != "random":
        return ()
    if few:
        return (f"the backbone has random weights, and under {few} most of them stay so; leave that out",)
    own = {address for address in model.addresses if address.startswith("backbone/")}
    gradient = [phase for phase in phases if phase.fit == "gradient"] or phases[-1:]
    frozen = {phase.name: len(own - set(phase.trainable)) for phase in gradient}
    worst = max(frozen, key=lambda name: frozen[name])
    if not frozen[worst]:
        return ()
    stages = f"{frozen[worst]} of {len(own)} stages of the backbone"
    return (f"the backbone has random weights, and phase {worst} freezes {stages}; strategy=full trains them all",)


def _check_blend(config: Mapping[str, Any], phases: Sequence[Phase], has_validation: bool) -> None:
    """Raises: UserError where there is no start worth going back to, or no split that says how far."""
    if config["blend"] == "none":
        return
    if phases[0].fit != "convex" or len(phases) == 1:
        raise UserError(
            f"blend={config['blend']}: goes back to a head that was fitted in closed form, and the first phase "
            f"({phases[0].name}) fits none, or is all; use strategy.head_init=closed_form"
        )
    if not has_validation or config.get("refit"):
        raise UserError(f"blend={config['blend']}: val says how far, so it needs a val split, and no refit=true")


def _check_convex(phase: Phase, model: Model, task: Task) -> None:
    """Raises: UserError where a convex phase has nothing that it can fit."""
    reason = _no_convex_fit(model, task)
    if phase.C is not None and not model.head.follows_gradients:
        reason = f"strategy.C={phase.C} is not read by head=sklearn, whose settings are head.settings"
    if reason:
        raise UserError(f"strategy, phase '{phase.name}', fit=convex (closed form): {reason}, or fit by gradient")


def _no_convex_fit(model: Model, task: Task) -> str | None:
    """Why the head's last layer cannot be fitted in closed form; None: it can."""
    if model.head.last_layer is None and model.head.gives == Head.gives:
        own = type(model.head).__name__.lower()
        return f"head={own} is more than one linear layer 'fc' on the features; use head=linear"
    if model.head.last_layer is None:
        return task.refuses_convex() or f"outputs of {task.name} come of more than one linear layer"
    return task.refuses_convex() if model.head.follows_gradients else task.refuses_estimator()


def _optimizer(config: Mapping[str, Any]) -> OptimizerSettings:
    """As long as optimizer.lr is auto its rate is 1, and those of all stages are shares of what will be found."""
    node = config["optimizer"]
    is_sought = node.get("lr") == AUTO
    told = {**node, "lr": 1.0} if is_sought else node
    found: OptimizerSettings = instantiate(told, trusted_modules=config["trusted_modules"])
    return replace(found, is_sought=True) if is_sought else found


def _schedule(config: Mapping[str, Any], has_validation: bool) -> Schedule:
    schedule: Schedule = instantiate(config["schedule"], trusted_modules=config["trusted_modules"])
    if schedule.needs_validation and not has_validation:
        option = str(config["schedule"]["_target_"]).split(".")[-2]
        raise UserError(f"schedule={option}: follows the validation split, and the data has none; choose another")
    return schedule
