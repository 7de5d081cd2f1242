"""A command that is repeated after a kill always gets on: judged from outside, by ckpt-chaos.

It kills copies of the command at the borders of the files that a run writes: before one is made (`before`), after half
of it (`torn`), or by SIGTERM with five seconds of grace (`term`). Each time the same command must then end with 0, and
with the weights of the run that nobody killed, bit for bit.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ckpt_chaos", reason="ckpt-chaos is not installed: pip install 'ftlab[test]'")

SMALL = ["backbone.name=resnet10t", "backbone.pretrained=false", "strategy=progressive", "trainer.max_epochs=3"]
SMALL += ["subset=0.1", "data.image_size=32", "augment=none", "trainer.accelerator=cpu"]
POINTS = 20


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_every_killed_run_starts_again_by_the_same_words(tmp_path: Path, processes: int) -> None:
    judge = [sys.executable, "-m", "ckpt_chaos", "run", "--max-points", str(POINTS), "--modes", "before,torn,term"]
    judge += ["--work", str(tmp_path / "work"), "--result-file", "{out}/run/bundle/model.safetensors", "--"]
    run = [sys.executable, "-m", "ftlab", "train", *SMALL, f"trainer.devices={processes}"]
    again = ["resume=auto", "hydra.run.dir={out}/run"]
    done = subprocess.run([*judge, *run, *again], cwd=tmp_path, capture_output=True, text=True, timeout=7200)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(re.findall(r"^(\w+): (\d+)$", done.stdout.splitlines()[-1].replace("  ", "\n"), re.MULTILINE))
    assert counts == {"PASS": str(POINTS + 1)}, done.stdout  # and a run that is not killed
