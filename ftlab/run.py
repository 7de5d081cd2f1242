"""A run, written down on one page: build, fit, evaluate, report."""

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from rich.console import Console

from ftlab import bundle as bundles
from ftlab.assembly import LOADING, Parts, assemble
from ftlab.backbones.base import Backbone
from ftlab.config import instantiate, options, plainly
from ftlab.data.base import Splits
from ftlab.data.module import DataModule
from ftlab.errors import UserError
from ftlab.reports.files import write_json
from ftlab.reports.terminal import print_plan, print_summary
from ftlab.strategies import phases as phase_files
from ftlab.strategies.base import as_begun
from ftlab.training.optimizers import groups

Config = Mapping[str, Any]
OWN = "ftlab.data.own.Own"
Report = dict[str, Any]


def train(
    config: Config, run_dir: str | Path | None = None, data: Splits | None = None, backbone: Backbone | None = None
) -> Report:
    """Fine-tune as `config` says and leave report and bundle in `run_dir` (default: a new folder under runs/).

    `data` and `backbone` are the user's own (ftlab.from_datasets, ftlab.ModuleBackbone) instead of the config's.

    Raises: UserError for anything that the user can mend.
    """
    from ftlab.reports.page import write_page
    from ftlab.training.fit import fit
    from ftlab.training.processes import rank, together

    started, clock = datetime.now(UTC), time.perf_counter()
    settings = with_own(plainly(config, resolve=True), data)
    is_main = rank() == 0
    folder = open_folder(settings, run_dir) if is_main else Path(settings["resume"] or run_dir or ".")
    console = Console(quiet=not is_main)
    parts = assemble(settings, data, backbone)
    if settings["resume"]:
        parts.phases = as_begun(parts.phases, begun(folder)["phases"])
    show_plan(parts, console, settings["plan"]["detail"])
    if is_main:
        write_config(folder, settings)
    make_data = partial(loaders, parts, settings)
    setup = time.perf_counter() - clock

    with together(settings, folder, own_parts=data is not None or backbone is not None):
        fitted = fit(parts, settings, make_data, folder, console)
    if not is_main:
        return {}
    judged = time.perf_counter()
    evaluations = fitted.evaluate(make_data())
    seconds = {"setup": setup, "train": judged - clock - setup, "evaluate": time.perf_counter() - judged}
    report = {
        "started": started.isoformat(timespec="seconds"),
        "run_dir": str(folder),
        "command": command(),
        "seconds": seconds,
        **fitted.report(evaluations),
        "config": settings,
    }
    description = fitted.description(report, own_backbone=backbone is not None, own_data=data is not None)
    bundles.save(folder / "bundle", parts.model, description)
    write_json(folder / "report.json", report)
    write_page(report, fitted.gallery(evaluations, make_data()), folder / "report.html")
    print_summary(report, console)
    return report


def plan(config: Config, data: Splits | None = None, backbone: Backbone | None = None) -> list[Report]:
    """Print phase x stage x rate; with plan.output write the phases as an editable file. Trains nothing."""
    settings = with_own(plainly(config, resolve=True), data)
    parts = assemble(settings, data, backbone, describe_only=backbone is None)
    console = Console()
    table = show_plan(parts, console, settings["plan"]["detail"])
    if settings["plan"]["output"]:
        phase_files.write(parts.phases, parts.model.addresses, Path(settings["plan"]["output"]))
        console.print(f"phases written to {settings['plan']['output']}", markup=False, highlight=False)
    return table


def evaluate(config: Config, data: Splits | None = None, backbone: Backbone | None = None) -> Report:
    """The metrics of a bundle on a split of some data (default: the data that it was trained on)."""
    from ftlab.evaluation import evaluate as measure
    from ftlab.predictor import load

    settings = plainly(config, resolve=True)
    output = new_file(settings, "output") if settings["output"] else None
    predictor = load(required(settings, "bundle"), backbone, settings["accelerator"], settings["trusted_modules"])
    description, _ = bundles.read(Path(settings["bundle"]))
    splits = data or splits_of(settings.get("data"), description, settings["trusted_modules"])
    splits = in_order_of(splits, predictor.classes)
    parts = DataModule(
        splits,
        predictor.task.spec,
        predictor.preprocessing,
        instantiate({"_target_": "ftlab.data.augment.Augment"}),
        settings["batch_size"],
        settings["num_workers"],
        seed=0,
    )
    split = settings["split"]
    samples = len(parts.samples(split))
    figures, warnings = measure(predictor.model, predictor.task, parts.loader(split, False), samples).figures()
    report = {
        "bundle": str(settings["bundle"]),
        "split": split,
        "samples": samples,
        "metrics": figures,
        "warnings": warnings,
    }
    for line in (f"{split}: {samples} samples", *(f"  {k:<14} {v:.4f}" for k, v in figures.items()), *warnings):
        print(line)
    if output:
        write_json(output, report)
    return report


def predict(config: Config) -> int:
    """One JSON line an image, in the order given; 2 if a file could not be read, else 0."""
    from ftlab.prediction import write_lines
    from ftlab.predictor import files, load

    settings = plainly(config, resolve=True)
    paths, warnings = files(required(settings, "input"))
    for warning in warnings:
        print(f"input: {warning}", file=sys.stderr)
    output = new_file(settings, "output") if settings["output"] else None
    predictor = load(required(settings, "bundle"), None, settings["accelerator"], settings["trusted_modules"])
    failed = write_lines(predictor, paths, output, settings["batch_size"], settings["top_k"], settings["num_workers"])
    return 2 if failed else 0


# --- small steps of the above


def loaders(parts: Parts, settings: Config, rank: int = 0, world: int = 1) -> DataModule:
    data = settings["data"]
    return DataModule(
        parts.splits,
        parts.spec,
        parts.preprocessing,
        parts.augment,
        data["batch_size"],
        data["num_workers"],
        settings["seed"],
        rank,
        world,
    )


def with_own(settings: Config, data: Splits | None) -> Config:
    """The settings with data=own if the data comes from Python, keeping what was set of how batches are made.

    What an option sets for its own images (48 pixels for digits) is not meant for others.
    """
    node = settings["data"]
    if data is None or node["_target_"] == OWN:
        return settings
    shipped = next(option for option in options("data").values() if option.get("_target_") == node["_target_"])
    changed = {key: node[key] for key in LOADING if node[key] != shipped[key]}
    return {**settings, "data": {**options("data")["own"], **changed}}


def show_plan(parts: Parts, console: Console, detail: str) -> list[Report]:
    """Print the plan and give it back as the report has it."""
    table = plan_table(parts)
    print_plan(stage_table(parts), table, console, detail)
    for warning in parts.spec.warnings:
        console.print(f"data: {warning}", markup=False, highlight=False, soft_wrap=True)
    return table


def stage_table(parts: Parts) -> list[Report]:
    return [{"address": name, "parameters": count} for name, count in parts.model.sizes().items()]


def plan_table(parts: Parts) -> list[Report]:
    """One entry a phase: its epochs, and the rate and weight decay of each stage, None where it is frozen.

    What a convex phase fits has neither: both are None.
    """
    decay: dict[str, float] = {}
    for group in groups(parts.model, parts.optimizer):
        decay[group["stage"]] = max(group["weight_decay"], decay.get(group["stage"], 0.0))
    return [
        {
            "phase": phase.name,
            "epochs": phase.epochs,
            "fit": phase.fit,
            "stages": {
                stage: {
                    "rate": parts.optimizer.lr * parts.rates[stage] * phase.rates[stage],
                    "weight_decay": decay[stage],
                }
                if stage in phase.descending
                else {"rate": None, "weight_decay": None}
                if stage in phase.rates
                else None
                for stage in parts.model.addresses
            },
        }
        for phase in parts.phases
    ]


def begun(folder: Path) -> Report:
    """What the newest checkpoint of a run says: {history, epoch, phases}."""
    from ftlab.training.checkpoints import newest, state

    return state(newest(folder / "checkpoints"))


def open_folder(settings: Config, run_dir: str | Path | None) -> Path:
    """The run's own folder. Raises: UserError if another run has used it."""
    from ftlab.resume import check_same

    if settings["resume"]:
        return check_same(Path(settings["resume"]), settings)
    folder = Path(run_dir or datetime.now().strftime("runs/%Y-%m-%d/%H-%M-%S-%f"))
    if any((folder / name).exists() for name in ("config.yaml", "report.json", "checkpoints")):
        raise UserError(f"{folder}: holds a run already; name another folder, or go on with it by resume={folder}")
    (folder / "checkpoints").mkdir(parents=True)
    return folder


def write_config(folder: Path, settings: Config) -> None:
    text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
    (folder / "config.yaml").write_text(text, encoding="utf8")


def splits_of(node: Config | None, description: bundles.Description, trusted_modules: Sequence[str]) -> Splits:
    """The data that `node` names, or (None) that a bundle was trained on, split as in its run.

    Raises: UserError if those were the user's own, which no config names.
    """
    node = node or description.config.get("data")
    if not node:
        raise UserError("data=...: the bundle was trained on your own data, not an option's; say on which to evaluate")
    source = instantiate({k: v for k, v in node.items() if k not in LOADING}, trusted_modules=trusted_modules)
    return source.read(description.config["seed"])


def in_order_of(splits: Splits, classes: tuple[str, ...]) -> Splits:
    """The same splits with their targets numbered as the bundle numbers its classes.

    Raises: UserError for a class that the bundle does not know.
    """
    if splits.classes == classes:
        return splits
    unknown = [c for c in splits.classes if c not in classes]
    if unknown:
        raise UserError(f"data: the classes {unknown[:5]} are not the bundle's; it knows {', '.join(classes[:20])}")
    return splits.renumbered(classes)


def command() -> str:
    """What one types to run this again."""
    if not HydraConfig.initialized():
        return "ftlab.train(config)  # from Python"
    return shlex.join(["ftlab", "train", *HydraConfig.get().overrides.task])


def required(settings: Config, name: str) -> Any:
    if not settings[name]:
        raise UserError(f"{name}=...: is missing; this mode cannot do without it")
    return settings[name]


def new_file(settings: Config, name: str) -> Path:
    path = Path(settings[name])
    if not path.parent.is_dir():
        raise UserError(f"{name}={path}: the folder {path.parent} is not there; make it first")
    if path.exists():
        raise UserError(f"{name}={path}: the file exists already; name another, nothing is overwritten")
    return path
