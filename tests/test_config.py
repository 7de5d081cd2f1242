"""What a valid config is, in the shipped files and in the user's own."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from ftlab import cli
from ftlab.composition import compose, conf_dir
from ftlab.config import groups, instantiate, options
from ftlab.config import keys as root_keys
from ftlab.errors import UserError
from ftlab.settings import PATHS, TYPES, mismatch
from ftlab.yaml_text import quickly_loaded

JOBS = tuple(cli.JOBS)
GROUPS = sorted(path.name for path in conf_dir().iterdir() if any(path.glob("*.yaml")))


def leaves(node: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Dotted name and default of every key, not below open mappings."""
    for key, value in node.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict) and name not in TYPES:
            yield from leaves(value, name)
        elif key != "_target_":
            yield name, value


def shipped() -> list[tuple[str, Any]]:
    found = [leaf for group in GROUPS for node in options(group).values() for leaf in leaves(node, group)]
    for mode in JOBS:
        own = OmegaConf.to_container(OmegaConf.load(conf_dir() / f"{mode}.yaml"))
        assert isinstance(own, dict)
        found += leaves({key: value for key, value in own.items() if key not in ("hydra", "defaults")}, "")
    assert len(found) > 50
    return found


def wrong(*overrides: str, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        compose(overrides, **settings)
    return str(caught.value)


# The shipped files


@pytest.mark.parametrize("name", sorted({name for name, value in shipped() if value is None or value == "???"}))
def test_a_key_without_a_default_has_a_type_in_the_table(name: str) -> None:
    assert name in TYPES


def test_every_default_is_accepted_by_its_own_type() -> None:
    for name, value in shipped():
        if value != "???":
            assert mismatch(name, value, [value]) is None, name


def test_the_table_of_types_names_no_key_that_is_gone() -> None:
    nodes = [node for group in GROUPS for node in options(group).values() if "_target_" in node]
    of_a_class = {f"{node['_target_']}.{key}" for node in nodes for key in node}
    assert set(TYPES) <= {name for name, _ in shipped()} | of_a_class


def test_a_key_that_options_share_accepts_what_the_chosen_one_knows() -> None:
    assert compose(["task=regression", "task.loss=huber"]).task.loss == "huber"
    assert "task.loss=huber: no such value; accepted: cross_entropy, focal" in wrong("task.loss=huber")
    assert "did you mean 'huber'" in wrong("task=regression", "task.loss=hubber")


def test_every_key_has_a_comment() -> None:
    for group in ("", *GROUPS):
        for file in sorted((conf_dir() / group).glob("*.yaml")):
            node = options(group)[file.stem] if group else OmegaConf.to_container(OmegaConf.load(file))
            assert isinstance(node, dict)
            lines = file.read_text().splitlines()
            for name, _ in leaves({key: node[key] for key in node if key not in ("hydra", "defaults")}, group):
                key = name.rpartition(".")[2]
                assert any(line.strip().startswith(f"{key}:") and "#" in line for line in lines), f"{file}: {key}"


@pytest.mark.parametrize(
    "override", [f"{group}={option}" for group in groups("train") if group != "experiment" for option in options(group)]
)
def test_every_option_composes_once_its_required_keys_are_given(override: str) -> None:
    group, _, option = override.partition("=")
    required = [name for name, value in leaves(options(group)[option], group) if value == "???"]
    config = compose([override, *(f"{name}=given" for name in required)])
    asked = options(group)[option]
    if "_target_" not in asked:  # of a group of which several may be chosen, each under its own name
        assert list(config[group]) == [option]
        config, asked, group = config[group], asked[option], option
    assert config[group]._target_ == asked["_target_"]


def test_the_quick_reader_of_conf_gives_what_hydras_gives() -> None:
    files = sorted(conf_dir().rglob("*.yaml"))
    assert len(files) > 40
    for file in files:
        assert quickly_loaded(file) == OmegaConf.to_container(OmegaConf.load(file)), file


@pytest.mark.parametrize("mode", JOBS)
def test_every_mode_composes(mode: str) -> None:
    required = {
        "evaluate": ["bundle=b"],
        "predict": ["bundle=b", "input=i"],
        "export": ["bundle=b", "output=o"],
        "explain": ["bundle=b", "input=i", "output=o"],
        "serve": ["bundle=b"],
    }
    config = compose(required.get(mode), mode)
    assert "hydra" not in config


# Types


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("optimizer.lr=1", 1),
        ("optimizer.lr=1e-4", 1e-4),
        ("trainer.devices=auto", "auto"),
        ("trainer.devices=[0,1]", [0, 1]),
        ("trainer.precision=16", 16),
        ("trainer.precision=bf16-mixed", "bf16-mixed"),
        ("trainer.precision=auto", "auto"),
        ("data.num_workers=auto", "auto"),
        ("data.num_workers=3", 3),
        ("subset=0.1", 0.1),
        ("subset=300", 300),
        ("subset=20/class", "20/class"),
        ("early_stopping.patience=null", None),
        ("trainer.deterministic=warn", "warn"),
        ("optimizer.betas=[0.8,0.9]", [0.8, 0.9]),
    ],
)
def test_a_value_of_the_right_type_is_kept(override: str, value: Any) -> None:
    found = OmegaConf.select(compose([override]), override.split("=")[0])
    assert found == value
    assert type(found) is type(value) or isinstance(value, list)


@pytest.mark.parametrize(
    "override",
    [
        "optimizer.lr=true",
        "optimizer.lr='1'",
        "optimizer.lr=0",
        "optimizer.lr=-1",
        "optimizer.lr=nan",
        "optimizer.lr=inf",
        "optimizer.lr=null",
        "optimizer.betas=[0.9]",
        "optimizer.decay_norms_and_biases=1",
        "optimizer.decay_norms_and_biases=yess",
        "seed=1.5",
        "seed=true",
        "seed=-1",
        "subset=1.5",
        "subset=0",
        "subset=x/class",
        "subset=true",
        "trainer.max_epochs=1.0",
        "trainer.max_epochs=0",
        "trainer.devices=true",
        "trainer.devices=-2",
        "trainer.precision=8",
        "monitor=3",
        "resume_allow=seed",
    ],
)
def test_a_value_of_a_wrong_type_or_out_of_range_is_refused(override: str) -> None:
    assert wrong(override).startswith(f"{override}: expected ")


def test_a_mistyped_choice_is_told_the_nearest() -> None:
    assert "did you mean 'bf16-mixed'? Accepted: " in wrong("trainer.precision=bf16-mixd")


def test_open_mappings_take_any_key_and_check_the_values() -> None:
    config = compose(
        ["rates=differential", "rates.patterns={head: 1.0, backbone/blocks.*: 0.1}", "+rates.patterns.x=0"]
    )
    assert config.rates.patterns["backbone/blocks.*"] == 0.1
    assert config.rates.patterns["x"] == 0
    assert "each value a number of at least 0" in wrong("rates=differential", "rates.patterns.x=fast")


def test_plus_signs_change_nothing_for_a_key_that_is_known() -> None:
    assert compose(["+seed=3", "++optimizer=sgd", "++optimizer.lr=0.5"]) == compose(
        ["seed=3", "optimizer=sgd", "optimizer.lr=0.5"]
    )


# Paths


@pytest.mark.parametrize(
    "path",
    [
        "my photos",
        "a,b",
        "a=b",
        "x [1](2) {3}",
        "100%",
        "it's",
        'a"b',
        "C:\\data\\new",
        "\\\\server\\share",
        "123",
        "true",
        "a b\\",
    ],
)
@pytest.mark.parametrize("key", ["bundle", "output"])
def test_a_path_is_taken_as_it_was_typed(key: str, path: str) -> None:
    words = {"bundle": "b", "input": "i"} | {key: path}
    assert compose([f"{name}={value}" for name, value in words.items()], "predict")[key] == path


def test_what_was_quoted_or_escaped_by_hand_means_the_same() -> None:
    for typed in ("bundle='a,b'", 'bundle="a,b"', "bundle=a\\,b"):
        assert compose([typed, "input=[x.png,y z.png]"], "predict").bundle == "a,b"
    assert compose(["bundle=b", "input=[x.png,y z.png]"], "predict").input == ["x.png", "y z.png"]


def test_every_path_of_the_contract_is_quoted_for_the_user() -> None:
    contract = {"data.root", "bundle", "input", "output", "resume", "backbone.weights", "strategy.file", "plan.output"}
    assert contract | {"hydra.run.dir", "hydra.sweep.dir"} <= PATHS


# The user's own files


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return folder


def test_an_option_of_ones_own_with_our_target_is_checked_like_ours(tmp_path: Path) -> None:
    adamw = (conf_dir() / "optimizer" / "adamw.yaml").read_text()
    write(tmp_path, "optimizer/mine.yaml", adamw.replace("lr: 0.001", "lr: 0.5"))
    assert compose(["optimizer=mine"], config_dir=tmp_path).optimizer.lr == 0.5
    write(tmp_path, "optimizer/mine.yaml", adamw.replace("lr: 0.001", "lr: fast") + "\nlrr: 1\n")
    told = wrong("optimizer=mine", config_dir=tmp_path)
    assert "optimizer.lr=fast: expected a number above 0" in told
    assert "optimizer.lrr=1: unknown key 'lrr'; did you mean 'lr'?" in told


def test_an_option_of_ones_own_that_lacks_a_key_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "optimizer/mine.yaml", "_target_: ftlab.optimizers.adamw\nlr: 0.1\n")
    assert "optimizer.weight_decay: needs a value" in wrong("optimizer=mine", config_dir=tmp_path)


def test_an_experiment_is_a_diff_and_is_checked(tmp_path: Path) -> None:
    text = "# @package _global_\ndefaults:\n  - override /strategy: full\nseed: {}\n"
    write(tmp_path, "experiment/mine.yaml", text.format(5))
    config = compose(["experiment=mine"], config_dir=tmp_path)
    assert (config.seed, config.strategy._target_) == (5, options("strategy")["full"]["_target_"])
    write(tmp_path, "experiment/mine.yaml", text.format("five") + "sede: 1\n")
    told = wrong("experiment=mine", config_dir=tmp_path)
    assert "seed=five: expected a whole number" in told
    assert "sede=1: unknown key 'sede'; did you mean 'seed'?" in told


def test_a_mistyped_option_inside_an_experiment_is_named(tmp_path: Path) -> None:
    write(tmp_path, "experiment/mine.yaml", "# @package _global_\ndefaults:\n  - override /strategy: ful\n")
    assert "strategy=ful: no such option; did you mean 'full'?" in wrong("experiment=mine", config_dir=tmp_path)


def test_an_experiment_without_its_package_line_is_told_so(tmp_path: Path) -> None:
    write(tmp_path, "experiment/mine.yaml", "seed: 5\n")
    assert "@package _global_" in wrong("experiment=mine", config_dir=tmp_path)


@pytest.mark.parametrize("name", ["optimizer/adamw.yaml", "train.yaml"])
def test_a_file_with_the_name_of_a_shipped_one_never_loses_in_silence(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "lr: 5\n")
    assert f"{tmp_path / name}: an option of that name is shipped" in wrong(config_dir=tmp_path)
    assert f"{tmp_path / name}: an option of that name is shipped" in wrong(f"hydra.searchpath=[file://{tmp_path}]")


def test_the_keys_of_a_trusted_module_are_its_own(tmp_path: Path) -> None:
    write(tmp_path, "head/mine.yaml", "_target_: my_heads.Mine\nanything: 1\n")
    assert "head._target_=my_heads.Mine: may not be named" in wrong("head=mine", config_dir=tmp_path)
    assert compose(["head=mine", "trusted_modules=[my_heads]"], config_dir=tmp_path).head.anything == 1


def test_trust_in_a_module_is_no_trust_in_names_that_only_start_like_it(tmp_path: Path) -> None:
    write(tmp_path, "head/mine.yaml", "_target_: my_heads_evil.Mine\n")
    assert "may not be named" in wrong("head=mine", "trusted_modules=[my_heads]", config_dir=tmp_path)


# Composing


def test_composing_twice_gives_the_same_and_leaves_no_trace_in_hydra() -> None:
    from hydra.core.global_hydra import GlobalHydra

    assert compose(["seed=1"]) == compose(["seed=1"])
    assert not GlobalHydra.instance().is_initialized()


def test_composing_inside_a_running_hydra_application_leaves_it_running() -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        assert compose(["seed=4"]).seed == 4
        with pytest.raises(UserError):
            compose(["sed=4"])
        assert hydra_compose("train", ["seed=5"]).seed == 5


def test_every_mode_has_its_file_and_its_job() -> None:
    assert set(JOBS) == set(cli.JOBS) == {file.stem for file in conf_dir().glob("*.yaml")}


def test_an_unknown_mode_of_compose_is_wrong_input() -> None:
    assert "did you mean 'train'?" in wrong(mode="trian")


# Making objects


@pytest.fixture
def my_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "my_parts.py").write_text(
        "import os\nfrom os import system\n"
        "class Part:\n"
        "    def __init__(self, size, inner, extra=0):\n"
        "        self.size, self.inner, self.extra = size, inner, extra\n"
        "def broken(size):\n    return size + None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_parts"
    sys.modules.pop("my_parts", None)


def test_an_object_gets_plain_containers_and_what_is_known_at_run_time(my_module: str) -> None:
    node = OmegaConf.create({"_target_": "my_parts.Part", "size": 3, "inner": {"list": [1, "${size}"]}, "top": 1})
    del node["top"]
    part = instantiate(node, trusted_modules=[my_module], extra=7)
    assert (part.size, part.inner, part.extra) == (3, {"list": [1, 3]}, 7)
    assert type(part.inner) is dict
    assert type(part.inner["list"]) is list


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("os.system", "may not be named"),
        ("ftlab.config.inspect.getsource", "may not be named"),
        ("ftlab.config.import_module", "may not be named"),
        ("ftlab.files.writing.write_text", "may not be named"),  # ours, and would write a file
        ("my_parts.inspect.getsource", "there is no module my_parts.inspect"),
        ("my_parts.partt", "has no partt"),
        ("ftlab_evil.x", "may not be named"),
        ("my_parts.system", "its home is not in"),
        (5, "expected the full name"),
    ],
)
def test_an_object_whose_real_home_is_elsewhere_is_refused(my_module: str, target: Any, said: str) -> None:
    with pytest.raises(UserError, match=r".") as caught:
        instantiate({"_target_": target, "command": f"touch {os.devnull}"}, trusted_modules=[my_module])
    assert said in str(caught.value)


def test_arguments_that_do_not_fit_are_wrong_input_but_a_defect_stays_a_defect(my_module: str) -> None:
    with pytest.raises(UserError, match=r"missing a required argument: 'inner'"):
        instantiate({"_target_": "my_parts.Part", "size": 1}, trusted_modules=[my_module])
    with pytest.raises(TypeError):
        instantiate({"_target_": "my_parts.broken", "size": 1}, trusted_modules=[my_module])


def test_a_mode_that_only_reads_data_takes_every_group_that_a_data_option_may_bring():
    entries = OmegaConf.to_container(OmegaConf.load(conf_dir() / "evaluate.yaml").defaults)
    taken = {key.removeprefix("optional ") for entry in entries if isinstance(entry, dict) for key in entry}
    assert taken - {"data", "override hydra/job_logging"} == groups("train").keys() - {"data", "experiment", "logger"}


@pytest.mark.parametrize("mode", ["check", "plan"])
def test_check_and_plan_take_every_key_of_train(mode: str) -> None:
    assert root_keys("train") <= root_keys(mode)
    typed = ["strategy=full", "optimizer.lr=0.5", "trainer.max_epochs=3", "backbone.name=resnet18", "data.check=fast"]
    typed += ["cache=auto"]
    assert compose(typed, mode).keys() - compose(typed).keys() == root_keys(mode) - root_keys("train")
    found, expected = compose(typed, mode), compose(typed)
    assert {key: found[key] for key in expected} == dict(expected)
