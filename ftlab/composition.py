"""From overrides to a checked config: the same for the command line, for notebooks and for tests."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ftlab.config import brought, conf_dir, groups, instantiate, named, plainly, problems, stop_if
from ftlab.config import keys as root_keys
from ftlab.errors import UserError, choices
from ftlab.guesses import no_option
from ftlab.overrides import Typed, jobs, parse, usual
from ftlab.settings import NAMES, PATHS, TYPES
from ftlab.strategies.base import Strategy

EPOCHS, RULE = "trainer.max_epochs", "trainer.auto_epochs"
PARTS = ("task", "backbone", "head")  # that a bundle holds
__all__ = ["compose", "conf_dir"]


def compose(
    overrides: Sequence[str] | None = None, mode: str = "train", config_dir: str | Path | None = None
) -> DictConfig:
    """The config that `ftlab MODE overrides...` would run with.

    Raises: UserError with everything that is wrong.
    """
    modes = [file.stem for file in conf_dir().glob("*.yaml")]
    if mode not in modes:
        raise UserError(f"mode '{mode}': no such mode; {choices(mode, modes)}")
    config = prepare(overrides or [], mode, config_dir=config_dir).config
    with open_dict(config):
        del config["hydra"]
    return config


@dataclass(frozen=True)
class Prepared:
    """Overrides that Hydra accepts, and the config (of a multirun's first job) with the hydra node."""

    lines: list[str]
    config: DictConfig

    def settings(self) -> dict[str, Any]:
        """The config without the hydra node, in plain containers."""
        keys = [str(key) for key in self.config if key != "hydra"]
        return plainly(OmegaConf.masked_copy(self.config, keys), resolve=True)

    def folder(self, key: str) -> str:
        """hydra.run.dir or hydra.sweep.dir with ${now:...} filled in. Raises: UserError."""
        try:
            return str(OmegaConf.select(self.config, key))
        except OmegaConfBaseException as error:
            raise UserError(f"{key}: {compact(error)}") from error


def prepare(
    overrides: Sequence[str],
    mode: str,
    config_dir: str | Path | None = None,
    config_name: str | None = None,
    multirun: bool = False,
    missing_ok: bool = False,
) -> Prepared:
    """Checks everything that was typed and every file that it names; nothing runs before that.

    Raises: UserError with everything that is wrong.
    """
    typed, errors = parse([*(usual(overrides) if "task" in groups(mode) else []), *overrides], multirun, PATHS, NAMES)
    with _hydra_app():
        reading = _Reading(mode, config_name or mode, _search_path(config_dir, typed))
        prepared = reading.check(typed, errors, missing_ok)
    stop_if(list(dict.fromkeys(errors)))
    assert prepared is not None  # without an error there is a config
    return prepared


@contextmanager
def _hydra_app() -> Iterator[None]:
    """Hydra's compose API, also inside a running Hydra application, which is put back as it was."""
    running = GlobalHydra.instance().hydra
    values = HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), job_name="ftlab", version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = running
        HydraConfig.instance().cfg = values


def _search_path(config_dir: str | Path | None, typed: Sequence[Typed]) -> list[str]:
    """The user's own config folders, as the override that Hydra reads."""
    folders = [str(Path(config_dir).absolute())] if config_dir else []
    for one in typed:
        if one.key == "hydra.searchpath":
            value = one.values[0].value()
            folders += [str(folder) for folder in value] if isinstance(value, list) else [str(value)]
    if config_dir and not Path(config_dir).is_dir():
        raise UserError(f"--config-dir {config_dir}: there is no such folder")
    quoted = ",".join(QuotedString(folder, Quote.single).with_quotes() for folder in folders)
    return [f"hydra.searchpath=[{quoted}]"] if folders else []


def compact(error: BaseException) -> str:
    """An error of Hydra in one line, with its cause."""
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name}: {no_option(group, name, error.options)}"
    cause = f" {str(error.__cause__).splitlines()[0]}" if isinstance(error.__cause__, OmegaConfBaseException) else ""
    return " ".join(str(error).split()) + cause


class _Reading:
    """Composes and checks the jobs of one command line, inside Hydra's compose API."""

    def __init__(self, mode: str, config_name: str, search: list[str]) -> None:
        self.mode = mode
        self.config_name = config_name
        self.search = search

    def options(self, group: str, kind: ObjectType = ObjectType.CONFIG) -> list[str]:
        loader = GlobalHydra.instance().config_loader()
        return loader.get_group_options(group, kind, config_name=self.config_name, overrides=self.search)

    def check(self, typed: list[Typed], errors: list[str], missing_ok: bool) -> Prepared | None:
        known = set(groups(self.mode)) | set(self.options("", ObjectType.GROUP)) - {"hydra"}
        foreign = [one for one in typed if one.key.split(".")[0] in brought(self.mode)]
        errors += [self._foreign(one) for one in foreign]
        typed = [one for one in typed if one not in foreign]
        chosen = [one for one in typed if one.key in known and not one.key.startswith("hydra")]
        hydra = [one for one in typed if one.values[0].is_hydra_override() and one.key != "hydra.searchpath"]
        keys = [one for one in typed if one not in chosen and one not in hydra and one.key != "hydra.searchpath"]
        bad = {one.text: found for one in chosen if (found := self._option_errors(one))}
        errors += [line for lines in bad.values() for line in lines]
        good = [one for one in chosen if one.text not in bad]
        keys = [
            one for one in keys if one.key.split(".")[0] not in {other.key for other in chosen if other.text in bad}
        ]
        first, new = None, set[str]()
        for options, values in jobs(good, keys):
            config = self._base([self._option_line(option) for option in options], [one.line for one in hydra], errors)
            if config is None:
                return None
            new |= {one.key for one, _ in values if not _is_there(config, one.key)}
            errors += self._job(config, values, missing_ok)
            first = config if first is None else first
        errors += shadowed(first)
        return None if errors else self._final(typed, chosen, new, errors)

    def _foreign(self, one: Typed) -> str:
        """What a data option may bring for training, typed by hand in a mode that does not train."""
        key = one.key.split(".")[0]
        if key in PARTS:
            return f"{one.text}: a bundle has its own {key}; leave it out"
        return f"{one.text}: unknown key '{key}'; {choices(key, root_keys(self.mode))}"

    def _final(self, typed: list[Typed], chosen: list[Typed], new: set[str], errors: list[str]) -> Prepared | None:
        """What Hydra itself makes of the overrides; the first job of a multirun."""
        lines = [self._line(one, one.line, chosen, new) for one in typed]
        single = [self._line(one, str(one.values[0].input_line), chosen, new) for one in typed]
        config = self._base(single, [], errors)
        return None if config is None or errors else Prepared(lines, config)

    def _option_errors(self, one: Typed) -> list[str]:
        accepted = self.options(one.key)
        found = []
        for value in one.values:
            name = value.value()
            names = name if isinstance(name, list) and one.key in ("experiment", "logger") else [name]
            for item in names:
                if item is None and (one.key == "experiment" or groups(self.mode).get(one.key, "") is None):
                    continue
                if str(item) not in accepted:
                    text = "null" if item is None else str(item)
                    found.append(f"{one.label(value)}: {no_option(one.key, text, accepted)}")
        return found

    def _option_line(self, override: Override) -> str:
        """`+group=option` says the same as `group=option` where the mode has that group."""
        line = str(override.input_line)
        return line.lstrip("+") if override.key_or_group in groups(self.mode) else line

    def _base(self, options: list[str], hydra: list[str], errors: list[str]) -> DictConfig | None:
        """The config before any key is set; without Hydra's own keys where these are what is wrong."""
        for lines in ([*options, *hydra], options):
            try:
                config = hydra_compose(self.config_name, [*lines, *self.search], return_hydra_config=True)
            except (HydraException, OmegaConfBaseException, YAMLError) as error:
                errors.append(compact(error))
            else:
                OmegaConf.set_struct(config, False)
                HydraConfig.instance().set_config(config)
                return config
        return None

    def _job(self, config: DictConfig, values: list[tuple[Typed, Override]], missing_ok: bool) -> list[str]:
        errors = []
        for one, value in values:
            wrong = _not_fitting(config, one.key, value.value())
            if wrong:
                errors.append(f"{one.label(value)}: {wrong}")
                continue
            try:
                OmegaConf.update(config, one.key, value.value(), merge=True, force_add=True)
            except (OmegaConfBaseException, TypeError, ValueError, AssertionError) as error:
                errors.append(f"{one.label(value)}: {str(error).splitlines()[0]}")

        def label(path: str, found: Any) -> str:
            texts = [one.label(value) for one, value in values if one.key == path or one.key.startswith(f"{path}.")]
            return ", ".join(texts) or f"{path}={'null' if found is None else found}"

        errors += problems(config, self.mode, label, missing_ok)
        typed = {one.key: one.label(value) for one, value in values}
        return errors or [*(_unread_epochs(config) if EPOCHS in typed else []), *_unread_rule(config, typed)]

    def _line(self, one: Typed, line: str, chosen: list[Typed], new: set[str]) -> str:
        """The override as Hydra accepts it: + and ++ never change what a known key means."""
        if one in chosen:
            return line.lstrip("+") if one.key in groups(self.mode) else line
        if one.values[0].is_hydra_override():
            return line
        mapping = any(isinstance(value.value(), dict) for value in one.values)
        return f"++{line.lstrip('+')}" if one.key in new or mapping else line.lstrip("+")


def _unread_epochs(config: DictConfig) -> list[str]:
    """What is wrong with epochs that were typed beside a strategy that has its own.

    Not of a run that goes on: it is held against what it was begun with.
    """
    if config.get("resume"):
        return []
    asked, trusted = OmegaConf.select(config, EPOCHS), plainly(config.trusted_modules)
    try:
        kind = named(plainly(config.strategy), trusted)
        if kind.own_epochs is Strategy.own_epochs:  # type: ignore[attr-defined]  # it is a strategy
            return []
        own = instantiate(config.strategy, trusted_modules=trusted).own_epochs()
    except UserError as error:
        return [str(error)]
    if own is None or own == asked:
        return []
    return [f"{EPOCHS}={asked}: the phases of the strategy have epochs of their own, {own} in all; leave it out"]


def _unread_rule(config: DictConfig, typed: Mapping[str, str]) -> list[str]:
    """What was typed of the rule for epochs where their number says that there is none.

    typed: each key as it was written.
    """
    epochs = OmegaConf.select(config, EPOCHS)
    if epochs == "auto" or config.get("resume"):
        return []
    idle = [text for key, text in typed.items() if key.startswith(RULE)]
    return [f"{text}: is read with {EPOCHS}=auto only, and that is {epochs}" for text in idle]


def _not_fitting(config: DictConfig, key: str, value: Any) -> str | None:
    """A value in the place of a mapping, or a key below a value: applied, it would hide what else is wrong."""
    parent, _, name = key.rpartition(".")
    above = OmegaConf.select(config, parent, throw_on_resolution_failure=False) if parent else config
    if above is not None and not isinstance(above, DictConfig):
        return f"unknown key '{name}'; {parent} holds a value, no keys"
    below = OmegaConf.select(config, key, throw_on_resolution_failure=False)
    if isinstance(below, DictConfig) and not isinstance(value, dict) and key not in TYPES:
        return f"expected a mapping; {choices(str(value), [str(inner) for inner in below if inner != '_target_'])}"
    return None


def _is_there(config: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and name in node.keys()  # noqa: SIM118 - `in` is False for null and ???


def shadowed(config: DictConfig | None) -> list[str]:
    """The user's files that Hydra would pass over in silence, since ours of the same name come first."""
    found = []
    for source in config.hydra.runtime.config_sources if config is not None else []:
        folder = Path(source.path)
        if source.schema != "file" or folder == conf_dir():
            continue
        for file in sorted(folder.rglob("*.yaml")):
            if (conf_dir() / file.relative_to(folder)).exists():
                found.append(f"{file}: an option of that name is shipped and would win; give the file another name")
    return found
