"""Going on with a run: only with the config that it was begun with, except for keys that are named."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftlab.addresses import renewed
from ftlab.errors import UserError
from ftlab.files.writing import read_json
from ftlab.overrides import quote
from ftlab.settings import TYPES, accepts
from ftlab.strategies.base import Phase, is_over, prolonged_by
from ftlab.yaml_text import loaded

LAST = "checkpoints/last.ckpt"  # inside a run's folder
CONFIG, REPORT = "config.yaml", "report.json"
AUTO = "auto"
AUTOMATIC = ("trainer.precision", "data.num_workers", "data.batch_size", "compile", "optimizer.lr")  # in this order
MAX_EPOCHS, LABEL_SMOOTHING, IMAGE_SIZE = "trainer.max_epochs", "task.label_smoothing", "data.image_size"
POOL = "head.pool"
BY_SIZE = (MAX_EPOCHS, LABEL_SMOOTHING, IMAGE_SIZE, POOL)  # what is chosen by the data or the network, before a run
# Whose default was no `auto` in earlier versions.
LATER_AUTO = (
    *("strategy.restore_best", "strategy.rate", "strategy.head_share", "backbone.dropout", "monitor"),
    *("data.dates", "data.index", "data.whole", "data.level", *BY_SIZE),
)
LATER = ("trainer.auto_epochs", "strategy.head_rate", "strategy.average")  # that earlier runs lack
UNASKED = {"strategy.average": False}  # what those did instead, where `auto` would now do something else
BEFORE: dict[str, Any] = {"compile": "off", "refit": False, "parameters": "auto", "blend": "none"}  # that they did
NONE = {"adapters": "adapters.settings.none", "anchor": "optimizers.free", "weight_average": "strategies.averages.none"}
BEFORE |= {group: {"_target_": f"ftlab.{home}"} for group, home in NONE.items()}
TABLE, SEQUENCE = "ftlab.data.sources.table.Table", "ftlab.data.sources.sequence.Sequences"
PHASES = "ftlab.strategies.phases.Phases"
FORMER = {"ftlab.backbones.table.TableBackbone": "backbone=table_mlp"}  # what `backbone=table` was in earlier versions
# Keys of data options that came later, and what runs without them did.
OF_DATA: dict[str, dict[str, Any]] = {
    TABLE: {"dates": "categories", "index": "keep"},
    SEQUENCE: {"whole": False, "level": "keep"},
}
# The same of keys that any source of images has, any augmentation, and tasks.
OF_IMAGES = {"data.resize": "crop", "data.tile_overlap": 0.2, "task.calibrate": False} | {
    f"augment.{key}": 0 for key in ("crop", "brightness", "contrast", "saturation", "mosaic")
}
OWN = ("resume", "resume_allow", "plan", "sweep", "checkpoint.keep", "logger")  # how to go about it, not what to train


def check_same(folder: Path, settings: Mapping[str, Any]) -> Path:
    """The folder, if `settings` differ from its run's only in keys of resume_allow.

    Raises: UserError naming the keys that differ, or what is missing in the folder.
    """
    differ = differing(folder, settings)
    refused = {key: change for key, change in differ.items() if key not in settings["resume_allow"]}
    finished, goes_on = is_finished(folder), (folder / LAST).is_file()
    if finished and not goes_on:
        raise UserError(
            f"resume={folder}: the run is finished, and its last checkpoint is not kept (checkpoint.keep=best); "
            f"backbone.weights={folder}/bundle starts another run from its weights"
        )
    if finished and not settings["resume_allow"]:
        other = f", with other settings: {shown(refused)}" if refused else ""
        raise UserError(
            f"resume={folder}: the run is finished{other}; to train on, add epochs: {more_epochs(settings['strategy'])}"
        )
    if not goes_on:
        raise UserError(f"resume={folder}: the run has no finished checkpoint; start it anew in another folder")
    source = epochs_from(settings["strategy"])
    if MAX_EPOCHS in differ and source != MAX_EPOCHS:
        raise UserError(f"{MAX_EPOCHS}: {more_epochs(settings['strategy'])}")
    if refused:
        raise UserError(
            f"resume={folder}: the config differs in {shown(refused)}; name a key in resume_allow=[...] to allow it"
        )
    return folder


def is_done(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the folder's run is finished, and `settings` are its own. Raises: UserError as `check_same`."""
    return not differing(folder, settings) and is_finished(folder)


def is_finished(folder: Path) -> bool:
    """Whether the report is of the config that is there; a run that trains on leaves the report of before till its end.

    Raises: UserError for a report that cannot be read.
    """
    path = folder / REPORT
    return path.is_file() and not changes(read_json(path).get("config", {}), read_yaml(folder / CONFIG))


def differing(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """The keys in which `settings` are others than the run's, each with `before -> now`. Raises: UserError."""
    if not (folder / CONFIG).is_file():
        raise UserError(f"resume={folder}: no run there ({CONFIG} is missing)")
    return changes(stored := begun_with(folder), as_begun(stored, settings))


def changes(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    before, now = flat(stored), flat(settings)
    keys = sorted(key for key in before.keys() | now.keys() if not {key, key.split(".")[0]} & {*OWN})
    return {key: f"{before.get(key)} -> {now.get(key)}" for key in keys if before.get(key) != now.get(key)}


def shown(changed: Mapping[str, str]) -> str:
    more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
    return ", ".join(f"{key} ({change})" for key, change in list(changed.items())[:4]) + more


def epochs_from(strategy: Mapping[str, Any]) -> str:
    """The key that says how many epochs a run takes."""
    if strategy.get("_target_") != PHASES:
        return MAX_EPOCHS
    return "strategy.inline" if strategy.get("inline") else "strategy.file"


def more_epochs(strategy: Mapping[str, Any]) -> str:
    """What one types to prolong a run."""
    key = epochs_from(strategy)
    if key == MAX_EPOCHS:
        return f"{key}=N 'resume_allow=[{key}]'"
    return f"epochs come from {key}: raise them there, with 'resume_allow=[{key}]'"


def check_epochs(
    folder: Path, phases: Sequence[Phase], losses: Sequence[float | None], source: str = MAX_EPOCHS
) -> None:
    """Raises: UserError for fewer epochs than are done, or for a finished run that gets no more of them."""
    planned, done = sum(phase.epochs for phase in phases), len(losses)
    lacking = prolonged_by(phases, losses) if is_over(phases, losses) and is_finished(folder) else []
    said = []
    if planned < done or MAX_EPOCHS in lacking:
        more = f"give {source} above {max(planned, done)}" if source == MAX_EPOCHS else f"give more in {source}"
        said += [f"{done} epochs are done, and {planned} are asked for; {more}"]
    if "early_stopping.patience" in lacking:
        more = "give early_stopping.patience=N above that 'resume_allow=[early_stopping.patience]'"
        said += [f"after {done} epochs the last phase is at the end of its patience of {phases[-1].patience}; {more}"]
    if said:
        raise UserError(f"resume={folder}: {'; '.join(said)}")


def went_on(at: Mapping[str, Any]) -> str:
    """Where a run went on (see training.phases.prolonging.gone_on), and what another number of processes means."""
    within = f"after {at['batch']} of its batches" if at["batch"] else "at its start"
    said = f"interrupted; went on in epoch {at['epoch'] + 1}, {within}"
    if "epochs" in at:
        said = f"prolonged from {at['epochs_before']} to {at['epochs']} epochs"
    if "rate" in at:
        said += f"; the learning rate rises again there, from {at['rate_before']:.2g} to {at['rate']:.2g}"
    now, before = at.get("processes"), at.get("processes_before")
    if now == before:
        return said
    return (
        f"{said}, with {now} instead of {before} processes: the batches stay the same, and the weights up to rounding, "
        "except by dropout, drop path, mixup, cutmix and BatchNorm in training, which depend on the number of processes"
    )


def is_unasked(at: Mapping[str, Any]) -> bool:
    """Whether a run went on by no wish to prolong it, or as another one: a thing to be warned of."""
    if at.get("over"):  # killed after its last epoch
        return False
    return "epochs" not in at or at.get("processes") != at.get("processes_before")


def as_begun(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with what each key that is `auto` was found to be, or written as, when the run began."""
    found = dict(settings)
    same = tuple(key for key, value in OF_IMAGES.items() if value_of(settings, key) == value)
    for key in (*LATER, *same):
        if value_of(stored, key) is None and value_of(found, key) is not None:
            found = without(found, key)
    for key in (*AUTOMATIC, *LATER_AUTO):
        value = value_of(BEFORE | dict(stored), key)
        is_found = value not in (AUTO, None) and accepts(TYPES.get(key, str), value)
        if value_of(settings, key) == AUTO and is_found:
            found = with_value(found, key, value)
    return found


def value_of(settings: Mapping[str, Any], key: str) -> Any:
    group, _, name = key.rpartition(".")
    return ((settings.get(group) or {}) if group else settings).get(name)


def as_read(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings`; of a run that goes on with its data read, and its epochs counted, as when it was begun."""
    folder, found = Path(settings["resume"] or ""), dict(settings)
    stored = begun_with(folder) if settings["resume"] and (folder / CONFIG).is_file() else {}
    for key in (*(f"data.{name}" for own in OF_DATA.values() for name in own), *BY_SIZE):
        value = value_of(stored, key)
        if value_of(found, key) == AUTO and value is not None and accepts(TYPES.get(key, str), value):
            found = with_value(found, key, value)
    for key, value in UNASKED.items():
        if stored and value_of(found, key) == AUTO and value_of(stored, key) is None:
            found = with_value(found, key, value)
    return found


def begun_with(folder: Path) -> dict[str, Any]:
    """The config of a run, with what a run did that lacks a key. Raises: UserError for a file that cannot be read."""
    found = BEFORE | read_yaml(folder / CONFIG)
    data = found.get("data")
    if isinstance(data, Mapping) and data.get("_target_") in OF_DATA:
        found["data"] = {**OF_DATA[data["_target_"]], **data}
    return found


def with_value(settings: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    group, _, name = key.rpartition(".")
    return {**settings, group: {**settings[group], name: value}} if group else {**settings, name: value}


def without(settings: Mapping[str, Any], key: str) -> dict[str, Any]:
    group, _, name = key.rpartition(".")
    return {**settings, group: {own: value for own, value in settings[group].items() if own != name}}


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping of plain values. Raises: UserError for anything else, also for tags that would make objects."""
    try:
        found = loaded(path.read_text(encoding="utf8"))
    except ValueError as error:
        raise UserError(f"{path}: not as ftlab wrote it ({error}); nothing of it was used") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: not as ftlab wrote it: expected a mapping; nothing of it was used")
    return renewed(found)


def is_auto(typed: Sequence[str]) -> bool:
    return asked(typed, "resume") == AUTO


def asked(typed: Sequence[str], key: str) -> str | None:
    """The value of `key` as typed last, without quotes."""
    return dict(text.lstrip("+").split("=", 1) for text in typed if "=" in text).get(key, "").strip("'\"") or None


def replayed(typed: Sequence[str]) -> tuple[list[str], bool]:
    """The overrides with which the run that resume=... names was begun, then those typed now; whether it resumes.

    resume=auto goes on with the run in hydra.run.dir, if one has begun there and has saved anything.

    Raises: UserError for resume=auto without hydra.run.dir.
    """
    folder = asked(typed, "resume")
    if folder is None or folder == "null":
        return list(typed), False
    if folder == AUTO:
        folder = asked(typed, "hydra.run.dir")
        if not folder:
            raise UserError("resume=auto: say which run by hydra.run.dir=RUN_DIR, or use resume=RUN_DIR")
        if not any((Path(folder) / name).is_file() for name in (LAST, REPORT)):
            return [text for text in typed if not text.startswith("resume=")], False
    stored = Path(folder) / ".hydra" / "overrides.yaml"
    before = as_named_now(Path(folder), begun_by(stored, typed)) if stored.is_file() else []
    kept = [text for text in before if not text.lstrip("+").startswith(("resume=", "resume_allow="))]
    own = [text for text in typed if not text.lstrip("+").startswith(("resume=", "hydra.run.dir="))]
    return [
        *(text for text in kept if text not in own),
        *own,
        quote("resume", folder),
        quote("hydra.run.dir", folder),
    ], True


def as_named_now(folder: Path, words: Sequence[str]) -> list[str]:
    """The overrides of a run, with the present name of an option that is another one under the name of then."""
    stored = read_yaml(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    name = FORMER.get(str((stored.get("backbone") or {}).get("_target_")))
    if name is None or name in words:
        return list(words)
    return [*(text for text in words if text != "backbone=table"), name]


def begun_by(path: Path, typed: Sequence[str]) -> list[str]:
    """The overrides that a run was begun with, as Hydra wrote them.

    Raises: UserError for what a run never stores or nobody should repeat unasked: keys of Hydra, whose targets Hydra
    itself would call, and modules to be trusted. The folder may come from somebody else.
    """
    try:
        found = loaded(path.read_text(encoding="utf8"))
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise UserError(f"{path}: not as ftlab wrote it: expected a list of texts; nothing of it was used")
    for text in found:
        key = text.lstrip("+~").split("=", 1)[0].strip()
        if key.split("@")[0].split(".")[0].split("/")[0] == "hydra":
            raise UserError(f"{path}: '{text}': keys of Hydra are never repeated from a file; nothing of it was used")
        if key == "trusted_modules" and text not in typed:
            raise UserError(f"{path}: '{text}': say again which modules you trust; type {text} beside resume=")
    return found


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys."""
    if not isinstance(node, Mapping) or not node:
        return {prefix.rstrip("."): node}
    return {k: v for key, value in node.items() for k, v in flat(value, f"{prefix}{key}.").items()}
