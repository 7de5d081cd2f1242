"""What is typed for a search, checked before it begins: what is wrong in every trial is told at once."""

import itertools
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from ftlab.composition import Prepared, prepare
from ftlab.config import groups
from ftlab.errors import UserError
from ftlab.overrides import Typed, parse
from ftlab.resume import is_auto, read_yaml
from ftlab.search.study import NEEDED
from ftlab.settings import NAMES, PATHS
from ftlab.starting import SWEEP
from ftlab.sweep import SEARCH

SWEEPER = "hydra/sweeper"
KEYS = "sweep"  # the group of keys that nothing else reads
INTERVAL = re.compile(r"^[^=]*=(?:\w+\((?:[\w ]+,)?)*interval\(")  # also in int(...) and tag(log, ...)
COMBINATIONS = 64  # of options that are tried at most
OWN_SUBDIR = "hydra.sweep.subdir"


def is_search(overrides: Sequence[str], config_dir: str | None) -> bool:
    """Whether these words of a multirun choose the sweeper of a search, by themselves or by an experiment of theirs."""
    if any(text.startswith(f"{SWEEPER}=") for text in overrides):
        return f"{SWEEPER}=optuna" in overrides
    return _of_experiment(overrides, config_dir) is not None


def _of_experiment(overrides: Sequence[str], config_dir: str | None) -> Mapping[str, Any] | None:
    """The sweeper's node, if an experiment chooses that of a search."""
    words = [text for text in overrides if text.startswith(("experiment=", f"{SWEEPER}=", "hydra.searchpath="))]
    if not any(text.startswith(("experiment=", SWEEPER)) for text in words):
        return None
    for some in (words, overrides):  # an experiment may need an option that is typed beside it
        try:
            node = prepare(some, "train", config_dir, multirun=True, missing_ok=True).config.hydra.sweeper
        except UserError:  # which the whole line has too, and is told there
            continue
        return node if node.get("_target_") == SEARCH else None
    return None


def check_read(overrides: Sequence[str]) -> None:
    """Raises: UserError for what a search alone understands, where there is none."""
    for text in overrides:
        if text.lstrip("+").startswith(f"{KEYS}.") or INTERVAL.search(text):
            raise UserError(f"{text}: is for a search alone: ftlab train -m {SWEEPER}=optuna ...")


def prepared(overrides: Sequence[str], config_dir: str | None, config_name: str | None) -> Prepared:
    """The words of a search as Hydra accepts them, and the config of its first trial.

    Raises: UserError where Optuna is not installed; for what is wrong in every trial: with every combination of options
    that is tried, or, of a value, with each of them.
    """
    if find_spec("optuna") is None:
        raise UserError(NEEDED)
    resumed = [text for text in overrides if text.startswith("resume=")]
    if resumed and not (is_auto(resumed) and any(text.startswith("hydra.sweep.dir=") for text in overrides)):
        raise UserError(
            f"{resumed[0]}: a search goes on by resume=auto hydra.sweep.dir=DIR beside the line it was begun by"
        )
    overrides = [text for text in overrides if text not in resumed]
    node = _of_experiment([*overrides, *([] if _chosen(overrides) else [f"{SWEEPER}=optuna"])], config_dir)
    own = {text.lstrip("+").partition("=")[0] for text in overrides}
    params = [f"{key}={text}" for key, text in (node or {}).get("params", {}).items() if key not in own]
    typed, errors = parse([*params, *overrides], True, PATHS, NAMES)
    if errors:
        raise UserError("\n".join(errors))
    if any(one.key == OWN_SUBDIR for one in typed):
        raise UserError(f"{OWN_SUBDIR}: a search numbers the folders of its jobs; leave it out")
    jobs = _Jobs(typed, config_dir, config_name)
    found = jobs.checked()
    return Prepared([jobs.line(one) for one in typed if one.text not in params], found.config)


def _chosen(overrides: Sequence[str]) -> bool:
    return any(text.startswith((f"{SWEEPER}=", "experiment=")) for text in overrides)


class _Jobs:
    """Jobs of the search, each as if it were typed by itself."""

    def __init__(self, typed: Sequence[Typed], config_dir: str | None, config_name: str | None) -> None:
        self.typed, self.config_dir, self.config_name = typed, config_dir, config_name
        self.added: set[str] = set()  # keys that Hydra wants ++ for
        is_option = {*groups("train")}
        self.options = [one for one in typed if one.key in is_option or "/" in one.key.split("=")[0]]
        self.keys = [one for one in typed if one not in self.options]

    def checked(self) -> Prepared:
        """The first job that has no error."""
        combinations = list(itertools.islice(itertools.product(*(one.values for one in self.options)), COMBINATIONS))
        bases = [self._base(options) for options in combinations]
        good = [
            (options, base) for options, base in zip(combinations, bases, strict=True) if isinstance(base, Prepared)
        ]
        if not good:
            raise next(base for base in bases if isinstance(base, UserError))
        absent = [one for one in self.keys if not any(self._has(base, one.key) for _, base in good)]
        first: Prepared | None = None
        for place in range(max((len(one.values) for one in self.keys), default=1)):
            found = [self._job(options, base, absent, place) for options, base in good]
            ended = [one for one in found if isinstance(one, Prepared)]
            if not ended:
                raise next(one for one in found if isinstance(one, UserError))
            first = first or ended[0]
        assert first is not None
        return first

    def _base(self, options: Sequence[Override]) -> Prepared | UserError:
        return self._prepared([str(one.input_line) for one in options], missing_ok=True)

    def _job(self, options: Sequence[Override], base: Prepared, absent: Sequence[Typed], place: int) -> Any:
        """The options with one value of each key that they have, or that none has."""
        keys = [one for one in self.keys if one in absent or self._has(base, one.key)]
        values = [one.values[place % len(one.values)] for one in keys]
        words = [*(str(one.input_line) for one in options), *(str(value.input_line) for value in values)]
        found = self._prepared(words, missing_ok=False)
        if isinstance(found, Prepared):
            self.added |= {line.lstrip("+").partition("=")[0] for line in found.lines if line.startswith("++")}
        return found

    def _has(self, base: Prepared, key: str) -> bool:
        from ftlab.search.sweeper import is_there

        return key.split(".")[0] == "hydra" or is_there(base.config, key)

    def _prepared(self, words: Sequence[str], missing_ok: bool) -> Prepared | UserError:
        try:
            return prepare(words, "train", self.config_dir, self.config_name, missing_ok=missing_ok)
        except UserError as error:
            return error

    def line(self, one: Typed) -> str:
        bare = one.line.lstrip("+")
        return f"++{bare}" if one.key in self.added and one not in self.options else bare


def goes_on(folder: Path, typed: Sequence[str], sweeper: str = SEARCH) -> bool:
    """Whether what `sweeper` has begun in the folder goes on.

    Raises: UserError where it is there, and resume=auto was not typed.
    """
    there = (folder / SWEEP).is_file() and read_yaml(folder / SWEEP)["hydra"]["sweeper"].get("_target_") == sweeper
    if there and not is_auto(typed):
        raise UserError(f"hydra.sweep.dir={folder}: holds a search; the same line with resume=auto goes on with it")
    return there
