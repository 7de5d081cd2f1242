"""Kinds of raw inputs by name: a folder of inputs/ with a preprocessing.py in it, or a class of the user's own.

Nothing lists them: what a subclass of InputPreprocessing calls its `kind` is its name.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from ftlab import inputs
from ftlab.errors import UserError, choices
from ftlab.inputs.base import InputPreprocessing
from ftlab.kinds import found

Kind = type[InputPreprocessing]


def shipped() -> dict[str, Kind]:
    """Those of ftlab by name, in the order of their folders."""
    modules = [f"{inputs.__name__}.{one.name}.preprocessing" for one in iter_modules(inputs.__path__) if one.ispkg]
    for module in modules:
        import_module(module)
    there = {one.__module__: one for one in _below() if one.__module__ in modules}
    return {there[module].kind: there[module] for module in modules}  # whatever was imported first


def known() -> dict[str, Kind]:
    """Those that are shipped, and those of the user's own whose module is imported: a data option's has made it so."""
    ours = shipped()
    return {one.kind: one for one in _below() if hasattr(one, "kind")} | ours


def _below(kind: Kind | None = None) -> Iterator[Kind]:
    for one in (kind or InputPreprocessing).__subclasses__():
        yield one
        yield from _below(one)


def of(name: str) -> Kind:
    """Raises: UserError for a name that no kind has."""
    there = known()
    if name not in there:
        raise UserError(f"the data are of the kind '{name}', which is unknown; {choices(name, there)}")
    return there[name]


def loading() -> tuple[str, ...]:
    """The keys of data options that kinds of inputs read, each once."""
    return tuple(dict.fromkeys(key for one in known().values() for key in one.loading))


def restored(stored: Mapping[str, Any], trusted_modules: Sequence[str] = ()) -> InputPreprocessing:
    """What InputPreprocessing.stored gave; the first bundles knew images only and name no kind.

    A short name is of what is shipped, whatever else is imported. Raises: UserError for a full one in a module that is
    not trusted; KeyError, TypeError, ValueError for what nothing can have stored.
    """
    own = dict(stored)
    kind = own.pop("kind", "image")
    if isinstance(kind, str) and "." in kind:
        return found(kind, inputs.__name__, InputPreprocessing, trusted_modules).restored(own)  # type: ignore[type-abstract]  # it gives a leaf
    there = shipped()
    if kind not in there:
        raise ValueError(f"preprocessing of the kind '{kind}' is unknown; accepted: {', '.join(there)}")
    return there[kind].restored(own)
