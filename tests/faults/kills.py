"""Kills runs by SIGKILL and goes on with them: python tests/faults/kills.py --kills 30 [--seed 0] [--of detection]

One warm process forks the runs. Each run dies in the middle of a random step, or at a random call that flushes, links
or renames a file of a checkpoint, then goes on in a new process, perhaps dies again, and must end with the weights,
buffers, optimizer state and metric history of the run that nobody killed, bit for bit.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

torch.set_num_threads(1)  # before any work: a pool of threads does not survive a fork

from ftlab.training.finetuner import FineTuner  # noqa: E402
from ftlab.training.fit import prepare  # noqa: E402
from ftlab.training.saving import checkpoints  # noqa: E402
from ftlab.training.saving.loading import read_checkpoint  # noqa: E402
from ftlab.training.trainer import only_news  # noqa: E402
from tests.training import dense, tiny  # noqa: E402
from tests.training.test_resume import assert_equal, without_times  # noqa: E402

BASE = (
    "strategy=progressive",
    "strategy.groups=2",
    "strategy.patience=2",
    "trainer.max_epochs=6",
    "checkpoint.every_n_steps=2",
    "augment=strong",
    "strategy.batchnorm=train",
)
# Boxes and masks follow no randaugment, and are not mixed.
MOVED = ("augment.randaugment=0", "augment.mixup=0", "augment.cutmix=0", "schedule=cosine", "monitor=loss")


@dataclass(frozen=True)
class Kind:
    """A sort of run that is killed."""

    of: str
    words: tuple[str, ...]

    def parts(self) -> Any:
        if self.of == "classification":
            return tiny.parts_of(*BASE, *self.words)
        return dense.parts_of(self.of, *BASE, *MOVED, *self.words)

    def __str__(self) -> str:
        return f"{self.of}, {', '.join(self.words)}"


KINDS = [  # tasks, schedules, accumulation, workers
    Kind("classification", ("schedule=cosine", "trainer.accumulate_grad_batches=1", "data.num_workers=0")),
    Kind("classification", ("schedule=plateau", "trainer.accumulate_grad_batches=2", "data.num_workers=0")),
    Kind("classification", ("schedule=one_cycle", "trainer.accumulate_grad_batches=2", "data.num_workers=2")),
    Kind("detection", ("trainer.accumulate_grad_batches=2",)),
    Kind("segmentation", ("trainer.accumulate_grad_batches=2",)),
]
FILE_CALLS = ("fsync", "replace", "link")


def train(folder: Path, kind: Kind) -> None:
    """Begin the run in `folder`, or go on with it."""
    goes_on = (folder / "checkpoints" / checkpoints.LAST).exists()
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    parts, settings, make_data = kind.parts()
    with only_news():
        trainer, tuner = prepare(parts, settings, make_data, folder, tiny.console())
        trainer.fit(tuner, ckpt_path=checkpoints.newest(folder / "checkpoints") if goes_on else None)


def die_at_step(number: int) -> None:
    """SIGKILL in the middle of the `number`-th training step from here, its forward pass done."""
    step, seen = FineTuner.on_before_optimizer_step, [0]

    def counted(self: FineTuner, optimizer: Any) -> None:
        seen[0] += 1
        if seen[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        step(self, optimizer)

    FineTuner.on_before_optimizer_step = counted  # type: ignore[method-assign]


def die_at_file(number: int) -> None:
    """SIGKILL just before the `number`-th call that makes a checkpoint's file or name."""
    seen = [0]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def kill_or_call(*arguments: Any) -> Any:
            seen[0] += 1
            if seen[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments)

        return kill_or_call

    for name in FILE_CALLS:
        setattr(os, name, counted(getattr(os, name)))


def forked(run: Callable[[], None]) -> int:
    """The exit status of `run` in a process of its own; negative: the signal that ended it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            run()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def final(folder: Path) -> dict[str, Any]:
    saved = read_checkpoint(folder / "checkpoints" / checkpoints.LAST)
    history = without_times(saved["ftlab"]["history"])
    return {"weights": saved["state_dict"], "optimizer": saved["optimizer_states"], "history": history}


def kill_and_go_on(folder: Path, kind: Kind, choose: random.Random) -> list[str]:
    """Kills until a run survives; what each kill hit."""
    hits = []
    for _ in range(choose.choice((1, 2))):
        die, where, most = choose.choice(((die_at_step, "step", 12), (die_at_file, "file call", 40)))
        number = choose.randint(1, most)

        def run(die: Callable[[int], None] = die, number: int = number) -> None:
            die(number)
            train(folder, kind)

        if forked(run) == -signal.SIGKILL:
            hits.append(f"{where} {number}")
    if forked(lambda: train(folder, kind)):
        raise SystemExit(f"a killed run did not go on: {kind}, {hits}")
    return hits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="kills at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--of", choices=sorted({kind.of for kind in KINDS}), help="runs of this task only")
    given = parser.parse_args()
    kinds = [kind for kind in KINDS if given.of in (None, kind.of)]
    choose, kills, equal, runs = random.Random(given.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        whole = [Path(name) / f"whole-{i}" for i in range(len(kinds))]
        for folder, kind in zip(whole, kinds, strict=True):
            if forked(lambda folder=folder, kind=kind: train(folder, kind)):  # type: ignore[misc]
                return 1
        while kills < given.kills:
            number, folder = runs % len(kinds), Path(name) / "killed"
            hits = kill_and_go_on(folder, kinds[number], choose)
            try:
                assert_equal(final(whole[number]), final(folder))
                same = True
            except AssertionError as error:
                print(f"  differs at {error}")
                same = False
            print(f"{kinds[number]}: killed at {'; '.join(hits) or 'nothing'}: {'equal' if same else 'DIFFERS'}")
            runs, kills, equal = runs + 1, kills + len(hits), equal + same
            shutil.rmtree(folder)
    print(f"{kills} kills in {runs} runs, {equal} of {runs} runs bit-identical")
    return int(equal != runs)


if __name__ == "__main__":
    sys.exit(main())
