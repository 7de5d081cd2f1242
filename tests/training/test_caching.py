"""What the frozen part computes, kept: the same weights as without, every sample computed once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ftlab.backbones.border import Traced
from ftlab.batch import Batch
from ftlab.cache import entries
from ftlab.errors import UserError
from ftlab.run import train
from tests.training.test_resume import assert_equal, last
from tests.training.tiny import Run, prepared, splits, tiny_backbone

HEAD = "{name: head, epochs: 2, stages: {head/fc: 1, rest: frozen}}"
TOP = "{name: top, epochs: 2, stages: {head/fc: 1, backbone/top: 1, rest: frozen}}"
ALL = "{name: all, epochs: 1, stages: {rest: 1}}"
FIRST_TWO = ("strategy=phases", f"strategy.inline=[{HEAD},{TOP}]")
PHASES = ("strategy=phases", f"strategy.inline=[{HEAD},{TOP},{ALL}]")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that the frozen part has computed, after the probe of 4 samples."""
    sizes: list[int] = []
    make = Traced.fast

    def fast(self: Traced, names: Any) -> Callable[..., Any]:
        run = make(self, names)

        def counted(*inputs: Tensor) -> Any:
            sizes.append(len(inputs[0]))
            return run(*inputs)

        return counted

    monkeypatch.setattr(Traced, "fast", fast)
    return sizes


def told(run: Run) -> dict[str, dict[str, Any]]:
    return run.finetuner.supply.told


def differences(run: Run, other: Run) -> float:
    pairs = zip(run.state().values(), other.state().values(), strict=True)
    return max(float((a.float() - b.float()).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("mode", ["auto", "memory", "disk"])
def test_a_cache_gives_the_weights_of_a_run_without_one(tmp_path: Path, mode: str) -> None:
    without = prepared(tmp_path / "off", *PHASES, "cache=off", drop=0.0).fit()
    run = prepared(tmp_path / mode, *PHASES, f"cache={mode}", drop=0.0).fit()
    kept = "memory" if mode == "auto" else mode
    assert [choice.train for choice in run.finetuner.supply.choices] == [kept, kept, "off"]
    assert told(run)["head"]["read"] == 2 * (40 + 20)
    assert told(run)["top"]["read"] == 2 * (40 + 20)
    assert differences(run, without) < 1e-5
    before, after = without.finetuner.history, run.finetuner.history
    for a, b in zip(before, after, strict=True):
        assert a["val"] == pytest.approx(b["val"], abs=1e-5)


def test_every_sample_is_computed_once_for_all_phases(tmp_path: Path, computed: list[int]) -> None:
    run = prepared(tmp_path, *FIRST_TWO, "cache=memory").fit()
    probes = 2 * 3  # of each border: twice all four samples, and once two of them
    assert computed[:probes] == [4, 4, 2] * 2
    assert sum(computed[probes:]) == 40 + 20
    assert told(run)["top"]["bytes"] == 0  # the first pass had computed it


def test_what_was_done_is_told_of_each_phase(tmp_path: Path) -> None:
    run = prepared(tmp_path, *PHASES, "cache=memory").fit()
    head, top, last_one = told(run)["head"], told(run)["top"], told(run)["all"]
    assert set(head) == {"phase", "train", "val", "why", "seconds", "seconds_per_sample", "bytes", "found", "computed",
                         "peak_memory_bytes", "read"}  # fmt: skip
    # Of 60 samples, in float32: 8 features; 6 channels of 8 x 8 and their mean.
    assert (head["computed"], head["bytes"]) == (60, 60 * (8 + 7 * 64) * 4)
    assert (top["computed"], top["bytes"], top["found"]) == (0, 0, 0)
    assert (last_one["computed"], last_one["read"], last_one["seconds_per_sample"]) == (0, 0, 0)
    assert min(head["seconds"], head["seconds_per_sample"], top["seconds_per_sample"]) > 0


def test_dropout_of_what_trains_differs_from_epoch_to_epoch_behind_the_cache(tmp_path: Path) -> None:
    dropping = prepared(tmp_path / "a", *FIRST_TWO, "cache=memory", drop=0.5).fit()
    without = prepared(tmp_path / "b", *FIRST_TWO, "cache=off", drop=0.5).fit()
    plain = prepared(tmp_path / "c", *FIRST_TWO, "cache=memory", drop=0.0).fit()
    assert differences(dropping, without) < 1e-5  # the same masks, keyed by the step
    assert differences(dropping, plain) > 1e-3


def test_an_augmentation_is_not_frozen_by_the_cache(tmp_path: Path) -> None:
    words = [*FIRST_TWO, "augment=light"]
    run = prepared(tmp_path / "a", *words).fit()
    assert [(choice.train, choice.val) for choice in run.finetuner.supply.choices] == [("live", "memory")] * 2
    assert "cache.views" in run.finetuner.supply.choices[0].why
    assert differences(run, prepared(tmp_path / "b", *words, "cache=off").fit()) < 1e-5
    with pytest.raises(UserError, match=r"cache=memory, phase 'head': the augmentation varies.*cache\.views"):
        prepared(tmp_path / "c", *words, "cache=memory").fit()


def test_views_take_turns_and_are_those_of_the_first_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["strategy=head_only", "augment=light", "trainer.max_epochs=2"]
    two = prepared(tmp_path / "a", *words, "cache=memory", "cache.views=2").fit()
    assert differences(two, prepared(tmp_path / "b", *words, "cache=off").fit()) < 1e-5
    assert told(two)["head"]["bytes"] == (2 * 40 + 20) * 8 * 4  # two of each training image; 8 channels
    longer = [*words[:2], "trainer.max_epochs=3"]
    one_more = prepared(tmp_path / "c", *longer, "cache=memory", "cache.views=2").fit()
    other = prepared(tmp_path / "d", *longer, "cache=off").fit()
    assert differences(one_more, other) > 1e-4  # the third epoch sees the images of the first again


def test_views_of_images_that_nothing_varies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cache\.views=2: no image is varied"):
        prepared(tmp_path, "strategy=head_only", "cache.views=2").fit()


@pytest.mark.parametrize(("dtype", "near"), [("float16", 1e-3), ("bfloat16", 1e-2), ("uint8", 3e-2)])
def test_coarser_values_give_nearly_the_same_weights(tmp_path: Path, dtype: str, near: float) -> None:
    without = prepared(tmp_path / "a", "strategy=head_only", "cache=off", "trainer.max_epochs=2").fit()
    run = prepared(
        tmp_path / "b", "strategy=head_only", "cache=memory", f"cache.dtype={dtype}", "trainer.max_epochs=2"
    ).fit()
    assert 0 < differences(run, without) < near


def test_the_next_run_finds_the_values_on_disk_and_one_with_other_weights_does_not(
    tmp_path: Path, computed: list[int]
) -> None:
    words = ["strategy=head_only", "cache=disk", "trainer.max_epochs=2"]
    first = prepared(tmp_path / "a", *words).fit()
    assert sum(computed) == 4 + 4 + 2 + 40 + 20
    computed.clear()
    again = prepared(tmp_path / "b", *words, "optimizer.lr=0.02").fit()
    assert computed == [4, 4, 2]
    assert told(again)["head"]["found"] == 2
    assert len(entries.entries()) == 2
    other = prepared(tmp_path / "c", *words, backbone=tiny_backbone(seed=1)).fit()
    assert told(other)["head"]["found"] == 0
    prepared(tmp_path / "d", *words, data=splits(train=39)).fit()
    assert len(entries.entries()) == 5  # the val split of the last one is the first one's
    same = prepared(tmp_path / "e", *words).fit()
    assert differences(first, same) == 0


def test_values_that_no_later_run_could_recognise_leave_the_disk_with_the_run(tmp_path: Path) -> None:
    data = splits()
    for part in data.parts().values():
        part.inputs = Unknown(part.inputs)
    run = prepared(tmp_path / "a", "strategy=head_only", "cache=disk", "trainer.max_epochs=2", data=data).fit()
    assert told(run)["head"]["read"] == 2 * 60
    assert entries.entries() == entries.unfinished() == []


class Unknown:
    """Inputs of a class that ftlab does not know."""

    def __init__(self, inputs: Any) -> None:
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> Any:
        return self.inputs[index]


class Branches(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 8, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images)
        return self.second(maps if maps.sum() > 0 else -maps)


def test_a_network_that_cannot_be_traced_trains_without_a_cache_and_says_so(tmp_path: Path) -> None:
    from ftlab.backbones.module import ModuleBackbone
    from tests.training.tiny import PREPROCESSING

    def backbone() -> ModuleBackbone:
        torch.manual_seed(0)
        return ModuleBackbone(Branches(), {"first": ["first"], "second": ["second"]}, 8, PREPROCESSING)

    words = ["strategy=head_only", "trainer.max_epochs=2"]
    run = prepared(tmp_path / "a", *words, backbone=backbone()).fit()
    (choice,) = run.finetuner.supply.choices
    assert (choice.train, choice.val) == ("off", "off")
    assert "Branches cannot be cut" in choice.why
    assert differences(run, prepared(tmp_path / "b", *words, "cache=off", backbone=backbone()).fit()) == 0
    with pytest.raises(UserError, match=r"cache=memory, phase 'head': .*Branches cannot be cut"):
        prepared(tmp_path / "c", *words, "cache=memory", backbone=backbone()).fit()


def test_the_last_evaluation_sees_the_whole_network(tmp_path: Path) -> None:
    run = prepared(tmp_path, *FIRST_TWO, "cache=memory").fit()
    assert run.parts.model.rest is None
    _, batch = next(enumerate(run.finetuner.data().loader("val", shuffle=False)))
    assert isinstance(batch, Batch)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_with_the_choices_of_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the measurement now says otherwise."""
    import shutil

    import ftlab
    from ftlab.cache import probe
    from ftlab.training.saving.checkpoints import Checkpoints

    words = ["subset=60", "data.image_size=32", "data.batch_size=16", "backbone.name=resnet10t",
             "backbone.pretrained=false", "strategy=progressive", "strategy.groups=2", "trainer.max_epochs=6",
             "checkpoint.every_n_steps=1", "trainer.accelerator=cpu"]  # fmt: skip
    whole, save = tmp_path / "whole", Checkpoints._save

    def save_and_keep(self: Checkpoints, trainer: Any, module: Any, epoch: int | None = None) -> None:
        save(self, trainer, module, epoch)
        shutil.copytree(whole, tmp_path / f"{'within' if epoch is None else 'after'}-{trainer.current_epoch}",
                        dirs_exist_ok=True)  # fmt: skip

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_save", save_and_keep)
        train(ftlab.compose(words), whole)
    assert {choice["train"] for choice in last(whole)["ftlab"]["cache"]["choices"]} == {"memory", "off"}
    monkeypatch.setattr(probe, "timed", lambda run, batch: (0.0, run()))  # nothing pays any more
    for place in ("within-0", "after-1", "within-3", "after-3"):
        killed = tmp_path / place
        train(ftlab.compose([*words, f"resume={killed}"]))
        assert_equal(last(whole)["state_dict"], last(killed)["state_dict"])
        assert_equal(last(whole)["optimizer_states"], last(killed)["optimizer_states"])
