"""Rules over stages: an ordered mapping of glob patterns to values that covers every stage exactly once."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from ftlab.errors import UserError, choices

Value = TypeVar("Value")
REST = "rest"  # the pattern for every stage that no other rule names


def match(pattern: str, stages: Sequence[str], where: str) -> list[str]:
    """The stages that `pattern` names, in their own order.

    `pattern` is an address (backbone/blocks.3), a glob over addresses (backbone/*), or a part (head).

    Raises: UserError if it names none; `where` says in the message which setting holds it.
    """
    found = [s for s in stages if fnmatchcase(s, pattern) or s.split("/")[0] == pattern]
    if not found:
        raise UserError(f"{where}: pattern '{pattern}' matches no stage; {choices(pattern, stages)}")
    return found


def cover(rules: Mapping[str, Value], stages: Sequence[str], where: str) -> dict[str, Value]:
    """The value of each stage, every stage being covered by exactly one rule.

    Raises: UserError for a pattern without a stage, a stage under two rules, a stage under none.
    """
    values: dict[str, Value] = {}
    for pattern, value in rules.items():
        if pattern == REST:
            continue
        for stage in match(pattern, stages, where):
            if stage in values:
                raise UserError(f"{where}: stage '{stage}' is covered by two rules, '{pattern}' is the second")
            values[stage] = value
    left = [s for s in stages if s not in values]
    if left and REST not in rules:
        raise UserError(f"{where}: no rule covers {shorten(left)}; add a rule or '{REST}: ...'")
    if REST in rules and not left:
        raise UserError(f"{where}: '{REST}' matches no stage, the other rules cover all of them; leave it out")
    return {s: values.get(s, rules.get(REST)) for s in stages}  # type: ignore[misc]


def shorten(names: Iterable[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
