"""The command line: ftlab MODE key=value ...; the only place that starts Hydra's application and makes exit codes.

0 done, 2 the user's input is wrong, 1 anything else, 130 Ctrl-C.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from math import nan
from pathlib import Path
from typing import Any

from ftlab.completion import FLAGS, completed
from ftlab.errors import UserError, choices
from ftlab.exits import guard
from ftlab.imports import uncollected
from ftlab.modes import MODES, OF_TRAIN, listing, usage, version
from ftlab.streams import make_printable

# .hydra/ is written by the first process of a new run only; where one goes on, by ftlab.run, once nothing is refused.
RUN_DIR = "hydra.run.dir"
SILENT = "hydra.output_subdir=null"
HOMES = {  # of modes that are no run
    "cache": "ftlab.cache_command", "compare": "ftlab.comparing", "export": "ftlab.export_command",
    "serve": "ftlab.serving.command", "explain": "ftlab.explaining.command",
}  # fmt: skip
OTHERS = (SILENT, "hydra/job_logging=stdout")  # processes that torchrun or srun has started beside the first: no log


def main(argv: Sequence[str] | None = None) -> int:
    """`ftlab MODE ...`; gives the exit code."""
    make_printable()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["--help"], ["-h"]):
        print(usage())
        return 0
    if words[:1] == ["--version"]:
        print(f"ftlab {version()}")
        return 0
    if words[:1] and words[0] in FLAGS:
        return guard(lambda: completed(words[1:], partial(_hydra, name="ftlab")))
    if not words or words[0] not in MODES:
        said = f"ftlab: mode '{words[0]}': no such mode; {choices(words[0], MODES)}\n" if words else ""
        print(f"{said}Usage: ftlab MODE [key=value ...]; ftlab --help lists the modes.", file=sys.stderr)
        return 2
    if words[0] == "help":
        return guard(lambda: _help(words[1:]))
    return guard(lambda: _mode(words[0], words[1:]))


def _help(words: list[str]) -> int:
    from ftlab.help_command import help_of

    if set(words) & {"--help", "-h"}:
        print("Usage: ftlab help [PAGE | KEY]; without a word it lists the pages.")
        return 0
    return help_of(words)


def train() -> int:
    """The script ftlab-train, which Hydra completes by itself."""
    make_printable()
    return guard(lambda: _mode("train", sys.argv[1:]))


def _mode(mode: str, words: list[str]) -> int:
    from ftlab.overrides import flagged, quote

    args = flagged(mode, words)
    if args.help:
        return _hydra(mode, ["--help"])
    if args.hydra_help or args.shell_completion:
        return _hydra(mode, words)
    from ftlab.composition import prepare
    from ftlab.resume import check_same, is_auto, is_done, replayed
    from ftlab.search import door
    from ftlab.training.distributed.processes import rank

    multirun = args.multirun or "hydra.mode=MULTIRUN" in args.overrides
    if multirun and mode != "train":
        raise UserError(f"ftlab {mode} -m: a multirun is for train; run ftlab {mode} once for each value")
    show = args.cfg is not None or args.info is not None
    if multirun and not show and door.is_search(args.overrides, args.config_dir):
        return _search(args, words)
    overrides, resumed = replayed(args.overrides) if mode in OF_TRAIN else (args.overrides, False)
    if resumed and multirun:
        raise UserError("resume=...: goes on with one run; a multirun begins new ones")
    prepared = prepare(overrides, mode, args.config_dir, args.config_name, multirun=multirun, missing_ok=show)
    door.check_read(args.overrides)
    line = [*(word for word in words if word not in args.overrides), *prepared.lines]  # flags first
    if mode == "compare" and not show:
        return _compare(prepared.settings(), line, args.overrides)
    if show or mode not in OF_TRAIN:
        return _hydra(mode, line)
    # ${now:...} is read once, here: the folder that is checked is the folder that is used.
    key = "hydra.sweep.dir" if multirun else RUN_DIR
    folder = Path(prepared.folder(key))
    if resumed:
        settings = prepared.settings() if mode == "train" else _as_train(mode, overrides, args)
        if is_auto(args.overrides) and is_done(folder, settings):
            from ftlab.finishing import nothing_left

            return nothing_left(folder, mode)
        check_same(folder, settings)
    if mode != "train":  # they leave nothing in the folder of the run, and do not make it
        return _hydra(mode, [*line, "hydra.run.dir=.", SILENT])
    line = [*line, quote(key, str(folder))]
    if rank() and not any(text.startswith(f"{key}=") for text in overrides):
        raise UserError(f"{key}: several processes were started from outside, and need one folder: {key}=DIR")
    if resumed:
        return _go_on(folder, line)
    if rank():
        return _hydra(mode, [*line, *OTHERS])
    return _start(folder, key, line, again=is_auto(args.overrides))


def _search(args: Namespace, words: list[str]) -> int:
    """A multirun whose values a study chooses, or the rest of one."""
    from ftlab.overrides import quote
    from ftlab.search import door
    from ftlab.search.sweeper import register
    from ftlab.sweep import summed_up

    prepared, key = door.prepared(args.overrides, args.config_dir, args.config_name), "hydra.sweep.dir"
    folder = Path(prepared.folder(key))
    line = [*(word for word in words if word not in args.overrides), *prepared.lines, quote(key, str(folder))]
    register()
    if door.goes_on(folder, args.overrides):
        return summed_up(_hydra("train", line), folder)
    return _start(folder, key, line, again=False)


def _compare(settings: dict[str, Any], line: list[str], typed: list[str]) -> int:
    """Runs that are there side by side, or a multirun of what is to be compared."""
    from ftlab.comparing import as_multirun, check_read

    check_read(typed, settings["runs"])
    if settings["runs"]:
        return _hydra("compare", [*line, "hydra.run.dir=.", *OTHERS])
    flags = [word for word in line if "=" not in word or word.startswith("-")]
    words = as_multirun(typed, settings["compare"], settings["seed"], settings["subset"])
    return _mode("train", ["-m", *flags, *words])


def _start(folder: Path, key: str, line: list[str], again: bool) -> int:
    """A new run, or several, in the folder that `key` names; again: where one may have ended before."""
    from ftlab.starting import fresh, move_aside, never_saved, no_trace
    from ftlab.sweep import summed_up

    if again and never_saved(folder):
        print(f"{folder}: a run ended there before its first checkpoint; it is now in {move_aside(folder)}")
    with no_trace(key, fresh(key, folder)):
        code = _hydra("train", line)
        return _said(code, folder) if key == RUN_DIR else summed_up(code, folder)


def _as_train(mode: str, overrides: Sequence[str], args: Namespace) -> dict[str, Any]:
    """The settings of train with the words of another mode, which may set defaults, and have keys, of its own."""
    from ftlab.composition import prepare
    from ftlab.config import keys

    own = keys(mode) - keys("train")
    words = [text for text in overrides if text.lstrip("+").partition("=")[0] not in own]
    return prepare(words, "train", args.config_dir, args.config_name).settings()


def _go_on(folder: Path, line: list[str]) -> int:
    """The run of the folder, from its last checkpoint. Raises: UserError, before anything in the folder is changed."""
    from ftlab.disk import locked, writable
    from ftlab.training.distributed.processes import rank

    if not rank():
        with locked(folder):
            writable("hydra.run.dir", folder)
    code = _hydra("train", [*line, *(OTHERS if rank() else (SILENT,))])
    return code if rank() else _said(code, folder)


def _said(code: int, folder: Path) -> int:
    """The code, and for an interrupted run how to go on with it."""
    from ftlab.resume import LAST

    if code == 130 and (folder / LAST).is_file():
        print(f"go on with: ftlab train resume={folder}", file=sys.stderr)
    return code


def _hydra(mode: str, words: list[str], name: str | None = None) -> int:
    """Hydra's application for one mode; name: of the program, where it is not that of the mode."""
    import hydra
    from omegaconf import OmegaConf

    from ftlab.config import conf_dir

    OmegaConf.register_new_resolver("groups", lambda: listing(mode), replace=True)  # in the texts of --help
    application = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=mode)(JOBS[mode])
    with _argv([name or f"ftlab-{mode}", *words]):
        return guard(lambda: application() or 0)


@contextmanager
def _argv(words: list[str]) -> Iterator[None]:
    """Hydra reads sys.argv and nothing else."""
    before = sys.argv
    sys.argv = words
    try:
        yield
    finally:
        sys.argv = before


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
    return getattr(run, mode)(config)


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


def export_job(config: Any) -> Any:
    return _job("export", config)


def explain_job(config: Any) -> Any:
    return _job("explain", config)


def serve_job(config: Any) -> Any:
    return _job("serve", config)


def cache_job(config: Any) -> Any:
    return _job("cache", config)


JOBS = {name.removesuffix("_job"): job for name, job in [*globals().items()] if name[1:].endswith("_job")}
