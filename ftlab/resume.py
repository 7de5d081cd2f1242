"""Going on with a run: only with the config that it was begun with, except for keys that are named."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftlab.addresses import renewed
from ftlab.errors import UserError
from ftlab.overrides import quote
from ftlab.settings import TYPES, accepts
from ftlab.yaml_text import loaded

LAST = "checkpoints/last.ckpt"  # inside a run's folder
AUTO = "auto"
AUTOMATIC = ("trainer.precision", "data.num_workers", "data.batch_size", "compile")  # in the order of choice
LATER_AUTO = ("strategy.restore_best",)  # whose default was no `auto` in earlier versions
BEFORE = {"compile": "off"}  # keys that runs of earlier versions lack, and what these did
OWN = ("resume", "resume_allow", "plan")  # keys that say how to resume or print, not what to train


def check_same(folder: Path, settings: Mapping[str, Any]) -> Path:
    """The folder, if `settings` differ from its run's only in keys of resume_allow.

    Raises: UserError naming the keys that differ, or what is missing in the folder.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise UserError(f"resume={folder}: no run there (config.yaml is missing)")
    if not (folder / LAST).is_file():
        raise UserError(f"resume={folder}: the run has no finished checkpoint; start it anew in another folder")
    if (folder / "report.json").is_file() and not settings["resume_allow"]:
        raise UserError(
            f"resume={folder}: the run is finished; to train on, add epochs: "
            "trainer.max_epochs=N 'resume_allow=[trainer.max_epochs]'"
        )
    stored = BEFORE | read_yaml(path)
    before, now = flat(stored), flat(as_begun(stored, settings))
    differ = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k) and k.split(".")[0] not in OWN)
    refused = [k for k in differ if k not in settings["resume_allow"]]
    if refused:
        shown = ", ".join(f"{k} ({before.get(k)} -> {now.get(k)})" for k in refused[:4])
        more = f" and {len(refused) - 4} more" if len(refused) > 4 else ""
        raise UserError(
            f"resume={folder}: the config differs in {shown}{more}; name a key in resume_allow=[...] to allow it"
        )
    return folder


def check_epochs(folder: Path, planned: int, done: int) -> None:
    """Raises: UserError for fewer epochs than are done, or for a finished run that gets no more of them."""
    finished = (folder / "report.json").is_file()
    if planned < done or (finished and planned == done):
        raise UserError(
            f"resume={folder}: {done} epochs are done, and {planned} are asked for; "
            f"give trainer.max_epochs above {done}"
        )


def went_on(at: Mapping[str, int]) -> str:
    """Where a run went on: {epoch, batch, processes, processes_before}; and what another number of processes means."""
    said = f"interrupted; went on in epoch {at['epoch']}, batch {at['batch']}"
    now, before = at.get("processes"), at.get("processes_before")
    if now == before:
        return said
    return (
        f"{said}, with {now} instead of {before} processes: the batches stay the same, and the weights up to rounding, "
        "except by dropout, drop path, mixup, cutmix and BatchNorm in training, which depend on the number of processes"
    )


def as_begun(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with what each key that is `auto` was found to be, or written as, when the run began."""
    found = dict(settings)
    for key in (*AUTOMATIC, *LATER_AUTO):
        value = value_of(BEFORE | dict(stored), key)
        if value_of(settings, key) == AUTO and value != AUTO and value is not None and accepts(TYPES[key], value):
            found = with_value(found, key, value)
    return found


def value_of(settings: Mapping[str, Any], key: str) -> Any:
    group, _, name = key.rpartition(".")
    return ((settings.get(group) or {}) if group else settings).get(name)


def with_value(settings: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    group, _, name = key.rpartition(".")
    return {**settings, group: {**settings[group], name: value}} if group else {**settings, name: value}


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping of plain values. Raises: UserError for anything else, also for tags that would make objects."""
    try:
        found = loaded(path.read_text(encoding="utf8"))
    except ValueError as error:
        raise UserError(f"{path}: not as ftlab wrote it ({error}); nothing of it was used") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: not as ftlab wrote it: expected a mapping; nothing of it was used")
    return renewed(found)


def replayed(typed: Sequence[str]) -> tuple[list[str], bool]:
    """The overrides with which the run that resume=... names was begun, then those typed now; whether it resumes.

    resume=auto goes on with the run in hydra.run.dir, if one has begun there.

    Raises: UserError for resume=auto without hydra.run.dir.
    """
    chosen = dict(text.lstrip("+").split("=", 1) for text in typed if "=" in text)
    folder = chosen.get("resume", "null").strip("'\"")
    if folder == "null":
        return list(typed), False
    if folder == "auto":
        folder = chosen.get("hydra.run.dir", "").strip("'\"")
        if not folder:
            raise UserError("resume=auto: say which run by hydra.run.dir=RUN_DIR, or use resume=RUN_DIR")
        if not (Path(folder) / LAST).is_file():
            return [text for text in typed if not text.startswith("resume=")], False
    stored = Path(folder) / ".hydra" / "overrides.yaml"
    before = begun_by(stored, typed) if stored.is_file() else []
    kept = [text for text in before if not text.lstrip("+").startswith(("resume=", "resume_allow="))]
    own = [text for text in typed if not text.lstrip("+").startswith(("resume=", "hydra.run.dir="))]
    return [*kept, *own, quote("resume", folder), quote("hydra.run.dir", folder)], True


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
