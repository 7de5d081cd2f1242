"""Runs killed by SIGKILL end bit-identical; a soak of 200: python tests/faults/kills.py --kills 200"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def kills(number: int, seed: int, *words: str) -> str:
    command = [sys.executable, "-m", "tests.faults.kills", "--kills", str(number), "--seed", str(seed), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("task", ["classification", "detection", pytest.param("segmentation", marks=pytest.mark.slow)])
def test_a_kill_ends_bit_identical(task):
    said = kills(1, 1, "--of", task).replace(",", "").split()
    total, runs, equal, of = (int(word) for word in said if word.isdigit())
    assert total >= 1
    assert runs == equal == of


@pytest.mark.slow
def test_30_kills_end_bit_identical():
    kills(30, seed=2)
