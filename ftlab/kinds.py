"""Kinds of inputs and of targets, found by name: each is a file of its own that nobody lists."""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from typing import TypeVar

from ftlab.config import named
from ftlab.errors import UserError, choices

T = TypeVar("T")


def found(kind: str, package: str, base: type[T], trusted_modules: Sequence[str] = ()) -> type[T]:
    """The class of the kind: ours by the name of its file in `package`, one of a trusted module by its full name.

    Raises: UserError for a name that is neither, TypeError for what is no text.
    """
    if not isinstance(kind, str):
        raise TypeError(f"the kind {kind!r} is no text")
    if "." in kind:
        thing = named({"_target_": kind}, trusted_modules)
        if not (isinstance(thing, type) and issubclass(thing, base)):
            raise UserError(f"{kind} is no {base.__name__.lower()}")
        return thing
    names = [module.name for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}.")]
    ours = {name.rpartition(".")[2]: name for name in names}
    if kind in ours and (own := _of(ours[kind], base, kind)):
        return own
    raise UserError(f"the kind '{kind}' is unknown; {choices(kind, [name for name in ours if _of(ours[name], base)])}")


def _of(module: str, base: type[T], kind: str | None = None) -> type[T] | None:
    """The kind that a module holds; None where it holds none, or another one than `kind`."""
    for thing in vars(import_module(module)).values():
        if isinstance(thing, type) and issubclass(thing, base) and thing.__module__ == module:
            own = getattr(thing, "kind", None)
            if own is not None and kind in (own, None):
                return thing
    return None


def name_of(kind: type) -> str:
    """What `found` finds the class of a kind by: ours by its own name, one of others by its full one."""
    home = kind.__module__
    own: str = kind.kind  # type: ignore[attr-defined]  # every kind has one
    return own if home.startswith("ftlab.") else f"{home}.{kind.__qualname__}"
