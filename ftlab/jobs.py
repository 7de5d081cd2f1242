"""One job of a mode, inside Hydra's application; launchers may run it in another process."""

import sys
from importlib import import_module
from math import nan
from pathlib import Path
from typing import Any

from ftlab.exits import guard
from ftlab.imports import uncollected

HOMES = {  # of modes that are no run
    "cache": "ftlab.cache_command", "compare": "ftlab.comparing", "export": "ftlab.export_command",
    "lr-find": "ftlab.rate_command", "serve": "ftlab.serving.command", "explain": "ftlab.explaining.command",
}  # fmt: skip


def _job(mode: str, config: Any) -> Any:
    """One job, inside Hydra. Its errors end here: Hydra would print its own text and exit with 1."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    running = HydraConfig.get()
    folder = Path(running.runtime.output_dir)
    if running.mode == RunMode.MULTIRUN:
        from ftlab.sweep import Job, run_job

        alone = str(running.launcher._target_).endswith(".BasicLauncher")  # one job after the other, in this process
        job = Job(folder, Path(running.sweep.dir), running.job.num, list(running.overrides.task), draws=alone)
        return run_job(lambda: float(_run(mode, config, folder)), job)
    gives_code = mode in ("predict", "check", "cache", "explain")

    def run() -> int:
        found = _run(mode, config, folder)
        return int(found) if gives_code else 0

    code = guard(run)
    if code:
        sys.exit(code)
    return None


def _run(mode: str, config: Any, folder: Path) -> Any:
    from ftlab.config import problems, stop_if

    stop_if(problems(config, mode))  # again: a sweeper may have chosen values that nobody typed
    # torch comes with ftlab.run: seconds that a list of files does not need
    with uncollected():
        run = import_module(HOMES.get(mode, "ftlab.run"))
        if mode == "train":
            import_module("ftlab.training.fit")
    if mode == "train":
        report = run.train(config, folder)  # empty where another process writes it
        value = report["objective"]["value"] if report else None
        return nan if value is None else value  # no split to judge by, or one in which it is undefined: not a 0
    return getattr(run, mode.replace("-", "_"))(config)


def in_multirun() -> bool:
    """Whether this run is one of several, here or in a process that a launcher has begun."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


# Plain functions of this module, which launchers of other processes can pickle by name.
def train_job(config: Any) -> Any:
    return _job("train", config)


def check_job(config: Any) -> Any:
    return _job("check", config)


def plan_job(config: Any) -> Any:
    return _job("plan", config)


def evaluate_job(config: Any) -> Any:
    return _job("evaluate", config)


def predict_job(config: Any) -> Any:
    return _job("predict", config)


def compare_job(config: Any) -> Any:
    return _job("compare", config)


def auto_job(config: Any) -> Any:
    return _job("auto", config)


def export_job(config: Any) -> Any:
    return _job("export", config)


def explain_job(config: Any) -> Any:
    return _job("explain", config)


def serve_job(config: Any) -> Any:
    return _job("serve", config)


def cache_job(config: Any) -> Any:
    return _job("cache", config)


def lr_find_job(config: Any) -> Any:
    return _job("lr-find", config)


_OF_MODES = [(name, job) for name, job in globals().items() if name[1:].endswith("_job")]
JOBS = {name.removesuffix("_job").replace("_", "-"): job for name, job in _OF_MODES}
