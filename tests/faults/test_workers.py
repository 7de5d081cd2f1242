"""An image that goes away or breaks while batches are made: the error names it, in this process and from workers."""

from pathlib import Path

import pytest

from ftlab.data.module import DataModule, read
from ftlab.data.sources.image_folder import ImageFolder
from ftlab.errors import UserError
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.preprocessing import Preprocessing
from tests.data.pictures import write_classes


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("change", ["deleted", "cut", "emptied"])
def test_an_image_that_breaks_in_the_middle_of_a_run_is_named(tmp_path: Path, workers: int, change: str) -> None:
    write_classes(tmp_path, cat=6, dog=6)
    splits, spec = read(ImageFolder(str(tmp_path), (1, 0, 0)), seed=0)
    preprocessing = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3)
    loader = DataModule(splits, spec, preprocessing, Augment(), 4, workers, seed=0).loader("train", shuffle=False)
    assert len(list(loader)) == 3  # whole in the first epoch
    last = tmp_path / "dog" / "5.png"
    if change == "deleted":
        last.unlink()
    else:
        last.write_bytes(last.read_bytes()[:40] if change == "cut" else b"")
    batches = iter(loader)
    assert len(next(batches)) == 4
    with pytest.raises(UserError, match=r"dog/5.png(: not a readable image| is not there)") as caught:
        list(batches)
    assert "Traceback" not in str(caught.value)
