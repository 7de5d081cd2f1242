"""The settings of a run beside its final figures, as TensorBoard's HPARAMS tab reads them."""

from collections.abc import Mapping
from math import nan
from pathlib import Path
from typing import Any

from ftlab.config import options
from ftlab.resume import OWN, flat

SUFFIX = ".hparams"  # of the event file that holds nothing else
UNREAD = (*OWN, "trusted_modules")  # keys that change nothing of what is trained


def write_hparams(report: Mapping[str, Any], folder: Path) -> None:
    """One event file in the folder, in place of that of a run which ended here before and went on: of two sets of
    settings TensorBoard would show the first."""
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    for before in folder.glob(f"*{SUFFIX}"):
        before.unlink()
    # Its description of all runs is left out: TensorBoard makes one of what they hold, and shows first what differs.
    _, start, end = hparams(settings_of(report["config"]), {})
    with SummaryWriter(str(folder), filename_suffix=SUFFIX) as writer:
        for summary in (start, end):
            writer._get_file_writer().add_summary(summary)  # add_hparams writes to a folder of its own
        for name, value in figures_of(report).items():
            writer.add_scalar(name, value)


def settings_of(config: Mapping[str, Any]) -> dict[str, str | float]:
    """Every setting that is not null, by its dotted name, and the option of each group by the group's."""
    found: dict[str, str | float] = {}
    for key, value in flat({key: value for key, value in config.items() if key not in UNREAD}).items():
        group, _, name = key.partition(".")
        if name == "_target_":
            found[group] = option(group, config[group])
        elif value is not None:
            found[key] = value if type(value) in (int, float, str) else str(value)  # true is no 1
    return found


def option(group: str, node: Mapping[str, Any]) -> str:
    """What was typed behind the group, or, where several options fit or none does, the class that it names."""
    fitting = {name: one for name, one in options(group).items() if one.get("_target_") == node["_target_"]}
    names = [name for name, one in fitting.items() if one == node] or list(fitting)
    return names[0] if len(names) == 1 else str(node["_target_"])


def figures_of(report: Mapping[str, Any]) -> dict[str, float]:
    """The objective, and beside it the figures of val and test; those of single targets are in report.json."""
    value = report["objective"]["value"]
    found = {"final/objective": nan if value is None else value}
    for split, figures in report["metrics"].items():
        found |= {f"final/{split}/{k}": v for k, v in figures.items() if v is not None and "/" not in k}
    return found
