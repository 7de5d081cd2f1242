"""What a sample is known by: its values, or the path of its file."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import torch

from ftlab.data.base import Samples, Splits
from ftlab.data.datasets import from_datasets
from ftlab.data.membership import digests
from ftlab.data.membership.dealing import membership
from ftlab.earlier import as_trained
from ftlab.inputs.images.files import ArrayImages, ImageFiles
from ftlab.inputs.sequences.steps import Steps
from ftlab.inputs.views import Selected
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels
from ftlab.targets.numbers import Numbers


def test_a_row_is_known_by_its_cells_in_any_order_and_however_numbers_are_written() -> None:
    rows = [{"a": 1.0, "b": "x"}, {"b": "x", "a": "1.00"}, {"a": 1.0, "b": None}, {"a": None, "b": "x"}]
    found = digests.of_inputs(rows, range(4))
    assert found is not None
    assert found.dtype == np.uint64
    assert found[0] == found[1]
    assert len(set(found.tolist())) == 3


def test_a_date_is_known_however_a_file_or_a_data_frame_writes_it() -> None:
    cells = ["2024-01-31", "2024-01-31 00:00:00", "31.01.2024", datetime(2024, 1, 31), pandas.Timestamp(2024, 1, 31)]
    found = digests.of_inputs([{"when": cell} for cell in (*cells, "2024-01-30", "31/01/2024")], range(7))
    assert found is not None
    assert len(set(found[:5].tolist())) == 1
    assert len(set(found.tolist())) == 3


def test_a_row_of_a_file_with_more_columns_is_known_by_those_that_the_run_saw() -> None:
    look = as_trained({"drop": ["sold", "x_*"], "target_columns": ["price"], "split_column": "fold"})
    row = {"a": "1", "sold": "2", "x_1": "3", "price": "4", "fold": "train"}
    known = digests.of_inputs([row], [0], look=look)
    assert known is not None
    assert known.tolist() == digests.of_inputs([{"a": 1.0}], [0]).tolist()  # type: ignore[union-attr]
    assert as_trained({"columns": ["x_*"]})(row) == {"x_1": "3"}
    assert as_trained({})("no row") == "no row"


def test_a_sequence_is_known_by_its_steps() -> None:
    series = np.array([[1.0], [np.nan]])
    steps = [Steps(("a", "b")), Steps(("ab",)), Steps(None, series, ("x",)), Steps(None, series, ("y",))]
    found = digests.of_inputs([*steps, Steps(None, series.copy(), ("x",))], range(5))
    assert found is not None
    assert len(set(found[:4].tolist())) == 4
    assert found[4] == found[2]


@dataclass
class Pair:
    text: str
    numbers: Any


def test_plain_values_of_any_kind_are_known_by_what_they_hold_and_objects_are_not() -> None:
    several = ["a b", "a  b", b"a b", 3, (3,), torch.zeros(2), torch.zeros(2, 1), np.zeros(2), Pair("a", [1.0])]
    found = digests.of_inputs([*several, "a b", torch.zeros(2), Pair("a", [1.0]), Pair("a", [2.0])], range(13))
    assert found is not None
    assert found[9:12].tolist() == [found[0], found[5], found[8]]
    assert len(set(found.tolist())) == 10
    assert digests.of_inputs(["a", Pair("a", object())], range(2)) is None


def test_an_image_in_memory_is_known_by_its_pixels_and_a_part_by_those_of_the_whole() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 4, 5, 3), np.uint8)
    pixels[5] = pixels[1]
    whole = digests.of_inputs(ArrayImages(pixels), range(6))
    part = digests.of_inputs(Selected(ArrayImages(pixels), [4, 5]), [1, 0])
    assert whole is not None
    assert part is not None
    assert part.tolist() == [whole[1], whole[4]]
    assert len(set(whole.tolist())) == 5


def test_a_file_is_known_by_its_path_below_the_root_and_changes_by_its_size_or_its_bytes(tmp_path: Path) -> None:
    for root in ("one", "two"):
        (tmp_path / root / "cat").mkdir(parents=True)
        (tmp_path / root / "cat" / "x.png").write_bytes(b"12")
    (tmp_path / "two" / "cat" / "x.png").write_bytes(b"13")
    files = [ImageFiles([tmp_path / root / "cat" / "x.png"]) for root in ("one", "two")]
    known = [digests.of_inputs(one, [0], str(tmp_path / root)) for one, root in zip(files, ("one", "two"), strict=True)]
    assert known[0] == known[1]
    assert digests.of_contents(files[0], [0], "size") == digests.of_contents(files[1], [0], "size")
    assert digests.of_contents(files[0], [0], "bytes") != digests.of_contents(files[1], [0], "bytes")
    (tmp_path / "two" / "cat" / "x.png").write_bytes(b"123")
    assert digests.of_contents(files[0], [0], "size") != digests.of_contents(files[1], [0], "size")
    assert digests.of_contents(files[0], [0], "none") == 0


def test_targets_are_known_by_their_names() -> None:
    classes = digests.of_targets(Classes(("b", "c")), torch.tensor([0, 1, 1]))
    assert classes.tolist() == digests.of_targets(Classes(("a", "b", "c")), torch.tensor([1, 2, 2])).tolist()
    labels = digests.of_targets(Labels(("b", "c")), torch.tensor([[1.0, 0], [1, 1], [0, 0]]))
    more = digests.of_targets(Labels(("a", "b", "c")), torch.tensor([[0, 1.0, 0], [0, 1, 1], [0, 0, 0]]))
    assert labels.tolist() == more.tolist()
    assert len(set(labels.tolist())) == 3
    numbers = torch.tensor([[0.0, 1.5], [2.0, 1.5]])
    assert (
        digests.of_targets(Numbers(("h", "w")), numbers).tolist()
        == digests.of_targets(Numbers(("w", "h")), numbers[:, [1, 0]]).tolist()
    )


def test_data_sets_of_python_are_known_by_index() -> None:
    pairs = [(torch.zeros(3, 4, 4, dtype=torch.uint8), place % 2) for place in range(6)]
    splits = from_datasets(pairs, test=pairs[:3])
    found, blind = membership(splits)
    assert blind
    assert len(set(found.samples.tolist())) == 9
    assert not membership(Splits(Samples([{"x": 1.0}], torch.tensor([0])), None, None, Classes(("a", "b"))))[1]
