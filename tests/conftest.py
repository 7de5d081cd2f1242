"""Shared by all tests: the command line in this process, in an empty folder."""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is first imported; two workers share the cores, bits stay equal

from ftlab.cli import main
from ftlab.errors import UserError

ROOT = Path(__file__).parent.parent


@dataclass
class Ended:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Checks of data are kept in a folder of the tests, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """command("train", "seed=1") is `ftlab train seed=1` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Ended:
        capsys.readouterr()
        code = main(words)
        written = capsys.readouterr()
        return Ended(code, written.out, written.err)

    yield run
    close_handlers()


def close_handlers() -> None:
    """After the command line ran in this process."""
    # Hydra gives the root logger handlers of its own; the file among them must be closed before the next test.
    for handler in list(logging.getLogger().handlers):
        if type(handler) in (logging.StreamHandler, logging.FileHandler):
            logging.getLogger().removeHandler(handler)
            handler.close()


@pytest.fixture
def quick_run(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """ftlab.run replaced by one that trains nothing, for tests of what lies around a run; gives its calls.

    Training ends with the objective 1 / (1 + seed); seed 7 is wrong input, seed 8 a defect, seed 9 a Ctrl-C.
    """
    calls: list[tuple[str, Any]] = []
    phase = {"trainable_parameters": 5, "peak_memory_bytes": None}

    def train(config: Any, run_dir: Path) -> dict[str, Any]:
        calls.append(("train", config))
        if config.seed == 7:
            raise UserError("seed=7: wrong input")
        if config.seed == 8:
            raise RuntimeError("a defect")
        if config.seed == 9:
            raise KeyboardInterrupt
        objective = {"name": "accuracy", "value": 1 / (1 + config.seed), "mode": "max", "split": "val"}
        report = {
            "schema_version": 1,
            "objective": objective,
            "metrics": {"test": {"accuracy": 0.5}},
            "phases": [phase],
            "seconds": {"train": 1.0},
        }
        (run_dir / "report.json").write_text(json.dumps(report))
        return report

    def mode(name: str, result: Any) -> Callable[[Any], Any]:
        return lambda config: (calls.append((name, config)), result)[1]

    module = ModuleType("ftlab.run")
    module.train = train  # type: ignore[attr-defined]
    module.plan = mode("plan", {})  # type: ignore[attr-defined]
    module.evaluate = mode("evaluate", {"accuracy": 1.0})  # type: ignore[attr-defined]
    module.predict = mode("predict", 2)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ftlab.run", module)
    return calls


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """mounted("size=1m") is a small file system of its own, where the system lets us make one."""
    made: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(made)}"
        folder.mkdir()
        tool = shutil.which("mount")
        done = tool and subprocess.run([tool, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
        if not done or done.returncode:
            pytest.skip("this user may not mount a file system")
        made.append(folder)
        return folder

    yield mount
    for folder in made:
        subprocess.run(["umount", "-l", str(folder)], check=True)
