"""Where a bright pixel of an image goes: the Frame says it, a target follows it, and predictions come back.

Shapes: n images, b batch.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.regression import MeanAbsoluteError

import ftlab
from ftlab.backbones.base import Features
from ftlab.backbones.module import ModuleBackbone
from ftlab.batch import Batch
from ftlab.cache.decoded import Decoded
from ftlab.cache.settings import CacheSettings
from ftlab.data.base import Samples, Splits
from ftlab.data.module import DataModule, describe
from ftlab.data.sampling import KeyedDataset, key
from ftlab.errors import UserError
from ftlab.evaluation import as_weights, evaluate
from ftlab.frames import Frame
from ftlab.heads.base import Head
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.files import ImageFiles
from ftlab.inputs.images.geometry import centre
from ftlab.inputs.images.movement import affine, draw_matrix
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.inputs.images.transforms import training_transform
from ftlab.inputs.tables.preprocessing import TablePreprocessing
from ftlab.predictor import Predictor
from ftlab.targets.base import Target
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels
from ftlab.targets.numbers import Numbers
from ftlab.tasks.base import Task

# A machine with one core is told that two workers are many; what they load is the same.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

SIZES = [(40, 40), (61, 90), (90, 47), (20, 33), (12, 300)]  # h, w; the last is a strip that is cut before all else
MOVED = Augment(25.0, 0.1, 0.2, 0.2, horizontal_flip=0.5, fill="black")
AUGMENTS = {
    "evaluation": None,
    "flip": Augment(horizontal_flip=1.0),
    "rotation": Augment(rotation=30.0, fill="black"),
    "shift": Augment(shift=0.2, fill="black"),
    "shear": Augment(shear=0.3, fill="black"),
    "zoom": Augment(zoom=0.3, fill="black"),
    "all": MOVED,
    "random crop": Augment(crop=0.4),
    "crop of all": Augment(25.0, 0.1, 0.2, 0.2, horizontal_flip=0.5, fill="black", crop=0.5),
}


def preprocessing(size=(32, 38), crop_pct=0.8, interpolation="bilinear", resize="crop") -> Preprocessing:
    return Preprocessing(size, (0.0,) * 3, (1.0,) * 3, interpolation, crop_pct, resize)


WAYS = {
    "crop": preprocessing(),
    "tall": preprocessing((40, 21), 1.0, "bicubic"),
    "letterbox": preprocessing((41, 38), 1.0, resize="letterbox"),
    "stretch": preprocessing((40, 31), 1.0, "bicubic", resize="stretch"),
}


def spot(size: tuple[int, int], number: int) -> tuple[Tensor, Tensor]:
    """An image, black but for one pixel near its middle, and the place of that pixel's middle (x, y)."""
    random = np.random.default_rng(number)
    least = min(size)
    x, y = (int(side / 2 + random.uniform(-0.3, 0.3) * least) for side in (size[1], size[0]))
    pixels = torch.zeros(3, *size, dtype=torch.uint8)
    pixels[:, y, x] = 255
    return pixels, torch.tensor([x + 0.5, y + 0.5])


def brightest(images: Tensor) -> Tensor:
    """The centre of brightness (b, 2) of images (b, c, h, w), x and y."""
    weights = images.mean(1).clamp(min=0)
    y, x = (torch.arange(side, device=images.device) + 0.5 for side in weights.shape[-2:])
    total = weights.sum((1, 2))
    return torch.stack([(weights.sum(1) * x).sum(1) / total, (weights.sum(2) * y).sum(1) / total], dim=1)


@pytest.mark.parametrize("augment", AUGMENTS.values(), ids=AUGMENTS)
@pytest.mark.parametrize("own", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("size", SIZES)
def test_a_pixel_lands_where_the_frame_says(size, own, augment):
    transform, seen = own.transform(augment), 0
    few = augment is not None and augment.crop > 0  # most places are left out
    for number in range(30 if few else 8):
        pixels, place = spot(size, number)
        first = transform.first(pixels)
        torch.manual_seed(number)
        fields, frame = transform.framed(first, transform.extent(pixels))
        torch.manual_seed(number)
        assert torch.equal(fields["images"], transform.then(first)["images"])  # the same draws
        assert (frame.raw.tolist(), frame.size.tolist()) == (list(size), list(own.size))
        (there,) = frame.apply(place[None])
        if all(3 < at < side - 3 for at, side in zip(there.tolist(), own.size[::-1], strict=True)):
            seen += 1
            assert (there - brightest(fields["images"][None])[0]).abs().max() < 1
        torch.testing.assert_close(frame.inverse().apply(there[None])[0], place, atol=1e-2, rtol=0)
    assert seen >= (1 if few else 3)


def test_frames_go_one_after_the_other_and_as_a_batch_as_each_alone():
    one, other = (
        Frame.of(((0, -2, 3), (0.5, 1, 0)), (9, 8), (7, 6)),
        Frame.of(((1, 0, -4), (0.25, 2, 1)), (7, 6), (5, 4)),
    )
    places = torch.tensor([[1.0, 2.0], [0.0, -3.0]])
    assert one.apply(places).tolist() == [[-1, 2.5], [9, -3]]
    both = one.then(other)
    assert torch.equal(both.apply(places), other.apply(one.apply(places)))
    assert (both.raw.tolist(), both.size.tolist()) == ([9, 8], [5, 4])
    batch = Frame.stacked([one, other])
    assert torch.equal(batch.apply(places.expand(2, 2, 2)), torch.stack([f.apply(places) for f in (one, other)]))
    assert torch.equal(batch.then(batch.inverse()).apply(places), places.expand(2, 2, 2))
    assert torch.equal(batch.select(torch.tensor([1, 1])).matrix[0], other.matrix)


def test_a_batch_takes_its_frame_along_and_does_not_round_it():
    frame = Frame.stacked([Frame.of(((1, 0, x), (0, 1, 0)), (640, 480), (32, 32)) for x in (300.25, 301.25, 302.25)])
    batch = Batch(None, torch.arange(3), {"images": torch.rand(3, 1)}, frame=frame)
    low = as_weights(batch, torch.zeros(1, dtype=torch.bfloat16))
    assert low.inputs["images"].dtype == torch.bfloat16
    assert low.frame is not None
    assert torch.equal(low.frame.matrix, frame.matrix)
    picked = batch.select(torch.tensor([2, 0])).frame
    assert picked is not None
    assert picked.matrix[:, 0, 2].tolist() == [302.25, 300.25]
    elsewhere = batch.each(lambda tensor: tensor.to("meta")).frame
    assert elsewhere is not None
    assert {part.device.type for part in (elsewhere.matrix, elsewhere.raw, elsewhere.size)} == {"meta"}


@dataclass(frozen=True)
class Point(Target):
    """One place (x, y) in the pixels of the raw image."""

    kind: ClassVar[str] = f"{__name__}.Point"
    plural: ClassVar[str] = "points"
    task: ClassVar[str] = "none"
    follows: ClassVar[bool] = True

    def faults(self, column: Tensor) -> dict[int, str]:
        return {}

    def shown(self, one: Tensor) -> str:
        return str(one.tolist())

    def same(self, one: Tensor, other: Tensor) -> bool:
        return torch.equal(one, other)

    def follow(self, one: Tensor, frame: Frame) -> Tensor:
        return frame.apply(one[None])[0]

    def stored(self) -> dict[str, Any]:
        return {}

    @classmethod
    def restored(cls, stored: Any) -> Self:
        return cls()


def spots(count: int = 12) -> Samples:
    images, places = zip(*(spot(SIZES[number % 4], number) for number in range(count)), strict=True)
    return Samples(list(images), torch.stack(places))


def module(samples: Samples, target: Target, augment: Augment, workers: int = 0, decoded: Any = None) -> DataModule:
    splits, spec = describe("spots", Splits(samples, samples, None, target, kind="image"), seed=0)
    return DataModule(splits, spec, preprocessing(), augment, 4, workers, 7, decoded=decoded)


def epochs(data: DataModule) -> Iterator[Batch]:
    """Two epochs of training, and the validation split."""
    train = data.loader("train", shuffle=True)
    for epoch in range(2):
        train.batch_sampler.set_epoch(epoch)
        yield from train
    yield from data.loader("val", shuffle=False)


@pytest.mark.parametrize("augment", [Augment(horizontal_flip=1.0), MOVED], ids=["flip", "all"])
def test_a_target_follows_its_image_and_comes_back_whoever_loads_it(augment):
    samples = spots()
    alone, helped = (list(epochs(module(samples, Point(), augment, workers))) for workers in (0, 2))
    for batch, other in zip(alone, helped, strict=True):
        assert batch.frame is not None
        assert other.frame is not None
        pairs = ((batch.inputs["images"], other.inputs["images"]), (batch.targets, other.targets))
        assert all(torch.equal(*pair) for pair in (*pairs, (batch.frame.matrix, other.frame.matrix)))
        inside = ((batch.targets > 3) & (batch.targets < torch.tensor([35, 29]))).all(1)
        assert inside.sum() >= 2
        assert (batch.targets - brightest(batch.inputs["images"]))[inside].abs().max() < 1
        back = batch.frame.inverse().apply(batch.targets[:, None])[:, 0]
        torch.testing.assert_close(back, samples.targets[batch.index], atol=1e-2, rtol=0)
    assert not torch.equal(alone[0].targets, alone[6].targets[alone[0].index % 4])  # varied is not as in evaluation


@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_what_is_kept_decoded_knows_how_large_the_image_was(tmp_path: Path, mode, monkeypatch):
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))
    made, paths = spots(8), [tmp_path / f"{number}.png" for number in range(8)]
    for path, pixels in zip(paths, made.inputs, strict=True):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    samples = Samples(ImageFiles(paths), made.targets, list(map(str, paths)))
    plain = list(epochs(module(samples, Point(), MOVED)))
    with Decoded(CacheSettings(mode, disk_budget=1.0, image_budget=0.1), preprocessing(), 0, 3) as decoded:
        data = module(samples, Point(), MOVED, decoded=decoded)
        list(epochs(data))
        assert decoded.report()["kept"] == 16
        for batch, expected in zip(epochs(data), plain, strict=True):
            assert torch.equal(batch.targets, expected.targets)


def before(pixels: Tensor, own: Preprocessing, augment: Augment) -> Tensor:
    """What became of a resized image when no target could follow."""
    training = training_transform(own, augment)
    if augment.randaugment:
        pixels = training.randaugment(pixels)
    flip = bool(torch.rand(()) < augment.horizontal_flip)
    if augment.moves:
        pixels = affine(pixels, draw_matrix(augment, own.size, flip), own.size, training.fill)
    else:
        pixels = centre(pixels, own.size).flip(-1) if flip else centre(pixels, own.size)
    pixels = training.normalise(pixels)
    return training.erase(pixels) if augment.erasing else pixels


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        (Classes(("a", "b")), torch.arange(12) % 2),
        (Labels(("a", "b")), (torch.arange(24).view(12, 2) % 3 > 0).float()),
        (Numbers(("x",)), torch.arange(12.0)[:, None]),
    ],
    ids=lambda part: getattr(part, "plural", ""),
)
@pytest.mark.parametrize("augment", [Augment(horizontal_flip=0.5), Augment(9, 0.1, 0.1, 0.1, 0.5, "edge", 2, 9, 0.5)])
def test_targets_that_do_not_follow_have_batches_without_a_frame_and_of_the_same_bits(kind, targets, augment):
    samples, own = Samples(spots().inputs, targets), preprocessing()
    train = module(samples, kind, augment).loader("train", shuffle=True)
    train.batch_sampler.set_epoch(3)
    for batch in train:
        assert batch.frame is None
        assert torch.equal(batch.targets, targets[batch.index])
        for image, index in zip(batch.inputs["images"], batch.index.tolist(), strict=True):
            torch.manual_seed(key(7, 3, index))
            assert torch.equal(image, before(own.transform().first(samples.inputs[index]), own, augment))


def test_what_cannot_be_followed_is_refused():
    samples = spots()
    for name, value in (("mixup", 0.2), ("cutmix", 1.0), ("randaugment", 2)):
        assert f"augment.{name}={value}: points cannot follow it" in str(Point().refuses(Augment(**{name: value})))
    assert Point().refuses(Augment(9, 0.1, 0.1, 0.1, 0.5, erasing=0.5)) is None
    with pytest.raises(UserError, match=r"sample \d+: augment.randaugment=2: its operations do not tell"):
        next(iter(module(samples, Point(), Augment(randaugment=2)).loader("train", shuffle=True)))
    with pytest.raises(UserError, match="points lie at places in their inputs, and inputs of this kind have none"):
        KeyedDataset(samples, TablePreprocessing((), ()).transform(), seed=0, target=Point())


class Brightest(nn.Module):
    """Answers with the centre of brightness."""

    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(1))

    def forward(self, batch: Batch) -> Tensor:
        assert batch.frame is not None  # a head may ask it
        return brightest(batch.inputs["images"]) + self.zero

    def answers(self, batch: Batch, how: Any) -> Tensor:
        return self(batch)  # type: ignore[no-any-return]


class Pointing(Task):
    name, objective, takes, num_outputs = "pointing", "mae", Point, 2

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return (outputs - batch.targets).abs().sum(), torch.tensor(float(len(batch)))

    def predictions(self, outputs: Tensor) -> Tensor:
        return outputs

    def in_raw(self, predictions: Tensor, frame: Frame) -> Tensor:
        return frame.inverse().apply(predictions[:, None])[:, 0]

    def compared(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return predictions, targets

    def metrics(self, samples: int) -> MetricCollection:
        return MetricCollection({"mae": MeanAbsoluteError()})

    def diagnosis(self) -> Metric | None:
        return None

    def section(self, diagnosis: Tensor, split: str) -> dict[str, Any]:
        raise AssertionError("there is no diagnosis")

    def describe(self, predictions: Tensor, **settings: Any) -> list[dict[str, Any]]:
        return [{"x": x, "y": y} for x, y in predictions.tolist()]

    def worst(self, predictions: Tensor, targets: Tensor) -> list[dict[str, Any]]:
        far = (predictions - targets).abs().sum(1)
        said = {"prediction": "", "truth": "", "note": ""}
        return [{"position": i, "severity": float(far[i]), **said} for i in far.argsort(descending=True).tolist()]


def test_evaluation_is_in_the_networks_pixels_and_predictions_are_in_the_originals():
    samples = Samples(spots(4).inputs, spots(4).targets)
    data = module(samples, Point(), Augment())
    model, task = Brightest(), Pointing(data.spec)
    found = evaluate(model, task, data.loader("val", shuffle=False), 4, keep=2)
    assert 0 < found.figures()[0]["mae"] < 0.5
    for one in found.worst:
        back = task.in_raw(one["target"][None], one["frame"])[0]
        torch.testing.assert_close(back, samples.targets[one["index"]], atol=1e-2, rtol=0)
    records = Predictor(model, task, preprocessing()).predict([samples.inputs[i] for i in range(4)], batch_size=3)
    places = torch.tensor([[one["x"], one["y"]] for one in records])
    assert (places - samples.targets).abs().max() < 1.5  # one pixel of the network is up to 1.5 of the original


class Place(Head):
    """The centre of brightness, moved by what is learned."""

    def __init__(self, num_features: int, num_outputs: int, default_pool: str) -> None:
        super().__init__()
        self.shift = nn.Linear(1, num_outputs)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        assert features.maps is not None
        assert batch.frame is not None
        assert batch.frame.matrix.dtype == torch.float32
        return brightest(features.maps.float()) + self.shift(features.maps.new_ones(1, 1))


def run(folder: Path, *words: str) -> tuple[dict[str, Any], ModuleBackbone]:
    samples, stem = spots(), nn.Conv2d(3, 3, 1)
    nn.init.dirac_(stem.weight)
    nn.init.zeros_(stem.bias)
    network = ModuleBackbone(nn.Sequential(OrderedDict(stem=stem)), {"stem": ["stem"]}, 3, preprocessing())
    fixed = ["strategy=head_only", "trainer.max_epochs=3", "trainer.accelerator=cpu", "optimizer.lr=0.1"]
    config = ftlab.compose([*fixed, "data.batch_size=4", f"trusted_modules=[{__name__}]", *words])
    config["task"], config["head"] = ({"_target_": f"{__name__}.{name}"} for name in ("Pointing", "Place"))
    splits = Splits(samples, samples, samples, Point())
    return ftlab.train(config, run_dir=folder, data=splits, backbone=network), network


def test_a_run_of_targets_that_follow_ends_in_a_bundle_that_answers_in_the_originals_pixels(tmp_path: Path) -> None:
    report, network = run(tmp_path, "augment=light")
    assert [phase["cache"]["train"] for phase in report["phases"]] == ["live"]
    assert report["metrics"]["test"]["mae"] < 1
    predictor = ftlab.load(tmp_path / "bundle", backbone=network, trusted_modules=[__name__])
    places = torch.tensor([list(one.values()) for one in predictor.predict(spots().inputs)])
    assert (places - spots().targets).abs().max() < 3  # one pixel of the network is up to 1.9 of the original


def test_what_is_kept_behind_the_border_takes_its_targets_to_where_they_went(tmp_path: Path) -> None:
    reports = {mode: run(tmp_path / mode, f"cache={mode}")[0] for mode in ("off", "memory", "disk")}
    losses = {mode: [epoch["train"]["loss"] for epoch in report["history"]] for mode, report in reports.items()}
    assert losses["memory"] == pytest.approx(losses["off"], rel=1e-5)
    assert losses["disk"] == losses["memory"]
    assert [phase["cache"]["train"] for phase in reports["memory"]["phases"]] == ["memory"]


def test_variants_that_are_kept_have_each_its_own_targets(tmp_path: Path) -> None:
    report, _ = run(tmp_path, "cache=memory", "cache.views=2", "cache.dtype=uint8", "augment=light")
    assert report["phases"][0]["cache"]["train"] == "memory"
    # Mistaken for those of the other variant or of the raw image, targets would be pixels away.
    assert report["history"][-1]["train"]["loss"] < 2


def test_a_packed_frame_is_the_same_bit_by_bit():
    frame = Frame.stacked([Frame.of(((1 / 3, 0, -7.25), (0, 1e-7, 3)), (40_000, 17), (32, 38))] * 2)
    back = Frame.unpacked(frame.packed())
    assert torch.equal(back.matrix, frame.matrix)
    assert torch.equal(back.raw, frame.raw)
    assert torch.equal(back.size, frame.size)
