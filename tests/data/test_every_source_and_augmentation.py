"""Each file of conf/data and conf/augment is tested by being there."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ftlab.config import options
from ftlab.data.base import Source
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.inputs.images.transforms import training_transform

CONF = Path(__file__).parents[2] / "conf"
LOADING = {"batch_size", "num_workers", "check", "on_error", "split_from", "split_seed"}
OF_TEXTS = {"max_tokens", "stride", "group_by_length"}
OF_IMAGES = {"image_size", "crop_pct", "resize"}
OF_TILES = {"tile", "tile_overlap"}
SOURCES = sorted((CONF / "data").glob("*.yaml"))
AUGMENTATIONS = sorted((CONF / "augment").glob("*.yaml"))


def settings(file: Path) -> dict:
    return dict(OmegaConf.load(file))


def target(config: dict) -> type:
    module, _, name = config["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)


def names(files: list[Path]) -> list[str]:
    return [file.stem for file in files]


@pytest.mark.parametrize("file", SOURCES, ids=names(SOURCES))
def test_a_source_takes_its_own_keys_and_all_have_the_loading_keys(file):
    config = options("data")[file.stem]
    source = target(config)
    assert issubclass(source, Source)
    assert config["_target_"].split(".")[-2] == file.stem  # the option is called as its module
    own = inspect.signature(source).parameters.keys()
    idle = (LOADING | OF_IMAGES | OF_TILES | OF_TEXTS | {"_target_"}) - own
    assert config.keys() - idle == own
    assert config.keys() >= LOADING
    assert config.keys() & OF_IMAGES in (set(), OF_IMAGES)
    source(**{key: value for key, value in config.items() if key not in idle})


@pytest.mark.parametrize("file", SOURCES + AUGMENTATIONS, ids=names(SOURCES + AUGMENTATIONS))
def test_every_key_has_its_comment(file):
    lines = file.read_text().splitlines()
    assert lines[0].startswith("# ")
    for line in lines:
        # Those of a whole option, which its first lines explain.
        heads = ("#", "_target_", "- override", "trainer:", "optimizer:", "data:")
        assert not line or line.strip().startswith(heads) or "  # " in line, line


@pytest.mark.parametrize("file", AUGMENTATIONS, ids=names(AUGMENTATIONS))
def test_an_augmentation_names_every_setting_and_makes_a_transform(file):
    config = settings(file)
    assert target(config) is Augment
    assert config.keys() - {"_target_"} == inspect.signature(Augment).parameters.keys()
    augment = Augment(**{key: value for key, value in config.items() if key != "_target_"})
    transform = training_transform(Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3), augment)
    assert transform.random == (file.stem != "none")


def test_the_options_that_were_promised_are_there():
    assert {"digits", "image_folder", "image_csv", "idx", "torchvision"} <= set(names(SOURCES))
    assert {"none", "light", "standard", "strong"} <= set(names(AUGMENTATIONS))


def test_settings_of_augmentation_are_checked_without_torch():
    code = "import sys, ftlab.inputs.augment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
