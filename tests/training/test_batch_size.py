"""data.batch_size=auto: the largest power of two that fits, found without leaving a trace."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import ftlab
from ftlab.errors import UserError
from ftlab.resume import as_begun
from ftlab.run import loaders, train
from ftlab.strategies.base import Phase
from ftlab.training.trials import batch_size
from ftlab.training.trials.batch_size import BLIND, SHARE, find, largest_phase, powers, repeated, search
from tests.training.tiny import parts_of, splits, tiny_backbone

GB = 10**9


def linear(size: int) -> int:
    """1 GB for the network, 1 GB a sample."""
    return GB + size * GB


def test_sizes_are_powers_of_two_up_to_the_limit():
    assert powers(40) == [1, 2, 4, 8, 16, 32]
    assert powers(64)[-1] == 64
    assert powers(1) == [1]


def test_the_largest_size_that_fits_is_found_where_running_out_is_orderly():
    tried: list[int] = []

    def gpu(size: int) -> int | None:
        tried.append(size)
        return linear(size) if linear(size) <= 20 * GB else None

    assert search(gpu, 1000, available=None) == (16, "32 does not fit")
    assert tried == [1, 2, 4, 8, 16, 32]


def test_no_size_is_tried_that_could_take_more_than_its_share_of_the_memory():
    tried: list[int] = []

    def cpu(size: int) -> int:
        tried.append(size)
        return linear(size)

    size, why = search(cpu, 1000, available=50 * GB)
    assert tried == [1, 2, 4, 8, 16, 32]
    assert size == 32  # 33 of 40 GB; 64 could take twice that
    assert why == "64 may take 66.00 GB of 50.00 GB"
    assert all(linear(n) <= SHARE * 50 * GB for n in tried)


def test_a_size_that_takes_more_than_was_foreseen_is_not_chosen():
    assert search(lambda size: size**2 * GB, 1000, available=10 * GB)[0] == 2  # 4 takes 16, foreseen were 8


def test_the_train_split_is_the_limit():
    assert search(linear, 20, available=None) == (16, "no more than 20 are of use")


def test_nothing_fits_is_told_as_zero():
    assert search(lambda size: None, 8, available=None)[0] == 0


def test_the_phase_that_needs_most_is_the_one_with_the_most_parameters():
    phases = [Phase("head", 1, {"head": 1.0}), Phase("all", 1, {"a": 1, "head": 1}), Phase("b", 1, {"b": 1.0})]
    assert largest_phase(phases, {"a": 50, "b": 54, "head": 5}).name == "all"


def test_a_larger_batch_repeats_the_samples_that_were_loaded():
    *_, make_data = parts_of("strategy=full", "data.batch_size=4")
    few = batch_size.samples(make_data())
    many = repeated(few, 19)
    assert len(many) == 19
    assert torch.equal(many.inputs["images"][8 : 8 + 8], few.inputs["images"])
    assert torch.equal(many.targets[16:19], few.targets[:3])


def test_the_search_leaves_network_task_and_generators_as_they_were():
    """BatchNorm trains and dropout draws in every try, so a search on the network itself would be seen."""
    parts, settings, make_data = parts_of("strategy=progressive", "strategy.batchnorm=train", "data.batch_size=4")
    before = {k: v.clone() for k, v in parts.model.state_dict().items()}
    modes = [m.training for m in parts.model.modules()]
    needs = [p.requires_grad for p in parts.model.parameters()]
    generator = torch.get_rng_state()
    found = find(parts, make_data(), settings)
    assert found.batch_size == 32  # of 40 samples
    assert found.phase == parts.phases[-1].name
    assert all(torch.equal(before[k], v) for k, v in parts.model.state_dict().items())
    assert [m.training for m in parts.model.modules()] == modes
    assert [p.requires_grad for p in parts.model.parameters()] == needs
    assert all(p.grad is None for p in parts.model.parameters())
    assert torch.equal(torch.get_rng_state(), generator)


def test_every_try_takes_real_steps_of_the_phase_that_needs_most():
    """With a memory that holds 12 samples: counted by a hook in the network, which the copy takes along."""
    seen: list[tuple[int, bool]] = []
    backbone = tiny_backbone()

    def refuse(module: Any, inputs: tuple[torch.Tensor]) -> None:
        seen.append((len(inputs[0]), next(module.parameters()).requires_grad))
        if len(inputs[0]) > 12:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")

    parts, settings, make_data = parts_of("strategy=progressive", backbone=backbone)
    backbone.model.stem.register_forward_pre_hook(refuse)  # assembly has looked at one sample by now
    found = find(parts, make_data(), settings)
    assert found.batch_size == 8
    assert found.reason == "16 does not fit"
    assert seen == [(n, True) for n in (1, 1, 2, 2, 4, 4, 8, 8, 16)]
    shared = find(parts, make_data(), settings, world=2)
    assert shared.batch_size == 16  # 8 for each of two


def test_not_even_one_sample_is_an_error_that_names_the_ways_out():
    parts, settings, make_data = parts_of("strategy=full")

    def refuse(*_: Any) -> None:
        raise MemoryError

    parts.model.register_forward_pre_hook(refuse)
    with pytest.raises(UserError, match=r"out of memory.*backbone\.checkpointing=true"):
        find(parts, make_data(), settings)


def test_a_system_that_tells_nothing_gets_a_documented_number(monkeypatch):
    monkeypatch.setattr(batch_size, "memory_available", lambda: None)
    parts, settings, make_data = parts_of("strategy=full", data=splits(70))
    assert find(parts, make_data(), settings).batch_size == BLIND


def test_the_memory_of_a_container_counts(monkeypatch, tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    monkeypatch.setattr(batch_size, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(batch_size, "CONTAINER", tmp_path)
    assert batch_size.memory_available() == 5000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert batch_size.memory_available() == 5000 * 1024
    (tmp_path / "memory.max").write_text("3000\n")
    assert batch_size.memory_available() == 2000


def test_several_processes_of_others_do_not_choose_each_for_itself(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"data\.batch_size=auto: processes that torchrun"):
        train(ftlab.compose(["data.batch_size=auto", "strategy=full", *SMALL]), tmp_path, splits(), tiny_backbone())


SMALL = ["data.image_size=8", "trainer.accelerator=cpu", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def auto(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("auto") / "run"
    config = ftlab.compose(["data.batch_size=auto", "strategy=full", *SMALL])
    return folder, train(config, folder, splits(), tiny_backbone())


def test_the_number_is_in_config_and_report_and_the_steps_are_of_it(auto, capsys):
    folder, report = auto
    chosen = yaml.safe_load((folder / "config.yaml").read_text())["data"]["batch_size"]
    assert chosen == report["config"]["data"]["batch_size"] == 32
    assert report["history"][0]["steps"] == 2  # 40 samples


def test_a_resumed_run_takes_the_number_of_its_beginning(auto, monkeypatch):
    folder, _ = auto
    monkeypatch.setattr(batch_size, "MOST_ON_CPU", 4)  # a search would now find another one
    (folder / "report.json").unlink()
    changed = ["trainer.max_epochs=2", "resume_allow=[trainer.max_epochs]", f"resume={folder}"]
    config = ftlab.compose(["data.batch_size=auto", "strategy=full", *SMALL[:2], *changed])
    for made in (folder / "bundle").iterdir():
        made.unlink()
    (folder / "bundle").rmdir()
    report = train(config, data=splits(), backbone=tiny_backbone())
    assert report["config"]["data"]["batch_size"] == 32
    assert [record["steps"] for record in report["history"]] == [2, 2]


def test_a_number_that_was_typed_is_not_replaced():
    stored, typed = {"data": {"batch_size": 8}}, {"data": {"batch_size": 16}}
    assert as_begun(stored, typed) == typed
    assert as_begun(stored, {"data": {"batch_size": "auto"}}) == stored
    assert as_begun({"data": {"batch_size": "evil"}}, {"data": {"batch_size": "auto"}}) == {
        "data": {"batch_size": "auto"}
    }


def test_samples_are_as_the_network_sees_them():
    parts, settings, _ = parts_of("strategy=full")
    few = batch_size.samples(loaders(parts, settings))
    assert tuple(few.inputs["images"].shape) == (8, 3, 8, 8)
