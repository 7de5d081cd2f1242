"""finetuning-scheduler by epochs; each phase of its schedule lists what thaws in addition."""

from typing import Any

from finetuning_scheduler import FinetuningScheduler, FTSCheckpoint

from tests.benchmarks.job import LR, SHARE, Job, Loader, Network
from tests.benchmarks.peers.stock import train


def fit(net: Network, job: Job, loader: Loader) -> None:
    names = {parameter: name for name, parameter in net.named_parameters()}
    schedule: dict[int, dict[str, Any]] = {0: {"params": [names[p] for p in net.head.parameters()], "lr": LR}}
    for number, (begins, fresh) in enumerate(net.thaws(job), start=1):
        schedule[number - 1]["max_transition_epoch"] = begins
        schedule[number] = {"params": [names[p] for p in fresh.parameters()], "lr": LR * SHARE}
    schedule[len(schedule) - 1]["max_transition_epoch"] = job.epochs
    callback = FinetuningScheduler(
        ft_schedule=schedule,
        epoch_transitions_only=True,
        restore_best=False,
        base_max_lr=LR,
        log_dir=job.folder,
    )
    # It does not run without a checkpoint callback of its own kind.
    train(net, job, loader, callback, FTSCheckpoint(job.folder, save_last=True, save_on_train_epoch_end=True))
