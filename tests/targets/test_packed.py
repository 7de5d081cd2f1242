"""Files of masks are decoded once, as long as what they hold has room."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ftlab.errors import UserError
from ftlab.targets.mask_files import MaskFiles, Reading, Seen
from ftlab.targets.packed import Packed


def written(folder: Path) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(2)]
    for number, path in enumerate(paths):
        values = np.random.default_rng(number).integers(0, 2, (30, 40), dtype=np.uint8)
        Image.fromarray(values * 7).save(path)
    return paths


def test_a_mask_is_there_again_without_its_file_and_nobody_can_change_it(tmp_path: Path) -> None:
    paths = written(tmp_path)
    masks = MaskFiles(paths, Reading((0, 7)))
    before = [masks[0], masks[1]]
    masks[0].fill_(5)
    for path in paths:
        path.unlink()
    again = masks.select(torch.tensor([1, 0]))
    assert torch.equal(again[0], before[1])
    assert torch.equal(again[1], before[0])
    assert torch.equal(masks.renumbered(torch.tensor([1, 0]), 2)[0], 1 - before[0])


def test_what_has_no_room_is_read_again(tmp_path: Path) -> None:
    paths = written(tmp_path)
    masks = MaskFiles(paths, Reading((0, 7)), seen=Seen(masks=Packed(budget=20)))
    assert torch.equal(masks[0], masks[0])
    assert not masks.seen.masks.masks
    paths[0].unlink()
    with pytest.raises(UserError, match=r"0\.png"):
        masks[0]


def test_numbers_of_more_than_a_byte_stay_what_they_are() -> None:
    packed, mask = Packed(), torch.arange(12).view(3, 4) * 100_000
    packed.put("a", mask)
    found = packed.get("a")
    assert found is not None
    assert found.dtype == torch.int64
    assert torch.equal(found, mask)
