"""The split of an earlier run that data are held against, where a run goes on and where a bundle is evaluated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftlab.bundle import Description
from ftlab.config import plainly
from ftlab.data.membership import record
from ftlab.data.membership.holding import Held, Hold
from ftlab.errors import UserError
from ftlab.survey import FRESH, loading_keys, surveyed

DATA = "data"  # in resume_allow: that samples are others than those that the run was begun with


def of_run(folder: Path, settings: Mapping[str, Any], is_main: bool) -> Hold:
    """What the data of `ftlab train` are held against; only one of the processes of a run looks at files, and keeps."""
    if not settings["resume"]:
        return Hold(records=is_main, contents=is_main)
    strict = DATA not in settings["resume_allow"]
    return Hold(f"resume={folder}", record.read(folder), strict, records=is_main, contents=is_main)


def of_bundle(
    node: Mapping[str, Any] | None, folder: Path, description: Description, trusted_modules: Sequence[str]
) -> Held:
    """The data that `node` names, or (None) that a bundle was trained on, split as in its run.

    Raises: UserError if those were the user's own, which no config names.
    """
    own = description.config.get("data")
    if not (node or own):
        raise UserError("data=...: the bundle was trained on your own data, not an option's; say on which to evaluate")
    unchecked = {"check": "off", "on_error": "stop"}  # what bundles of before there were checks leave out
    asked = {**unchecked, **(node or {**(own or {}), "split_from": None})}
    same = own and not asked.get("split_from") and source(asked) == source(own)
    hold = Hold(f"bundle={folder}", record.read(folder)) if same else FRESH
    return surveyed(asked, description.config["seed"], trusted_modules=trusted_modules, hold=hold)


def source(node: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that say where samples come from."""
    return {key: value for key, value in plainly(node).items() if key not in loading_keys()}
