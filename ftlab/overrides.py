"""What the user typed behind a mode: parsed one by one, so that every error is known before any is told."""

import itertools
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from ftlab.errors import UserError

# Characters that Hydra's grammar lets a backslash escape; before any other a backslash is part of a path.
_ESCAPED = tuple(f"\\{character}" for character in ",= ()[]{}:\t")

LISTS = ("input",)  # keys that accept several files


@dataclass(frozen=True)
class Typed:
    """One override: as typed, and the values it stands for (several in a multirun)."""

    text: str
    line: str  # the same, quoted where that was needed
    key: str  # without + or ++
    values: tuple[Override, ...]
    sweep: bool

    def label(self, value: Override) -> str:
        return f"{self.key}={value.get_value_element_as_str()}" if self.sweep else self.text


def flagged(mode: str, words: list[str]) -> Namespace:
    """Hydra's own flags and the overrides, in any order. Raises: UserError."""
    from hydra._internal.utils import get_args_parser  # there is no public way to read Hydra's flags

    parser: ArgumentParser = get_args_parser()

    def stop(message: str) -> NoReturn:
        raise UserError(f"{message}; ftlab {mode} --hydra-help lists the flags")

    parser.error = stop  # type: ignore[method-assign]
    args = parser.parse_intermixed_args(words)
    if args.config_path is not None:
        raise UserError("--config-path: would hide the shipped options; add your own with --config-dir DIR")
    if args.experimental_rerun is not None:
        raise UserError("--experimental-rerun: reads a pickle, which can run any code; use resume=RUN_DIR")
    return args


def parse(
    texts: Sequence[str], multirun: bool, paths: frozenset[str], names: frozenset[str] = frozenset()
) -> tuple[list[Typed], list[str]]:
    """All overrides that can be read, and one line about each that cannot.

    `paths`: keys whose values are paths; `names`: those whose values are names, or lists of names.
    """
    parser = OverridesParser.create()
    typed, errors = [], []
    for place, text in enumerate(texts):
        line = quoted(named(text, multirun, names), multirun, paths)
        try:
            override = parser.parse_override(line)
            values = tuple(_values(parser, override))
        except HydraException as error:
            errors.append(f"{text}: {_unreadable(text, error) if '=' in text else _no_value(texts, place)}")
            continue
        problem = _not_accepted(override, multirun)
        if problem:
            errors.append(f"{text}: {problem}")
        else:
            typed.append(Typed(text, line, override.key_or_group, values, override.is_sweep_override()))
    return typed, errors


def _no_value(texts: Sequence[str], place: int) -> str:
    """What is said of a word without a key: perhaps one of several values, which a shell's glob gives too."""
    first = next((before for before in range(place - 1, -1, -1) if "=" in texts[before]), None)
    if first is None or texts[first].partition("=")[0] not in LISTS:
        return "expected key=value"
    last = next((n for n in range(place, len(texts)) if "=" in texts[n]), len(texts))
    key, _, value = texts[first].partition("=")
    values = [value, *texts[first + 1 : last]]
    return f"expected key=value; several are written {key}=[{','.join(values) if len(values) < 5 else 'a,b,...'}]"


def _unreadable(text: str, error: HydraException) -> str:
    key, _, value = text.partition("=")
    reason = " ".join(str(error).split())
    hint = "" if value[:1] in ("[", "{") else f"; a value with special characters needs quotes: '{key}=\"{value}\"'"
    return f"cannot be read ({reason}){hint}"


def _not_accepted(override: Override, multirun: bool) -> str | None:
    if override.is_delete():
        return "a key cannot be taken away; where it accepts null, set it to null"
    if override.package is not None:
        return f"a package (@{override.package}) is not accepted; write {override.key_or_group}=..."
    if override.is_sweep_override() and not multirun:
        return "several values need -m (a multirun); a list is written [a,b], a text with a comma \"'a,b'\""
    if override.is_sweep_override() and override.is_hydra_override():
        return "Hydra's own keys accept one value"
    return None


def _values(parser: OverridesParser, override: Override) -> Iterator[Override]:
    """Each value of a sweep as an override of its own; of an interval both ends."""
    if not override.is_sweep_override():
        yield override
        return
    if override.is_interval_sweep():
        texts = [str(override.value().start), str(override.value().end)]  # type: ignore[union-attr]
    else:
        texts = list(override.sweep_string_iterator())
    for text in texts:
        yield parser.parse_override(f"{override.get_key_element()}={text}")


def quoted(text: str, multirun: bool, paths: frozenset[str]) -> str:
    """The override with its value in quotes where it is a path that Hydra's grammar would read as something else."""
    key, equals, value = text.partition("=")
    if not equals or key.lstrip("+") not in paths or value[:1] in ("'", '"') or value in ("", "null", "???"):
        return text
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        return quote(key, value)
    if override.is_sweep_override():
        return text if multirun else quote(key, value)
    meant = override.value()
    if meant == value or isinstance(meant, list) or any(pair in value for pair in _ESCAPED):
        return text
    return quote(key, value)


def named(text: str, multirun: bool, names: frozenset[str]) -> str:
    """The override with its names in quotes where Hydra's grammar would read numbers, or nothing, in them."""
    key, equals, value = text.partition("=")
    if not equals or key.lstrip("+") not in names or value[:1] in ("'", '"') or value in ("", "null", "???"):
        return text
    several = value[:1] == "[" and value[-1:] == "]"
    try:
        override = OverridesParser.create().parse_override(text)
        if override.is_sweep_override() and multirun:
            return text
        meant = override.value()
        if all(isinstance(one, str | QuotedString) for one in (meant if isinstance(meant, list) else [meant])):
            return text
    except HydraException:
        pass
    if not several:
        return quote(key, value)
    return f"{key}=[{','.join(_quoted_name(name) for name in _parted(value[1:-1]))}]"


def _parted(text: str) -> list[str]:
    """What commas outside of quotes part."""
    return [part.strip() for part in re.findall(r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,])+""", text)]


def _quoted_name(name: str) -> str:
    return name if name[:1] in ("'", '"') else QuotedString(name, Quote.single).with_quotes()


def quote(key: str, value: str) -> str:
    """The override of `key` whose value is exactly this text."""
    return f"{key}={QuotedString(value, Quote.single).with_quotes()}"


def jobs(
    groups: Sequence[Typed], keys: Sequence[Typed]
) -> Iterator[tuple[list[Override], list[tuple[Typed, Override]]]]:
    """The fewest jobs that hold every combination of options and every value of every key at least once.

    Which keys there are depends on the options alone, so the values need not be combined with one another.
    """
    combinations = list(itertools.product(*(group.values for group in groups)))
    longest = max([len(combinations), *(len(key.values) for key in keys)])
    for index in range(longest):
        chosen = combinations[index % len(combinations)]
        yield list(chosen), [(key, key.values[index % len(key.values)]) for key in keys]


# Data of what no other data are for, by what is typed.
USUAL = {
    "task=detection": "digit_scenes",
    "task=segmentation": "digit_scenes",
    "task=question_answering": "docstring_questions",
    "task=masked_language": "docstrings",
    "task=translation": "messages",
    "task=captioning": "digit_scenes",
    "backbone=torchvision_detector": "digit_scenes",
    "backbone=transformers_detector": "digit_scenes",
}


def usual(words: Sequence[str]) -> list[str]:
    """The data option that a task is tried with where none is typed: a task cannot bring it as it brings its head,
    since data may bring their task."""
    typed = [word.lstrip("+") for word in words]
    if any(word.startswith(("data=", "experiment=")) for word in typed):
        return []
    return [f"data={USUAL[word]}" for word in typed if word in USUAL][:1]
