"""A run, written down on one page: build, fit, evaluate, report."""

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from rich.console import Console

from ftlab import bundle as bundles
from ftlab import refit as refits
from ftlab.assembly import Parts, assemble, put_together
from ftlab.backbones.base import Backbone
from ftlab.cache.decoded import Decoded
from ftlab.config import named, options, plainly, shipped
from ftlab.continuing import going_on
from ftlab.data.base import DataSpec, Splits
from ftlab.data.membership import record
from ftlab.data.membership.holding import Hold
from ftlab.data.module import DataModule
from ftlab.disk import clear_errors, locked
from ftlab.earlier import of_bundle, of_run
from ftlab.errors import UserError
from ftlab.files.dialect import dialect
from ftlab.files.writing import write_json, write_text
from ftlab.finishing import finish, leave, say
from ftlab.jobs import in_multirun
from ftlab.log import logged
from ftlab.planning import chosen as by_size
from ftlab.planning import show_estimates, show_plan, show_surgery
from ftlab.reports.terminal import print_evaluation, print_problems
from ftlab.resume import as_read
from ftlab.run_settings import RunSettings, typed
from ftlab.starting import folder_of, no_trace, open_folder
from ftlab.strategies import phases as phase_files
from ftlab.survey import loading_keys, problems_of, target_kind_of
from ftlab.yaml_text import dumped

Config = Mapping[str, Any]
OWN = "ftlab.data.sources.own.Own"
Report = dict[str, Any]


def train(
    config: Config, run_dir: str | Path | None = None, data: Splits | None = None, backbone: Backbone | None = None
) -> Report:
    """Fine-tune as `config` says and leave report and bundle in `run_dir` (default: a new folder under runs/).

    `data` and `backbone` are the user's own (ftlab.from_datasets, ftlab.ModuleBackbone) instead of the config's.

    Raises: UserError for anything that the user can mend.
    """
    from ftlab.training.distributed.processes import rank
    from ftlab.training.trainer import check_devices

    settings = as_read(with_own(plainly(config, resolve=True), data))
    check_devices(typed(settings).trainer)
    if rank():
        return run_in(Path(settings["resume"] or run_dir or "."), settings, data, backbone, None)
    folder = folder_of(settings, run_dir)
    go_on = f"; the last checkpoint is as it was: ftlab train resume={folder}"
    trace = nullcontext() if settings["resume"] else no_trace("run_dir", folder)
    clear = partial(clear_errors, folder, str(folder), go_on)
    with trace, clear(), locked(folder):
        open_folder(folder, settings)
        with logged(folder, command("train")) as console, clear():  # the log has the clear error too
            return run_in(folder, settings, data, backbone, console)


def run_in(
    folder: Path, settings: Config, data: Splits | None, backbone: Backbone | None, terminal: Console | None
) -> Report:
    """The run itself, in a folder that is its own; only the main process has a terminal, and writes."""
    from ftlab.training.distributed.processes import together
    from ftlab.training.fit import fit

    started, clock = datetime.now(UTC), time.perf_counter()
    is_main, console = terminal is not None, terminal or Console(quiet=True)
    untouched = deepcopy(backbone) if settings.get("refit") else None
    parts = going_on(folder, settings, assemble(settings, data, backbone, hold=of_run(folder, settings, is_main)))
    parts = replace(parts, cache=replace(parts.cache, shared=in_multirun()))
    settings, automatic = settled(parts, settings, folder, console)
    parts = replace(parts, optimizer=parts.optimizer.at(settings["optimizer"]["lr"]))
    again = refits.parts_of(parts, settings, untouched) if settings.get("refit") else None
    if is_main:
        write_config(folder, settings, again or parts)
    given, own = typed(settings), {"own_data": data is not None, "own_backbone": backbone is not None}
    decoded = decoded_for(parts, settings)
    setup = time.perf_counter() - clock

    with decoded:
        with together(given.trainer, folder, own_parts=any(own.values())):
            fits = [fit(parts, given, partial(loaders, parts, given, decoded=decoded), folder, console)]
            if again:
                decoded.close()
                with decoded_for(again, settings) as others:
                    make_data = partial(loaders, again, given, decoded=others)
                    fits.append(refits.run(fits[0], again, make_data, folder, console))
        if not is_main:
            return {}
        judged = time.perf_counter()
        evaluations = refits.evaluated(fits)
        images, told = decoded.report(), decoded.told()
    report = fits[0].report(evaluations)
    report = {
        "started": started.isoformat(timespec="seconds"),
        "run_dir": str(folder),
        "command": command("train"),
        "seconds": {"setup": setup, "train": judged - clock - setup, "evaluate": time.perf_counter() - judged},
        "automatic": automatic,
        **report,
        **refits.told(fits, report),
        "images": images,
        "config": settings,
    }
    leave(folder, report, fits, evaluations, own)
    finish(folder, report, [told] if told else [], console)
    return report


def plan(config: Config, data: Splits | None = None, backbone: Backbone | None = None) -> list[Report]:
    """Print phase x stage x rate; with plan.output write the phases as an editable file. Trains nothing, but
    for a few steps of each phase on a copy, to estimate what they cost, unless cache=off.
    """
    from ftlab.training.trainer import check_devices

    settings = as_read(with_own(plainly(config, resolve=True), data))
    tries = settings["cache"]["_target_"] != "ftlab.cache.settings.off"
    folder, describe_only = Path(settings["resume"] or "."), backbone is None and not tries
    hold = looking(folder, settings)
    parts = going_on(folder, settings, assemble(settings, data, backbone, describe_only, hold))
    console = Console()
    table = show_plan(parts, console, settings["plan"]["detail"])
    say(refits.planned(parts, settings.get("refit", False)), console)
    if tries:
        check_devices(typed(settings).trainer)
        show_estimates(parts, partial(loaders, parts), settings, console)
    if settings["plan"]["output"]:
        phase_files.write(parts.phases, parts.model.addresses, Path(settings["plan"]["output"]))
        console.print(f"phases written to {settings['plan']['output']}", markup=False, highlight=False)
    return table


def check(config: Config, data: Splits | None = None) -> int:
    """Print what is wrong with the data, a line a problem; 2 if a run with these settings would refuse them, else 0."""
    settings = as_read(with_own(plainly(config, resolve=True), data))
    output = new_file(settings, "output") if settings["output"] else None
    folder = Path(settings["resume"] or ".")

    def begin(splits: Splits, spec: DataSpec) -> Sequence[str]:
        parts = going_on(folder, settings, put_together(settings, splits, spec, describe_only=True))
        return parts.spec.warnings[len(spec.warnings) :]

    found = problems_of(
        settings["data"],
        settings["seed"],
        data,
        settings["trusted_modules"],
        settings["subset"],
        looking(folder, settings),
        begin,
        target_kind_of(settings["task"], settings["trusted_modules"]),
    )
    print_problems(found.name, found.sizes, found.problems)
    if found.cache:
        print(f"kept in {found.cache} for the next run with the same files")
    if output:
        write_json(output, asdict(found))
    return 2 if any(one.severity == "error" for one in found.problems) else 0


def evaluate(config: Config, data: Splits | None = None, backbone: Backbone | None = None) -> Report:
    """The figures of a bundle on a split of some data, or on all of them; see earlier.of_bundle."""
    from ftlab.matching import check_kind
    from ftlab.measuring import measure, new_place
    from ftlab.predictor import load

    settings = plainly(config, resolve=True)
    output = new_place(settings["output"])
    folder, trusted = Path(required(settings, "bundle")), settings["trusted_modules"]
    predictor = load(folder, backbone, settings["accelerator"], trusted)
    description, _ = bundles.read(folder, trusted)
    measured = of_bundle(settings.get("data"), data, settings["split"], folder, description, trusted)
    check_kind(f"bundle={folder}", predictor.preprocessing.kind, measured.splits.kind)
    found = measure(predictor, measured, settings["batch_size"], settings["num_workers"])
    report = found.report(str(settings["bundle"]), command("evaluate"))
    if output:
        found.leave(report, output)
    print_evaluation(report, output, Console())
    return report


def predict(config: Config) -> int:
    """One JSON line, or row of a table, an input, in the order given; 2 if one could not be read, else 0."""
    from ftlab.exports import exporter
    from ftlab.prediction import asking, listed, settings_of, write
    from ftlab.predictor import load
    from ftlab.writers import check, writer_of

    settings = plainly(config, resolve=True)
    output = new_file(settings, "output") if settings["output"] else None
    exported = settings["format"]
    if exported is None:
        check(output)
    predictor = load(required(settings, "bundle"), None, settings["accelerator"], settings["trusted_modules"])
    own = settings_of(predictor.task, settings, shipped("predict"))
    how = dialect(settings["delimiter"], settings["decimal"], settings["encoding"])
    found, warnings = listed(predictor.preprocessing, required(settings, "input"), how)
    inputs = asking(found, settings["question"], predictor.preprocessing)
    for warning in warnings:
        print(f"input: {warning}", file=sys.stderr)
    where, names = output or Path(), list(dict.fromkeys(name for one in inputs for name in one.name))
    task = predictor.task
    writer = exporter(exported, output, task) if exported else writer_of(output, task, own, names)
    with clear_errors(where.parent, f"output={where}" if output else "the lines"):
        failed = write(predictor, inputs, writer, own, settings["batch_size"], settings["num_workers"])
    return 2 if failed else 0


def loaders(
    parts: Parts, settings: RunSettings, rank: int = 0, world: int = 1, decoded: Decoded | None = None
) -> DataModule:
    loading, own = settings.loading.chosen, (parts.splits, parts.spec, parts.preprocessing, parts.augment)
    return DataModule(*own, *loading, settings.seed, rank, world, decoded, settings.window)


def with_own(settings: Config, data: Splits | None) -> Config:
    """The settings with data=own if the data comes from Python, keeping what was set of how batches are made.

    What an option sets for its own images (48 pixels for digits) is not meant for others.
    """
    node = settings["data"]
    if data is None or node["_target_"] == OWN:
        return settings
    shipped = next(option for option in options("data").values() if option.get("_target_") == node["_target_"])
    changed = {key: node[key] for key in loading_keys(named(shipped)) if key in node and node[key] != shipped.get(key)}
    return {**settings, "data": {**options("data")["own"], **changed}}


def looking(folder: Path, settings: Config) -> Hold:
    """What data are held against by what leaves no run."""
    return replace(of_run(folder, settings, is_main=True), records=False)


def settled(parts: Parts, settings: Config, folder: Path, console: Console) -> tuple[Config, list[str]]:
    """Show the plan, then the settings with what was `auto` as it was chosen, and the lines that say so."""
    from ftlab.training.trials.automatic import chosen

    show_plan(parts, console, settings["plan"]["detail"])
    say(refits.planned(parts, settings.get("refit", False)), console)
    show_surgery(parts, console)
    settings, automatic = chosen(parts, settings, folder, partial(loaders, parts))
    say(automatic, console)
    return settings, [*map(str, by_size(parts)), *automatic]


def decoded_for(parts: Parts, settings: Config) -> Decoded:
    epochs = sum(phase.epochs for phase in parts.phases)
    return Decoded(parts.cache, parts.preprocessing, settings["data"]["num_workers"], epochs)


def write_config(folder: Path, settings: Config, parts: Parts) -> None:
    """What the run does, and which sample is in which split; for one that goes on also what was typed, which Hydra
    itself writes when a run begins."""
    write_text(folder / "config.yaml", dumped(dict(settings)))
    if parts.membership is not None:
        record.write(folder, parts.membership)
    if settings["resume"] and HydraConfig.initialized():
        (folder / ".hydra").mkdir(exist_ok=True)
        write_text(folder / ".hydra" / "overrides.yaml", dumped(list(HydraConfig.get().overrides.task)))


def command(mode: str) -> str:
    """What one types to run this again."""
    if not HydraConfig.initialized():
        return f"ftlab.{mode}(config)  # from Python"
    return shlex.join(["ftlab", mode, *HydraConfig.get().overrides.task])


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
