"""Training samples in the report: what training gets of them, shown as each kind of input says."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ftlab.blocks import Block, Gallery, Note, Table
from ftlab.data.base import Samples, Splits
from ftlab.data.module import DataModule, describe
from ftlab.data.seen import COLUMNS, SAMPLES, training_samples
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import InputPreprocessing, Inputs
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.inputs.sequences.preprocessing import Channel, SequencePreprocessing
from ftlab.inputs.sequences.steps import Layout, Steps
from ftlab.inputs.tables.preprocessing import CategoryColumn, NumberColumn, TablePreprocessing
from ftlab.reports.blocks.draw import html
from ftlab.targets.classes import Classes
from ftlab.targets.numbers import Numbers

SIZE = Preprocessing((16, 16), (0.5, 0.4, 0.3), (0.25, 0.3, 0.2))
VARIED = Augment(rotation=20, horizontal_flip=0.5, erasing=0.5)
PLAIN = Augment()


def noise(count: int, side: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 256, (3, side, side), dtype=torch.uint8, generator=generator) for _ in range(count)]


def module(own: InputPreprocessing, inputs: Inputs, augment: Augment = PLAIN) -> DataModule:
    train = Samples(inputs, torch.arange(len(inputs)) % 2, [f"s/{place}" for place in range(len(inputs))])
    splits, spec = describe("mine", Splits(train, None, None, Classes(("cat", "dog")), kind=own.kind), seed=0)
    return DataModule(splits, spec, own, augment, batch_size=20, num_workers=0, seed=3)


def rows_of(blocks: Sequence[Block]) -> list[dict[str, object]]:
    (table,) = (block for block in blocks if isinstance(block, Table))
    names = [getattr(column, "name", column) for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def test_they_are_what_the_first_batch_of_training_holds_and_no_generator_is_touched() -> None:
    data = module(SIZE, noise(20, 12), VARIED)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    found = list(data.first_seen(5))
    assert torch.equal(torch.get_rng_state(), before)
    batch = next(iter(data.loader("train", shuffle=True)))
    assert [name for name, _, _ in found] == [f"s/{place}" for place in batch.index[:5].tolist()]
    assert torch.equal(torch.stack([fields["images"] for _, fields, _ in found]), batch.inputs["images"][:5])
    assert [int(target) for _, _, target in found] == batch.targets[:5].tolist()
    plain = list(replace_augment(data, PLAIN).first_seen(5))
    assert not torch.equal(plain[0][1]["images"], found[0][1]["images"])


def replace_augment(data: DataModule, augment: Augment) -> DataModule:
    return DataModule(data.splits, data.spec, data.preprocessing, augment, 20, 0, data.seed)


def test_an_image_is_shown_with_its_normalisation_undone_and_its_label() -> None:
    raw = noise(4, 16)
    blocks = training_samples(module(SIZE, raw))
    (shown,) = (block for block in blocks if isinstance(block, Gallery))
    assert sorted(sample.name for sample in shown.samples) == [f"s/{place}" for place in range(4)]
    for sample in shown.samples:
        place = int(sample.name[2:])
        assert sample.truth == ("cat", "dog")[place % 2]
        pixels = np.asarray(sample.image)
        assert pixels.shape == (160, 160, 3)  # each of the 16 pixels a square of 10
        assert abs(pixels[5::10, 5::10].astype(int) - raw[place].permute(1, 2, 0).numpy().astype(int)).max() <= 1
        assert (pixels[0:10, 0:10] == pixels[0, 0]).all()


def test_the_whole_gallery_stays_small_whatever_is_on_the_images() -> None:
    blocks = training_samples(module(replace(SIZE, size=(224, 224)), noise(30, 224)))
    text = "".join(map(html, blocks))
    assert len(re.findall("<img", text)) == SAMPLES
    assert len(text) < 150_000


def test_the_page_says_which_samples_these_are_and_what_was_done_to_them() -> None:
    def said(augment: Augment) -> str:
        (note,) = (block for block in training_samples(module(SIZE, noise(4, 12), augment)) if isinstance(block, Note))
        return note.text

    plain = "The first 4 of epoch 1 with their targets, after preprocessing; 16 x 16 pixels, normalisation undone."
    assert said(PLAIN) == plain
    assert said(VARIED) == plain.replace("preprocessing", "preprocessing and augmentation")
    assert said(Augment(mixup=0.2)) == f"{plain} Batches are mixed after that (augment.mixup)."


def test_a_row_is_shown_as_the_numbers_and_categories_that_the_network_gets() -> None:
    ages, towns = NumberColumn("age", 30.0, 10.0, 20.0, True), CategoryColumn("town", ("Oslo", "Rome"))
    own = TablePreprocessing((ages, NumberColumn("size", 1.0, 2.0, 1.0, False)), (towns,))
    given = [
        {"age": 45, "size": 0, "town": "Rome"},
        {"age": None, "size": 2, "town": "Lima"},
        {"age": 30, "size": 1, "town": None},
    ]
    blocks = training_samples(module(own, given))
    rows = {row["sample"]: row for row in rows_of(blocks)}
    assert rows["s/0"] == {"sample": "s/0", "target": "cat", "age": "1.50", "size": "-0.50", "town": "Rome"}
    assert rows["s/1"] == {
        "sample": "s/1",
        "target": "dog",
        "age": "-1.00 (missing)",
        "size": "0.50",
        "town": "(other)",
    }
    assert rows["s/2"] == {"sample": "s/2", "target": "cat", "age": "0.00", "size": "0.00", "town": "(missing)"}
    assert own.seen_as == "numbers are standard deviations from the mean of train, categories of few rows are (other)"
    assert TablePreprocessing((), (towns,)).seen_as == "categories of few rows are (other)"


def test_columns_beyond_those_that_are_shown_are_counted() -> None:
    own = TablePreprocessing(tuple(NumberColumn(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(COLUMNS + 3)), ())
    blocks = training_samples(module(own, [dict.fromkeys(own.names, 1.0)] * 3))
    assert list(rows_of(blocks)[0]) == ["sample", "target", *own.names[:COLUMNS]]
    assert blocks[-1] == Note("3 more columns are not shown.")


def test_several_targets_are_named() -> None:
    own = TablePreprocessing((NumberColumn("x", 0.0, 1.0, 0.0, False),), ())
    train = Samples([{"x": 1.0}, {"x": 2.0}], torch.tensor([[1.0, 20.0], [3.0, 40.0]]), ["a", "b"])
    splits, spec = describe("mine", Splits(train, None, None, Numbers(("price", "tax")), kind="table"), seed=0)
    blocks = training_samples(DataModule(splits, spec, own, PLAIN, 2, 0, 0))
    assert {row["sample"]: row["target"] for row in rows_of(blocks)} == {"a": "1 20", "b": "3 40"}
    assert any("targets (price, tax)" in block.text for block in blocks if isinstance(block, Note))


def test_a_sequence_is_shown_by_its_first_steps() -> None:
    own = SequencePreprocessing("word", ("a", "b"), (Channel("x", 1.0, 2.0),), 13, Layout(None, None, None))
    long = Steps(("a", "zebra", *"b" * 12), np.arange(14.0)[:, None], ("x",))
    short = Steps(("b",), np.ones((1, 1)), ("x",))
    rows = {row["sample"]: row for row in rows_of(training_samples(module(own, [long, short])))}
    first = [f"{(place - 1) / 2:.2f}" for place in range(12)]
    assert rows["s/0"] == {
        "sample": "s/0",
        "target": "cat",
        "steps": "13",  # of 14: the rest is cut off
        "tokens": " ".join(["a", "(other)", *"b" * 10, "..."]),
        "x": " ".join([*first, "..."]),
    }
    assert rows["s/1"] == {"sample": "s/1", "target": "dog", "steps": "1", "tokens": "b", "x": "0.00"}
