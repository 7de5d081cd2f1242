"""What a valid config is: the keys of the shipped YAML files, their types, and the objects that may be named.

`problems` reads a composed config and tells everything that is wrong with it; torch is not needed for that.
`instantiate` makes the object that a checked node names.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ftlab.addresses import LATER, current, renewed
from ftlab.errors import UserError, choices
from ftlab.guesses import leaves, no_key, owners, without_option
from ftlab.yaml_text import meaning, quickly_loaded

Node = dict[str, Any]


def plainly(config: Any, resolve: bool = False) -> Any:
    """Plain containers of a node, interpolations filled in or as written, addresses as they are now."""
    return renewed(OmegaConf.to_container(config, resolve=resolve) if OmegaConf.is_config(config) else config)


def conf_dir() -> Path:
    """The folder of the YAML files: beside the code in a wheel, beside the package in a checkout."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "conf"


@lru_cache
def _read(file: Path, group: str = "") -> Node:
    """A YAML file's own keys, with those of the files of the same folder that its defaults list names."""
    raw = quickly_loaded(file) or {}
    node: Node = {}
    for entry in raw.pop("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            node |= _read(file.with_name(f"{entry}.yaml"), group)
    raw.pop("hydra", None)
    # An option in package _global_ holds its own keys under the name of its group.
    return node | (raw.get(group, {}) if group and "@package _global_" in file.read_text() else raw)


@lru_cache
def options(group: str) -> dict[str, Node]:
    """The shipped options of a group with their keys and defaults."""
    return {file.stem: _read(file, group) for file in sorted((conf_dir() / group).glob("*.yaml"))}


@lru_cache
def groups(mode: str) -> dict[str, str | None]:
    """The groups of a mode with their default options."""
    found: dict[str, str | None] = {}
    for entry in quickly_loaded(conf_dir() / f"{mode}.yaml").get("defaults", []):
        if isinstance(entry, str):
            found |= groups(entry) if entry != "_self_" else {}
        else:
            found |= {key: value for key, value in entry.items() if not key.startswith(("override ", "optional "))}
    return found


def shipped(mode: str) -> Node:
    """The keys beside groups that a mode has at its root, with their defaults."""
    return _read(conf_dir() / f"{mode}.yaml")


def keys(mode: str) -> set[str]:
    """The groups and keys that a mode has at its root."""
    return {*groups(mode), *shipped(mode)}


def brought(mode: str) -> set[str]:
    """What a data option may set for training beside its own keys; a mode that only reads data passes over it."""
    return keys("train") - keys(mode) if "data" in keys(mode) else set()


@lru_cache
def targets() -> dict[str, list[Node]]:
    """Every `_target_` that a shipped file names, with the nodes that name it."""
    found: dict[str, list[Node]] = {}
    for folder in sorted(path for path in conf_dir().iterdir() if path.is_dir()):
        for node in options(folder.name).values():
            for _, inner in _nodes("", node):
                if isinstance(inner.get("_target_"), str):
                    found.setdefault(inner["_target_"], []).append(inner)
    return found


def _nodes(path: str, value: Any) -> Iterator[tuple[str, Node]]:
    """Every mapping inside plain containers, with its place."""
    if isinstance(value, dict):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _nodes(f"{path}.{key}" if path else str(key), inner)


def _trusted(target: str, modules: Sequence[str]) -> bool:
    return any(target == module or target.startswith(f"{module}.") for module in modules)


class Checker:
    """One reading of one config; `problems` is its only use.

    label(path, value) gives how a message calls a key: as the user typed it, or path=value.
    """

    def __init__(self, mode: str, label: Callable[[str, Any], str], missing_ok: bool) -> None:
        self.mode = mode
        self.label = label
        self.missing_ok = missing_ok
        self.found: list[str] = []
        self.modules: list[str] = []
        self.leaves: list[str] = []  # of the config, known or not

    def read(self, config: DictConfig) -> list[str]:
        plain = plainly(config)
        trusted = plain.get("trusted_modules")
        self.leaves = [place for place in leaves(plain) if not place.startswith("hydra.")]
        self.modules = [name for name in trusted if isinstance(name, str)] if isinstance(trusted, list) else []
        refused = self._refused_targets({key: value for key, value in plain.items() if key != "hydra"})
        self.found += refused.values()
        self._root(config, refused)
        return list(dict.fromkeys(self.found))

    def _refused_targets(self, plain: Node) -> dict[str, str]:
        """Place of each `_target_` that may not be named, with the message."""
        refused = {}
        for path, node in _nodes("", plain):
            if "_target_" not in node:
                continue
            name = node["_target_"]
            if not isinstance(name, str) or not (name in targets() or _trusted(name, self.modules)):
                group = path.split(".")[0]
                own = {shipped["_target_"] for shipped in options(group).values() if "_target_" in shipped}
                hint = choices(str(name), own or targets())
                place = f"{path}._target_" if path else "_target_"
                refused[path] = (
                    f"{self.label(place, name)}: may not be named; {hint} Your own: list its module in trusted_modules."
                )
        return refused

    def _root(self, config: DictConfig, refused: Mapping[str, str]) -> None:
        defaults: dict[str, list[Any]] = {key: [value] for key, value in shipped(self.mode).items()}
        for group in groups(self.mode):
            if group != "experiment":
                defaults[group] = list(options(group).values())
        required = {key for key in defaults if groups(self.mode).get(key, "a key, or a default option") is not None}
        self._mapping(config, "", defaults, required, refused)

    def _mapping(
        self,
        node: DictConfig,
        path: str,
        defaults: dict[str, list[Any]],
        required: set[str],
        refused: Mapping[str, str],
    ) -> None:
        lacking = (f"{path}.{key}" if path else key for key in sorted(map(str, required - set(node))))
        for place in (place for place in lacking if place not in LATER):
            accepted = f"; accepted: {', '.join(options(place))}." if place in groups(self.mode) else ""
            self.found.append(f"{place}: needs a value{accepted}")
        for key in map(str, node):
            place = f"{path}.{key}" if path else key
            if place == "hydra" or key == "_target_" or place in brought(self.mode):
                continue
            if key not in defaults:
                self._unknown(node, place, key, defaults)
            elif OmegaConf.is_missing(node, key):
                self._missing(place, node)
            else:
                self._key(node, place, key, defaults[key], refused)

    def _unknown(self, node: DictConfig, place: str, key: str, defaults: Mapping[str, Any]) -> None:
        group, _, rest = place.partition(".")
        if place == "experiment":
            return self.found.append("experiment: the first line of the file must be '# @package _global_'")
        elsewhere = owners(group, options(group)) if rest and "." not in rest else {}
        said = no_key(place, set(defaults) - {"_target_"}, elsewhere, self.leaves)
        self.found.append(f"{self.label(place, plainly(node)[key])}: {said}")

    def _missing(self, place: str, node: DictConfig) -> None:
        if not self.missing_ok:
            self.found.append(f"{place}: needs a value, {place}=...{meaning(conf_dir(), place, node.get('_target_'))}")

    def _key(self, node: DictConfig, place: str, key: str, defaults: list[Any], refused: Mapping[str, str]) -> None:
        from ftlab.settings import TYPES, mismatch  # pydantic: a quarter of a second that help does not need

        try:
            value = node[key]
            plain = plainly(value, resolve=True)
        except OmegaConfBaseException as error:
            raw = plainly(node)[key]
            return self.found.append(f"{self.label(place, raw)}: {str(error).splitlines()[0]}")
        nodes = [default for default in defaults if isinstance(default, dict)]
        if place in TYPES or not nodes or not isinstance(value, DictConfig):
            if nodes and place not in TYPES:
                accepted = f"expected a mapping with the keys {', '.join(sorted(set().union(*nodes) - {'_target_'}))}"
                return self.found.append(f"{self.label(place, plain)}: {accepted}")
            wrong = mismatch(place, plain, defaults, current(node.get("_target_")))
            return self.found.append(f"{self.label(place, plain)}: {wrong}") if wrong else None
        if place in refused:
            return None
        target = current(value.get("_target_"))
        if target is not None and target not in targets():
            return None  # of a trusted module: its keys are its own
        same = targets()[target] if target else [default for default in nodes if "_target_" not in default]
        if not same:
            return self.found.append(f"{self.label(place, plain)}: {without_option(place, plain, options(place))}")
        merged = {name: [default[name] for default in same if name in default] for name in set().union(*same)}
        self._mapping(value, place, merged, set.intersection(*map(set, same)), refused)


def problems(
    config: DictConfig,
    mode: str,
    label: Callable[[str, Any], str] = lambda path, value: f"{path}={value}",
    missing_ok: bool = False,
) -> list[str]:
    """Everything that is wrong with a composed config, one line each."""
    return Checker(mode, label, missing_ok).read(config)


def stop_if(found: Sequence[str]) -> None:
    """Raises: UserError with all that was found; of more than five the first four and a count."""
    if found:
        shown = found if len(found) <= 5 else [*found[:4], f"and {len(found) - 4} more"]
        raise UserError("\n".join(shown))


def instantiate(node: Mapping[str, Any], /, *, trusted_modules: Sequence[str] = (), **runtime: Any) -> Any:
    """The object that a node names by `_target_`, called with the node's other keys (plain containers) and `runtime`.

    Raises: UserError where the name is not ours nor of a trusted module, where the object behind it has its real
    home elsewhere (ftlab.x.os.system is os.system), and where its arguments do not fit.
    """
    thing = named(node, trusted_modules)
    plain = dict(plainly(node, resolve=True))
    name = plain.pop("_target_")
    arguments = {str(key): value for key, value in plain.items()} | runtime
    try:
        inspect.signature(thing).bind(**arguments)
    except TypeError as error:
        raise UserError(f"{name}: {error}; it accepts {inspect.signature(thing)}") from error
    return thing(**arguments)


def named(node: Mapping[str, Any], trusted_modules: Sequence[str] = ()) -> Callable[..., Any]:
    """The class or function that a node names by `_target_`. Raises: UserError as `instantiate`."""
    name = plainly(node).get("_target_")
    if not isinstance(name, str):
        raise UserError(
            f"_target_={name}: expected the full name of a class or function, like ftlab.heads.linear.Linear"
        )
    if name not in targets() and not _trusted(name, trusted_modules):  # ours alone would allow ftlab.run.train too
        trusted = "".join(f", {module}.*" for module in trusted_modules)
        raise UserError(f"_target_={name}: may not be named; accepted: what a shipped option names{trusted}")
    return _locate(name, ["ftlab", *trusted_modules])


def only_shipped(group: str, node: Any, where: str, trusted_modules: Sequence[str] = ()) -> None:
    """For a node from a file that somebody else may have written: only modules that the reader trusts count.

    Raises: UserError if it names anything but a shipped option of its group, or nested inside, of any group.
    """
    if isinstance(node, dict) and _trusted(str(node.get("_target_")), trusted_modules):
        return
    own = [option["_target_"] for option in options(group).values() if "_target_" in option]
    if not isinstance(node, dict) or node.get("_target_") not in own:
        name = node.get("_target_") if isinstance(node, dict) else node
        raise UserError(f"{where}, {group}: _target_={name}: may not be named; {choices(str(name), own)}")
    for path, inner in _nodes(group, node):
        name = inner.get("_target_", own[0])
        if not isinstance(name, str) or name not in targets():
            raise UserError(f"{where}, {path}: _target_={name}: may not be named; {choices(str(name), own)}")


def _locate(name: str, homes: Sequence[str]) -> Callable[..., Any]:
    """The class or function of that full name. Raises: UserError where it is not at home in one of `homes`."""
    module, _, attribute = name.rpartition(".")
    if not _trusted(module, homes):
        raise UserError(f"_target_={name}: may not be named; accepted are names in {', '.join(homes)}")
    try:
        thing = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise  # the module is there and misses another one
        raise UserError(
            f"_target_={name}: there is no module {module}; the folder of a module of your own belongs on PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise UserError(f"_target_={name}: {module} has no {attribute}") from error
    if not callable(thing) or not _trusted(getattr(thing, "__module__", None) or "", homes):
        raise UserError(f"_target_={name}: its home is not in {', '.join(homes)}")
    return thing
