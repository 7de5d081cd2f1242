"""What keys that are `auto` stand for by the size of the data: arithmetic, done before a network is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.resume import AUTO, MAX_EPOCHS, value_of, with_value

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


RULES = {MAX_EPOCHS: epochs}
