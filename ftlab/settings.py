"""What a value may be: the type of its default in conf/, or a line of the table below.

The YAML files are the one place of keys and defaults. The table holds what a default cannot say: keys whose default
is null, that accept several types, or that have a range.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from ftlab.errors import choices
from ftlab.setting_types import TYPES, Name, Number, Path

__all__ = ["NAMES", "PATHS", "TYPES"]


def describe(kind: Any) -> str:
    """A type in a person's words."""
    if get_origin(kind) is Annotated:
        return next((note for note in reversed(get_args(kind)) if isinstance(note, str)), describe(get_args(kind)[0]))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(describe(part) for part in get_args(kind))
    if get_origin(kind) is Literal:
        return " | ".join(dict.fromkeys(str(value) for value in get_args(kind)))
    if get_origin(kind) is list:
        return f"a list (each {describe(get_args(kind)[0])})"
    if get_origin(kind) is dict:
        return f"a mapping (each value {describe(get_args(kind)[1])})"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "null"}
    return names.get(kind, "anything")


def kind_of(default: Any) -> Any:
    """The type that a default stands for; a default of null stands for none and needs a line in the table."""
    if isinstance(default, float):
        return Number
    if isinstance(default, list):
        kinds = list(dict.fromkeys(kind_of(item) for item in default))
        return list[Union[tuple(kinds)]] if kinds else list[Any]  # type: ignore[misc]  # noqa: UP007
    if isinstance(default, Mapping):
        return dict[str, Any]
    return Any if default is None else type(default)


@lru_cache(maxsize=512)
def _validator(kind: Any) -> Callable[..., Any]:
    return TypeAdapter(kind).validate_python


def accepts(kind: Any, value: Any) -> bool:
    """Whether `value` is of `kind`; strict: "1" and true are no numbers, a whole number is a number."""
    try:
        _validator(kind)(value, strict=True)
    except ValidationError:
        return False
    return True


def mismatch(name: str, value: Any, defaults: list[Any], target: str | None = None) -> str | None:
    """What is wrong with the value of the key `name`, in one line; None where it is accepted.

    `defaults` are the values of this key in the shipped options to which it may belong, `target` the class that the
    option names, if it is known.
    """
    own = f"{target}.{name.rpartition('.')[2]}"
    kind = TYPES.get(own, TYPES.get(name))
    kinds = [kind_of(default) for default in defaults] if kind is None else [kind]
    if any(accepts(kind, value) for kind in kinds):
        return None
    if len(kinds) == 1 and get_origin(kinds[0]) is Literal and isinstance(value, str):
        return f"no such value; {choices(value, dict.fromkeys(str(v) for v in get_args(kinds[0])))}"
    return "expected " + " or ".join(dict.fromkeys(describe(kind) for kind in kinds))


def _parts(kind: Any) -> Iterator[Any]:
    """A type and all that it is made of."""
    yield kind
    if get_origin(kind) is not Annotated or not isinstance(get_args(kind)[0], type):
        for part in get_args(kind):
            yield from _parts(part) if get_origin(kind) is not Literal else ()


# Paths hold commas, spaces and brackets, which mean something else in Hydra's grammar: overrides.py quotes them.
PATHS = frozenset({name for name, kind in TYPES.items() if kind is Path or Path in get_args(kind)}) | {
    "hydra.run.dir",
    "hydra.sweep.dir",
}
# Names of columns and labels may be digits, or hold blanks and signs: overrides.py quotes them too.
NAMES = frozenset(name for name, kind in TYPES.items() if Name in _parts(kind))
