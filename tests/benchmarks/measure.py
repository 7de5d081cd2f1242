"""One job in a process of its own: python -m tests.benchmarks.measure JOB, a Job as JSON; prints figures as JSON.

fit, whole: CPU seconds of the fit, and of the process up to its end; ftlab's with report and bundle. memory: bytes by
which the fit raised the resident size. accuracy and predictions: of the test images, after both.
"""

import json
import logging
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

if __name__ == "__main__" and json.loads(sys.argv[1])["peer"] == "ftlab":
    from ftlab.imports import uncollected

    with uncollected():  # as its command line does
        import ftlab.training.fit  # noqa: F401

import torch
from torch import nn

from ftlab.training.trials.memory import PeakMemory
from tests.benchmarks.job import LR, SHARE, SIDE, Job, Network, loader, splits

Figures = dict[str, Any]
PEERS = {  # each is imported only where it is measured
    "bare": "bare.fit",
    "scikit-learn": "scikit_learn.fit",
    "lightning": "stock.fit",
    "finetuning-scheduler": "scheduler.fit",
    "fastai": "fast_ai.fit",
}


def measured(fit: Callable[[], Any], figures: Figures) -> Any:
    """What `fit` gives; its CPU seconds and peak go into `figures`."""
    memory = PeakMemory(torch.device("cpu"))
    PeakMemory.made = 0  # ftlab's own is the first of the process, as it is for its users
    memory.reset()
    PeakMemory.reset = lambda self: None  # type: ignore[method-assign]  # ftlab's is of each epoch, this of all
    start = time.process_time()
    found = fit()
    figures |= {"fit": time.process_time() - start, "memory": memory.increase()}
    return found


def by_ftlab(job: Job, figures: Figures) -> nn.Module:
    """`ftlab train` as it is, with all that it writes; gives the network of its bundle."""
    import ftlab
    from ftlab.cli import main as ftlab_main
    from ftlab.training import fit as fitting

    whole = fitting.fit
    fitting.fit = lambda *arguments: measured(lambda: whole(*arguments), figures)
    run = Path(job.folder) / "run"
    if job.classes:  # more than files of this kind hold
        ftlab.train(ftlab.compose([*words(job), "data=own"]), run, data=replace(splits(job), test=None))
    elif ftlab_main(["train", *words(job), *images(job), f"hydra.run.dir={run}"]):
        raise SystemExit("ftlab train did not end with 0")
    figures |= {"whole": cpu_seconds()}
    report = json.loads((run / "report.json").read_text())
    figures |= {"cache": [phase["cache"] for phase in report["phases"]]}
    return ftlab.load(run / "bundle").model


def images(job: Job) -> list[str]:
    """Those to train on alone: to judge by the others costs every peer the same, after all is measured."""
    alone = Path(job.folder) / "images"
    alone.mkdir()
    for file in Path(job.root).glob("train-*"):
        shutil.copy(file, alone)
    return ["data=idx", f"data.root={alone}", "data.split=[1.0,0.0,0.0]"]


def words(job: Job) -> list[str]:
    """ftlab's command line."""
    file = Path(job.folder) / "phases.yaml"
    phases = [
        {
            "name": f"phase {number}",
            "epochs": epochs,
            "stages": {"head/*": 1.0, **{f"backbone/blocks.{6 - i}": SHARE for i in range(count)}, "rest": "frozen"},
        }
        for number, (epochs, count) in enumerate(job.phases, start=1)
    ]
    file.write_text(json.dumps({"phases": phases}))  # which is YAML, too
    made = [f"data.image_size={SIDE}", "data.crop_pct=1.0", f"strategy.file={file}", "strategy=phases"]
    made += ["schedule=constant", "schedule.warmup=0", f"optimizer.lr={LR}", "optimizer.weight_decay=0"]
    return [*made, "trainer.accelerator=cpu", f"augment={'light' if job.augmented else 'none'}", *job.words]


def by_peer(job: Job, figures: Figures) -> nn.Module:
    module, name = PEERS[job.peer].split(".")
    fit = getattr(import_module(f"tests.benchmarks.peers.{module}"), name)
    data = splits(job)
    net = Network(len(data.target.classes))
    batches = loader(data.train, shuffle=True, augmented=job.augmented)
    measured(lambda: fit(net, job, batches), figures)
    figures |= {"whole": cpu_seconds()}
    return net


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def judge(model: nn.Module, job: Job, figures: Figures) -> None:
    from ftlab.batch import Batch

    test = splits(job).test
    if test is None:
        return
    said = []
    with torch.inference_mode():
        for images, targets in loader(test, shuffle=False):
            batch = Batch(targets, targets, {"images": images})
            said.append(model.eval()(images if isinstance(model, Network) else batch).argmax(1))
    predictions = torch.cat(said)
    figures |= {"accuracy": float((predictions == test.targets).double().mean()), "predictions": predictions.tolist()}


def main(text: str) -> None:
    job = Job(**json.loads(text))
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    figures: Figures = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = (by_ftlab if job.peer == "ftlab" else by_peer)(job, figures)
        judge(model, job, figures)
    layer = next(m for m in model.head.modules() if isinstance(m, nn.Linear))  # type: ignore[union-attr]
    torch.save({"weight": layer.weight.detach(), "bias": layer.bias.detach()}, Path(job.folder) / "head.pt")
    print("\n" + json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1])
