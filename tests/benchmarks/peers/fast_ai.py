"""fastai: freeze_to before each phase, then fit; fine_tune's one-cycle schedule and rates are what the others lack."""

from pathlib import Path

from fastai.callback.core import Callback, CancelValidException
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import Adam
from torch import nn

from tests.benchmarks.job import LR, SHARE, Job, Loader, Network


class Unvalidated(Callback):
    def before_validate(self) -> None:
        raise CancelValidException


def fit(net: Network, job: Job, loader: Loader) -> None:
    fresh = [list(part.parameters()) for _, part in reversed(net.thaws(job))]
    thawing = {id(p) for part in fresh for p in part}
    rest = [p for p in net.backbone.parameters() if id(p) not in thawing]
    learner = Learner(
        DataLoaders(loader, loader, device="cpu"),
        net,
        loss_func=nn.CrossEntropyLoss(),
        opt_func=Adam,
        splitter=lambda model: [rest, *fresh, list(model.head.parameters())],
        wd=0.0,
        cbs=[Unvalidated()],
        path=Path(job.folder),
    )
    rates = [LR * SHARE] * (1 + len(fresh)) + [LR]
    with learner.no_logging():
        for number, (epochs, _) in enumerate(job.phases, start=1):
            learner.freeze_to(-number)
            learner.fit(epochs, lr=rates)
