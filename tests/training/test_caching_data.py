"""Data of a person's own behind a cache, and other tasks: the same weights as without, or no cache and a word why."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import ftlab
from ftlab.data.base import Splits
from ftlab.errors import UserError
from ftlab.targets.labels import Labels
from tests.training.test_caching import FIRST_TWO, differences, own_cache, splits  # noqa: F401  (a fixture)
from tests.training.tiny import Run, prepared


class Varied:
    """Digits as pairs; `vary` is the person's own augmentation."""

    def __init__(self, split: Any, vary: Any) -> None:
        self.split, self.vary = split, vary

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.vary(self.split.inputs[index]), int(self.split.targets[index])


def of_pairs(vary: Any) -> Splits:
    own = splits()
    return ftlab.from_datasets(Varied(own.train, vary), Varied(own.val, lambda image: image))


own_generator = np.random.default_rng(0)


@pytest.mark.parametrize(
    "vary",
    [
        lambda image: image.roll(1, 2) if torch.rand(()) < 1e-6 else image,  # draws, though hardly ever to an effect
        lambda image: image.roll(1, 2) if np.random.rand() < 1e-6 else image,
        lambda image: image.roll(int(own_generator.integers(8)), 2),
    ],
)
def test_an_augmentation_of_the_data_sets_own_is_not_frozen_by_the_cache(tmp_path: Path, vary: Any) -> None:
    run = prepared(tmp_path / "a", "strategy=head_only", "trainer.max_epochs=2", data=of_pairs(vary)).fit()
    (choice,) = run.finetuner.supply.choices
    assert (choice.train, choice.val) == ("off", "off")
    assert "another input each time" in choice.why
    with pytest.raises(UserError, match=r"cache=memory, phase .*another input each time.*augment="):
        prepared(tmp_path / "b", "strategy=head_only", "cache=memory", data=of_pairs(vary)).fit()


def test_a_data_set_that_gives_the_same_each_time_is_kept(tmp_path: Path) -> None:
    words = ["strategy=head_only", "trainer.max_epochs=2"]
    run = prepared(tmp_path / "a", *words, "cache=disk", data=of_pairs(lambda image: image)).fit()
    other = prepared(tmp_path / "b", *words, "cache=off", data=of_pairs(lambda image: image)).fit()
    assert differences(run, other) < 1e-5


SETTINGS = {
    "workers": ["data.num_workers=2", "subset=30"],
    "accumulation": ["trainer.accumulate_grad_batches=2", "task.class_weights=balanced"],
    "bf16-mixed": ["trainer.precision=bf16-mixed"],
    "64-true": ["trainer.precision=64-true"],
    "bf16-true": ["trainer.precision=bf16-true"],
    "flatten": ["head.pool=flatten"],
    "mlp": ["head=mlp", "head.dropout=0.5"],
}
NEAR = {"bf16-mixed": 1e-2, "bf16-true": 2e-2, "64-true": 1e-12}  # for rounding, as the fold of BatchNorm is another


def apart(run: Run, other: Run) -> float:
    pairs = zip(run.state().values(), other.state().values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_weights_are_those_of_a_run_without_a_cache_under(tmp_path: Path, name: str) -> None:
    words = [*(word.replace("head/fc: 1", "head: 1") for word in FIRST_TWO), *SETTINGS[name], "optimizer=sgd"]
    run = prepared(tmp_path / "a", *words, "cache=memory").fit()
    assert [choice.train for choice in run.finetuner.supply.choices] == ["memory"] * 2
    assert apart(run, prepared(tmp_path / "b", *words, "cache=off").fit()) < NEAR.get(name, 1e-5)


def test_mixed_images_are_mixed_before_the_frozen_part(tmp_path: Path) -> None:
    words = [*FIRST_TWO, "augment.mixup=0.5", "augment.cutmix=0.5", "trainer.precision=64-true"]  # rounding stays small
    run = prepared(tmp_path / "a", *words).fit()
    assert [(choice.train, choice.val) for choice in run.finetuner.supply.choices] == [("live", "memory")] * 2
    assert "mixup" in run.finetuner.supply.choices[0].why
    assert apart(run, prepared(tmp_path / "b", *words, "cache=off").fit()) < 1e-9


def test_samples_of_several_labels_are_read_with_their_own_labels(tmp_path: Path) -> None:
    words = [*FIRST_TWO, "task=multilabel", "monitor=loss"]
    runs = [prepared(tmp_path / cache, *words, f"cache={cache}", data=several()).fit() for cache in ("memory", "off")]
    assert differences(*runs) < 1e-5


def several() -> Splits:
    """Each digit bears its own label and the one after it."""
    found = splits()
    for part in found.parts().values():
        own = torch.nn.functional.one_hot(part.targets, 4)
        part.targets = (own + own.roll(1, dims=1)).float()
    return replace(found, target=Labels(found.target.classes))
