"""Jobs of a multirun in other processes: the same figures, whoever runs them."""

import json
from pathlib import Path

import pytest

from tests.conftest import Command

JOBS = (
    "train", "-m", "data=diabetes", "task=regression", "subset=60", "trainer.max_epochs=2", "seed=0,1",
    "optimizer.lr=0.001,0.01",
)  # fmt: skip


def objectives(folder: str) -> list[float]:
    return [json.loads(Path(folder, str(n), "report.json").read_text())["objective"]["value"] for n in range(4)]


@pytest.mark.slow
def test_each_launcher_gives_the_figures_of_one_job_after_the_other(command: Command) -> None:
    assert command(*JOBS, "hydra.sweep.dir=alone").code == 0
    for launcher, package, words in (
        ("joblib", "hydra_plugins.hydra_joblib_launcher", ["hydra.launcher.n_jobs=2"]),
        ("submitit_local", "hydra_plugins.hydra_submitit_launcher", []),
    ):
        pytest.importorskip(package, reason=f"needs the launcher {launcher}")
        ended = command(*JOBS, f"hydra/launcher={launcher}", *words, f"hydra.sweep.dir={launcher}")
        assert ended.code == 0, ended.err
        assert objectives(launcher) == objectives("alone")
