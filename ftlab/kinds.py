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
    if kind in ours:
        for thing in vars(import_module(ours[kind])).values():
            if isinstance(thing, type) and issubclass(thing, base) and getattr(thing, "kind", None) == kind:
                return thing
    raise UserError(f"the kind '{kind}' is unknown; {choices(kind, ours)}")
