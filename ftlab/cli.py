"""The command line: ftlab MODE key=value ...; the only place that starts Hydra's application and makes exit codes.

0 done, 2 the user's input is wrong, 1 anything else, 130 Ctrl-C.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.completion import FLAGS, completed
from ftlab.errors import UserError, choices
from ftlab.exits import guard
from ftlab.jobs import JOBS
from ftlab.modes import MODES, OF_TRAIN, listing, usage, version
from ftlab.streams import make_printable

if TYPE_CHECKING:
    from ftlab.composition import Prepared

# .hydra/ is written by the first process of a new run only; where one goes on, by ftlab.run, once nothing is refused.
RUN_DIR = "hydra.run.dir"
SILENT = "hydra.output_subdir=null"
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
    if mode == "auto" and not show:
        return _auto(prepared, line, args.overrides)
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
    from ftlab.search.plugins import register
    from ftlab.search.sweeper import Search
    from ftlab.sweep import summed_up

    prepared, key = door.prepared(args.overrides, args.config_dir, args.config_name), "hydra.sweep.dir"
    folder = Path(prepared.folder(key))
    line = [*(word for word in words if word not in args.overrides), *prepared.lines, quote(key, str(folder))]
    register(Search)
    if door.goes_on(folder, args.overrides):
        return summed_up(_hydra("train", line), folder)
    return _start(folder, key, line, again=False)


def _auto(prepared: "Prepared", line: list[str], typed: list[str]) -> int:
    """Runs that rules propose, within a time, or the rest of them."""
    from ftlab.choosing.command import SWEEPER, as_multirun, finish
    from ftlab.choosing.sweeper import Choose
    from ftlab.overrides import quote
    from ftlab.search.door import goes_on
    from ftlab.search.plugins import register
    from ftlab.starting import fresh, no_trace

    key = "hydra.sweep.dir"
    words, folder = as_multirun(line, prepared.settings()), Path(prepared.folder(key))
    register(Choose)
    with nullcontext() if goes_on(folder, typed, SWEEPER) else no_trace(key, fresh(key, folder)):
        code = _hydra("train", ["-m", *words, quote(key, str(folder))])
        return code or guard(lambda: finish(folder))


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
