import pytest
import torch

from ftlab.data.base import Samples, Splits
from ftlab.data.module import DataModule, describe
from ftlab.errors import UserError
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.files import ImageFiles
from ftlab.inputs.images.pictures import thumbnail
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels
from tests.conftest import ROOT
from tests.data.pictures import write_image

# A machine with one core is told that two workers are many; what they load is the same.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

VARIED = Augment(rotation=20, shift=0.2, zoom=0.2, horizontal_flip=0.5, randaugment=1, erasing=0.5)
SIZE = Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3)


def samples(count: int = 11, targets=None) -> Samples:
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (3, 12, 12), dtype=torch.uint8, generator=generator) for _ in range(count)]
    return Samples(images, torch.arange(count) % 2 if targets is None else targets, [f"s/{i}" for i in range(count)])


def module(workers: int = 0, train: Samples | None = None, augment: Augment = VARIED, **changes) -> DataModule:
    splits, spec = describe("mine", Splits(train or samples(), samples(5), None, Classes(("a", "b"))), seed=0)
    changes = {"batch_size": 4, **changes}
    return DataModule(splits, spec, SIZE, augment, num_workers=workers, seed=3, **changes)


def by_index(loader) -> dict[int, torch.Tensor]:
    return {int(i): image for batch in loader for i, image in zip(batch.index, batch.inputs["images"], strict=True)}


def test_augmented_images_do_not_depend_on_workers_batches_or_the_global_generator():
    torch.manual_seed(1)
    alone, workers = module().loader("train", True), module(workers=2).loader("train", True)
    for epoch in (0, 1):
        for loader in (alone, workers):
            loader.batch_sampler.set_epoch(epoch)
        torch.manual_seed(epoch + 10)
        first, second = list(alone), list(workers)
        for a, b in zip(first, second, strict=True):
            assert torch.equal(a.index, b.index)
            assert torch.equal(a.targets, b.targets)
            assert torch.equal(a.inputs["images"], b.inputs["images"])
    ranks = [by_index(module(rank=rank, world=2, batch_size=8).loader("train", True)) for rank in (0, 1)]
    whole = by_index(module().loader("train", True))
    assert ranks[0].keys() | ranks[1].keys() == whole.keys()
    assert not ranks[0].keys() & ranks[1].keys()
    assert all(torch.equal(image, whole[i]) for part in ranks for i, image in part.items())


def test_augmentation_differs_between_epochs_and_seeds():
    loader = module().loader("train", True)
    first = by_index(loader)
    loader.batch_sampler.set_epoch(1)
    second = by_index(loader)
    assert not any(torch.equal(first[i], second[i]) for i in first)


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_leaves_the_global_generator_alone(workers):
    before = torch.get_rng_state()
    list(module(workers=workers).loader("train", True))
    assert torch.equal(torch.get_rng_state(), before)


def test_only_shuffled_training_batches_are_augmented():
    plain = by_index(module(augment=Augment()).loader("train", False))
    varied = by_index(module().loader("train", False))
    assert all(torch.equal(plain[i], varied[i]) for i in plain)
    assert not torch.equal(by_index(module().loader("train", True))[0], plain[0])


def test_a_batch_holds_images_targets_and_places():
    batch = next(iter(module().loader("val", False)))
    assert batch.inputs["images"].shape == (4, 3, 16, 16)
    assert batch.inputs["images"].dtype == torch.float32
    assert batch.targets.tolist() == [0, 1, 0, 1]
    assert batch.targets.dtype == torch.int64
    assert batch.index.tolist() == [0, 1, 2, 3]
    assert batch.index.dtype == torch.int64
    assert len(module().loader("val", False)) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_file_is_one_message_with_its_name_with_and_without_workers(tmp_path, workers):
    paths = [write_image(tmp_path / f"{i}.png") for i in range(4)]
    paths[2].write_bytes(paths[2].read_bytes()[:40])
    train = Samples(ImageFiles(paths), torch.arange(4) % 2, [str(path) for path in paths])
    with pytest.raises(UserError) as caught:
        list(module(workers, train).loader("train", True))
    assert str(caught.value).startswith(f"{paths[2]}: not a readable image")
    assert "\n" not in str(caught.value)


def test_an_image_that_cannot_be_transformed_is_an_error_with_its_name():
    train = samples()
    train.inputs[7] = torch.zeros(12, dtype=torch.uint8)
    with pytest.raises(UserError, match="s/7 cannot be prepared"):
        list(module(train=train).loader("train", True))


def test_a_sample_for_a_gallery_keeps_its_shape(tmp_path):
    path = write_image(tmp_path / "x.png", (10, 20, 30), size=(40, 20))
    train = Samples(ImageFiles([path, path]), torch.tensor([0, 1]), ["x", "y"])
    image = thumbnail(module(train=train).samples("train").inputs[0], longest=20)
    assert image.size == (20, 10)
    assert image.getpixel((3, 3)) == (10, 20, 30)
    assert module().shown("val", 0)["image"].size == (160, 160)


def test_a_split_that_is_not_there_is_an_error_that_names_the_others():
    with pytest.raises(UserError, match=r"no split 'test'; .*train, val"):
        module().loader("test", False)
    with pytest.raises(UserError, match="5 samples for 8 processes"):
        module(world=8).loader("val", False)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0, 1, -100, 1], r"train: s/2 has the target -100; accepted: 0 to 1 \(1 samples"),
        ([0, 2, 2, 1], r"train: s/1 has the target 2; accepted: 0 to 1 \(2 samples"),
        ([[0.0, 1], [float("nan"), 0], [1, 1], [0, 0]], r"train: s/1 has the target \[nan, 0.0\]"),
        ([[0.0], [1], [1], [0]], "targets have 1 columns for 2 classes"),
        ([1], "holds 1 samples; at least 2"),
        ([], "holds 0 samples; at least 2"),
    ],
)
def test_targets_that_cannot_be_meant_are_errors_with_the_sample(targets, message):
    train = samples(len(targets), torch.tensor(targets, dtype=None if targets else torch.int64))
    kind = Labels if train.targets.ndim == 2 else Classes
    with pytest.raises(UserError, match=message):
        describe("mine", Splits(train, None, None, kind(("a", "b"))), seed=0)


def test_a_single_class_and_an_empty_split_are_errors():
    with pytest.raises(UserError, match="1 class; at least 2"):
        describe("mine", Splits(samples(4, torch.zeros(4).long()), None, None, Classes(("a",))), seed=0)
    with pytest.raises(UserError, match="the val split is empty"):
        describe("mine", Splits(samples(), samples(0), None, Classes(("a", "b"))), seed=0)


def test_heavy_imbalance_and_absent_classes_are_said_with_their_counts():
    def warnings(large: int) -> tuple[str, ...]:
        train = samples(large + 2, torch.tensor([0] * large + [1] * 2))
        return describe("mine", Splits(train, None, None, Classes(("a", "b", "c"))), seed=0)[1].warnings

    assert warnings(20) == ("1 class has no sample in train: c",)
    assert warnings(21)[1].startswith("1 class is imbalanced: b (2); ")
    assert "21 of a" in warnings(21)[1]


def test_a_subset_is_of_the_train_split_only():
    splits, spec = describe(
        "mine", Splits(samples(10), samples(5), None, Classes(("a", "b"))), seed=0, subset="2/class"
    )
    assert spec.sizes == {"train": 4, "val": 5}
    assert spec.target.counts == (2, 2)
    assert len(splits.train) == 4


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_batches_of_an_epoch_are_known_without_loading_them(world):
    data = module(world=world, batch_size=6)
    assert data.batches() == len(list(data.loader("train", True)))
    assert data.batches("val") == 1
    assert len(data.sampler("train", shuffle=False, batch_size=5)) == (3 if world == 1 else 2)  # 11: 5, 5, 1
    with pytest.raises(UserError, match=r"val split holds 5 samples for 6 processes"):
        module(world=6, batch_size=12).sampler("val", shuffle=False)


def test_no_other_place_makes_an_order_of_samples():
    made = [str(f.relative_to(ROOT)) for f in (ROOT / "ftlab").rglob("*.py") if "KeyedBatchSampler(" in f.read_text()]
    assert sorted(made) == ["ftlab/data/module.py", "ftlab/data/sampling.py"]  # made, and defined


def test_classes_with_few_samples_to_judge_by_are_told_once():
    def column(*counts: int) -> torch.Tensor:
        return torch.arange(3).repeat_interleave(torch.tensor(counts))

    parts = {"train": column(20, 20, 20), "val": column(10, 9, 0), "test": column(10, 3, 12)}
    told = [one.text for one in Classes(("a", "b", "c")).problems(parts)]
    assert told == [
        "1 class has no sample in val: c",
        "1 class has fewer than 10 samples in val or test: b (9 in val, 3 in test); figures of it say little",
    ]
    labels = [one.text for one in Labels(("a", "b")).problems({"train": torch.ones(20, 2), "val": torch.ones(4, 2)})]
    assert labels == [
        "2 classes have fewer than 10 samples in val: a (4 in val), b (4 in val); figures of them say little"
    ]
