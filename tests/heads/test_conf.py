"""Every option in conf/ builds what it names, and has a key for each of its settings."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = [*CONF.glob("head/*.yaml"), *CONF.glob("backbone/*.yaml")]
NOT_SETTINGS = {"self", "num_features", "num_outputs", "default_pool", "backbone", "meta"}
TOLD = {  # to a backbone, by the data
    *("numbers", "categories", "tokens", "channels", "max_length", "length", "levels", "layers", "gap"),
    *("preprocessing", "corpus"),
}


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_option_names_all_settings_of_its_class_with_the_defaults_of_the_class(path: Path) -> None:
    settings = OmegaConf.to_container(OmegaConf.load(path))
    settings = settings.get(path.parent.name, settings)  # one that brings others as well has its own below its group
    module, _, name = settings.pop("_target_").rpartition(".")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters
    assert set(settings) == set(parameters) - NOT_SETTINGS - TOLD
    for key, value in settings.items():
        default = parameters[key].default
        if value == "???":  # it has to be typed
            continue
        as_list = [default] if isinstance(value, list) and not isinstance(default, tuple) else default
        assert value == (list(as_list) if isinstance(as_list, tuple) else as_list)


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_key_of_an_option_has_a_comment(path: Path) -> None:
    own = path.read_text().split(f"\n{path.parent.name}:\n")[-1]
    for line in own.splitlines():
        assert not line or "#" in line or line.strip().startswith("_target_")
