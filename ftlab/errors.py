"""The one exception that means: what the user gave is wrong; and one that means: enough."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class UserError(Exception):
    """The user's input (config, data, file) is wrong; the text names the thing, what is accepted and what to do.

    Parts raise it; only the command line turns it into exit code 2.
    """

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: the frames inside of ftlab say nothing of what the user gave."""
        return [str(self)]


class StoppedError(Exception):
    """A run was ended on purpose before its end, by what watches it; the text says why."""


def nearest(name: str, known: Iterable[str], sure: float = 0.6) -> str | None:
    """The one that `name` was meant for, be it that two letters changed places; `sure`: how alike they are, of 1."""
    there = sorted(known)
    near = get_close_matches(name, there, n=1, cutoff=sure)
    return near[0] if near else next((one for one in there if sorted(one) == sorted(name) or ends(one, name)), None)


def ends(path: str, name: str) -> bool:
    """Whether `name` is the last part of an address such as backbone/layer3."""
    return path.endswith(f"/{name}")


def choices(name: str, accepted: Iterable[str]) -> str:
    """The end of a message about an unknown `name`, after a semicolon: the nearest accepted one, then all of them."""
    known = sorted(accepted)
    near = nearest(name, known)
    return (f"did you mean '{near}'? Accepted" if near else "accepted") + f": {', '.join(known) or 'nothing'}."


def absent(needed: Sequence[str], there: Iterable[str], whose: str) -> str:
    """The end of a message about columns that have to be there, of which `there` lacks some; one that is needed itself
    is nobody's misspelling. whose: who has those that are there."""
    names = list(there)
    missing = [name for name in needed if name not in names]
    near = get_close_matches(missing[0], [name for name in names if name not in needed], n=1, cutoff=0.5)
    meant = f"did you mean '{near[0]}'? Add " if near else "add "
    return f"{meant}{', '.join(missing)}; {whose} has: {', '.join(names) or 'nothing'}"


def shorten(text: str) -> str:
    """At most six lines."""
    lines = text.splitlines()
    return "\n".join(lines if len(lines) <= 6 else [*lines[:5], f"and {len(lines) - 5} more lines"])
