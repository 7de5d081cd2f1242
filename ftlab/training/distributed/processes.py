"""The processes of a run on several devices: who is who, and how the others are started.

The other processes of this machine start from the run's own config.yaml, never by repeating the command line, which in
a multirun would start the sweep again. Under torchrun or SLURM all processes are there already.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ftlab.errors import UserError
from ftlab.run_settings import TrainerSettings

INTERRUPTED = 130
OURS = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK")


def rank() -> int:
    """The number of this process among all of the run; 0 writes and prints."""
    names = ("RANK", "SLURM_PROCID") if "LOCAL_RANK" not in os.environ else ("RANK", "LOCAL_RANK")
    return next((int(os.environ[name]) for name in names if name in os.environ and _started()), 0)


def _started() -> bool:
    """Whether somebody else (ftlab, torchrun, srun) has started the processes of this run."""
    srun = "SLURM_PROCID" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive", None)
    return "LOCAL_RANK" in os.environ or srun


def started_with() -> int:
    """How many processes torchrun or srun has started for this run; 1 where neither has."""
    return int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_NTASKS", "1"))) if _started() else 1


def alone(key: str) -> None:
    """Raises: UserError if others have started several processes, each of which would choose `key` for itself."""
    if started_with() > 1:
        raise UserError(
            f"{key}: processes that torchrun or srun has started could choose differently; "
            "find the number with one process, then give it"
        )


def devices(trainer: TrainerSettings) -> int:
    """How many devices of this machine `trainer:` asks for."""
    asked = trainer.devices
    if isinstance(asked, list):
        return len(asked)
    if asked in ("auto", -1):
        import torch  # here, since the command line asks for the rank before anything heavy is imported

        on_gpu = trainer.accelerator in ("auto", "gpu", "cuda")
        return max(1, torch.cuda.device_count()) if on_gpu else 1
    return int(asked)


@contextmanager
def together(trainer: TrainerSettings, folder: Path, own_parts: bool) -> Iterator[None]:
    """The other processes of this machine run beside the body; if one fails, this one ends too.

    Raises: UserError for data or a network given in Python, which other processes cannot be sent.
    """
    world, machines = devices(trainer), trainer.num_nodes
    if machines > 1 and not _started():
        raise UserError(f"trainer.num_nodes={machines}: start the processes of several machines by torchrun or srun")
    if world == 1 or _started():
        try:
            yield
        finally:
            leave()
        return
    if own_parts:
        raise UserError(
            f"trainer.devices={world}: your own data or backbone cannot be sent to other processes; "
            "start the script itself with torchrun, or use trainer.devices=1"
        )
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(world), "NODE_RANK": "0"}
    others = [start(folder, number, shared) for number in range(1, world)]
    ended = threading.Event()
    for number, process in enumerate(others, start=1):
        threading.Thread(target=watch, args=(process, number, folder, ended), daemon=True).start()
    os.environ |= {**shared, "LOCAL_RANK": "0"}
    try:
        yield
        for process in others:
            process.wait(timeout=60)  # they have nothing left to do but to end
    finally:
        ended.set()
        for process in others:
            process.kill()
        for name in OURS:
            os.environ.pop(name, None)
        leave()


def leave() -> None:
    """What comes after the fit is of one process; the next job of a sweep makes a group of its own."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def start(folder: Path, number: int, shared: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "ftlab.joining", str(folder)]
    environment = {**os.environ, **shared, "LOCAL_RANK": str(number)}
    with open(folder / f"process-{number}.log", "ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)


def end_with_parent(seconds: float = 1.0) -> None:
    """In a process made by `start`: look every so often whether the one that made it is alive, and else end too.

    One that was killed before the group of processes was complete would be waited for until a time-out of half an hour.
    """
    parent = os.getppid()

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def watch(process: "subprocess.Popen[bytes]", number: int, folder: Path, ended: threading.Event) -> None:
    """A process that has died would leave the others waiting for it until their time-out of half an hour."""
    code = process.wait()
    if code not in (0, INTERRUPTED) and not ended.wait(
        timeout=2
    ):  # its error may be ours too, and then ours is the one to show
        log = folder / f"process-{number}.log"
        print(f"ftlab: process {number} of the run ended with code {code}; see {log}", file=sys.stderr, flush=True)
        os._exit(1)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
