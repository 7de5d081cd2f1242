"""What keys that are `auto` stand for by the size of the data: arithmetic, done before a network is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.resume import AUTO, LABEL_SMOOTHING, MAX_EPOCHS, value_of, with_value

CROSS_ENTROPY = "cross_entropy"
SKLEARN = "ftlab.heads.sklearn.Sklearn"
SMOOTHING = 0.1
BATCH = 32  # samples of a step where data.batch_size=auto is found later, with the network that is there then


@dataclass(frozen=True)
class Choice:
    """The value of a key that was `auto`, and why; the run's config.yaml holds it, so that a resumed run keeps it."""

    key: str
    value: Any
    why: str

    def __str__(self) -> str:
        return f"{self.key}=auto: {self.value}; {self.why}"


def by_size(config: Mapping[str, Any], spec: DataSpec) -> tuple[Choice, ...]:
    """What each key of RULES that is `auto` stands for with these data. Raises: UserError for limits that exclude."""
    return tuple(Choice(key, *rule(config, spec)) for key, rule in RULES.items() if value_of(config, key) == AUTO)


def settled(config: Mapping[str, Any], choices: tuple[Choice, ...]) -> Mapping[str, Any]:
    for choice in choices:
        config = with_value(config, choice.key, choice.value)
    return config


def epochs(config: Mapping[str, Any], spec: DataSpec) -> tuple[int, str]:
    """trainer.max_epochs, and why: as many as make the steps of trainer.auto_epochs, within its limits.

    An epoch of little data is few steps, and what a network learns goes by steps.
    """
    wanted, batch = config["trainer"]["auto_epochs"], config["data"]["batch_size"]
    steps, least, most = wanted["steps"], wanted["least"], wanted["most"]
    if least > most:
        raise UserError(f"trainer.auto_epochs: least={least} is above most={most}")
    batches = -(-spec.sizes["train"] // (BATCH if batch == AUTO else batch))
    of_one = max(1, -(-batches // config["trainer"]["accumulate_grad_batches"]))
    exact = -(-steps // of_one)
    found = min(max(exact, least), most)
    limit = "" if found == exact else f"; {'least' if found == least else 'most'} is {found}"
    return found, f"{steps:,} steps at {of_one:,} an epoch are {exact:,}{limit}"


def label_smoothing(config: Mapping[str, Any], spec: DataSpec) -> tuple[float, str]:
    """task.label_smoothing, and why.

    Where the head begins with the best fit to pretrained features nothing is left to learn from labels, and steps of
    an adaptive optimizer that follow next to no gradient only do harm. (The part is that of Szegedy et al. 2016,
    "Rethinking the Inception Architecture for Computer Vision".)
    """
    network, task = config["backbone"], config["task"]
    if not (network.get("pretrained") or network.get("weights")):
        return 0.0, "nothing is pretrained"
    if task.get("loss", CROSS_ENTROPY) != CROSS_ENTROPY:
        return 0.0, f"task.loss={task['loss']} takes the labels as they are"
    if config["head"]["_target_"] == SKLEARN:
        return 0.0, "head=sklearn takes the labels as they are"
    return SMOOTHING, "a head that fits pretrained features leaves nothing else to learn from few samples"


RULES = {MAX_EPOCHS: epochs, LABEL_SMOOTHING: label_smoothing}
