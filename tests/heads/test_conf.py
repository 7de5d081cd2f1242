"""Every option in conf/ builds what it names, and has a key for each of its settings."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = [*CONF.glob("head/*.yaml"), *CONF.glob("backbone/*.yaml")]
NOT_SETTINGS = {"self", "num_features", "num_outputs", "default_pool", "meta"}
TOLD = {
    "numbers",
    "categories",
    "tokens",
    "channels",
    "max_length",
    "length",
    "levels",
    "layers",
    "gap",
}  # to a backbone, by the data


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_option_names_all_settings_of_its_class_with_the_defaults_of_the_class(path: Path) -> None:
    settings = OmegaConf.to_container(OmegaConf.load(path))
    module, _, name = settings.pop("_target_").rpartition(".")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters
    assert set(settings) == set(parameters) - NOT_SETTINGS - TOLD
    for key, value in settings.items():
        default = parameters[key].default
        as_list = [default] if isinstance(value, list) and not isinstance(default, tuple) else default
        assert value == (list(as_list) if isinstance(as_list, tuple) else as_list)


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_key_of_an_option_has_a_comment(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert not line or "#" in line or line.startswith("_target_")
