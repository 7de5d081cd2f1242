"""The settings of a run as plain typed values: the one place where a checked config becomes them.

What trains, tries and reports takes these and never looks a key up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ftlab.config import instantiate

CSV = "csv"  # the tracker that is metrics.csv
Keep = Literal["all", "last", "best"]  # see training/saving/keeping.py
Auto = Literal["auto"]  # until it is chosen, see training/trials/automatic.py


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """The keys under `trainer:`; names and meaning are Lightning's."""

    max_epochs: int | Auto
    precision: str | int
    accelerator: str
    devices: int | str | list[int]
    num_nodes: int
    strategy: str
    accumulate_grad_batches: int
    gradient_clip_val: float | None
    deterministic: bool


@dataclass(frozen=True)
class LoadingSettings:
    """How batches are made of samples."""

    batch_size: int | Auto  # samples of a step, over all processes together
    num_workers: int | Auto
    group_by_length: bool = False  # whether the samples of an optimizer step are of about one length

    @property
    def chosen(self) -> tuple[int, int]:
        """Both as numbers."""
        assert isinstance(self.batch_size, int), "what is auto has been chosen"
        assert isinstance(self.num_workers, int), "what is auto has been chosen"
        return self.batch_size, self.num_workers


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """When there is a checkpoint within an epoch, beside those at the ends of epochs, and what stays of them."""

    every_n_steps: int | None
    every_minutes: float | None
    keep: Keep = "all"  # of runs of earlier versions


@dataclass(frozen=True)
class Written:
    """What report and bundle write down as it was given: nothing else reads these mappings."""

    strategy: str  # the option's name
    backbone: Mapping[str, Any]
    head: Mapping[str, Any]
    task: Mapping[str, Any]
    config: Mapping[str, Any]  # all of it


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """All that a run needs to know beside its parts."""

    seed: int
    monitor: str
    on_nonfinite: Literal["stop", "skip", "rollback"]
    compile: str  # on, off, or auto until it is chosen
    resumes: bool
    refit: bool  # whether what val chose is trained anew on train and val together
    blend: Literal["none", "wise_ft"]  # what becomes of the weights once they are trained
    slower: str  # a lower rate of what thaws, as one types it; empty where no key says the rate
    checkpointing: bool  # of the backbone; also true where it knows none, so that nobody advises it
    trainer: TrainerSettings
    loading: LoadingSettings
    checkpoint: CheckpointSettings
    trackers: Sequence[Any]  # of ftlab.training.tracking
    written: Written

    @property
    def writes_metrics(self) -> bool:
        return any(one.name == CSV for one in self.trackers)

    @property
    def window(self) -> int:
        """See KeyedBatchSampler."""
        batches = self.trainer.accumulate_grad_batches
        return self.loading.chosen[0] * batches if self.loading.group_by_length else 0


def typed(config: Mapping[str, Any]) -> RunSettings:
    """The settings of a checked config of `ftlab train`; runs of earlier versions may lack four of the keys."""
    return RunSettings(
        seed=config["seed"],
        monitor=config["monitor"],
        on_nonfinite=config.get("on_nonfinite", "stop"),
        compile=config.get("compile", "off"),
        resumes=bool(config["resume"]),
        refit=config.get("refit", False),
        blend=config.get("blend", "none"),
        slower=_slower(config),
        checkpointing=config["backbone"].get("checkpointing", True),
        trainer=TrainerSettings(**{key: value for key, value in config["trainer"].items() if key != "auto_epochs"}),
        loading=LoadingSettings(
            config["data"]["batch_size"],
            config["data"]["num_workers"],
            config["data"].get("group_by_length", False),
        ),
        checkpoint=CheckpointSettings(**config["checkpoint"]),
        trackers=[
            instantiate(node, trusted_modules=config["trusted_modules"])
            for node in config.get("logger", {}).values()  # logger=[] leaves nothing there
        ],
        written=Written(
            strategy=str(config["strategy"]["_target_"]).split(".")[-2],
            backbone=config["backbone"],
            head=config["head"],
            task=config["task"],
            config=config,
        ),
    )


def _slower(config: Mapping[str, Any]) -> str:
    """A fifth: enough to be another rate, and not none. An option of the user's own may have neither key."""
    for group, key in (("strategy", "rate"), ("optimizer", "lr")):
        rate = config[group].get(key)
        if rate == "auto":
            return f"{group}.{key}=0.1 instead of auto"
        if isinstance(rate, int | float):
            return f"{group}.{key}={rate / 5:g} instead of {rate:g}"
    return ""
