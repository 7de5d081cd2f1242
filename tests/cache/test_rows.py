import numpy as np
import pytest
import torch

from ftlab.cache.rows import Rows, bytes_of
from ftlab.errors import UserError

PLACES = torch.tensor([3, 1])


def kept(values: torch.Tensor, how: str) -> torch.Tensor:
    """What comes back of rows that were put in at 3 and 1."""
    shape = values.shape[1:]
    array = np.zeros((5, bytes_of(shape, values.dtype, how)), np.uint8)
    rows = Rows(array, shape, values.dtype, how)
    rows.put(PLACES, values)
    assert not array[[0, 2, 4]].any()
    return rows.get(PLACES)


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool]
)
def test_exact_rows_come_back_bit_for_bit(dtype: torch.dtype) -> None:
    values = (100 * torch.randn(2, 3, 4)).to(dtype)
    assert torch.equal(kept(values, "float32"), values)


@pytest.mark.parametrize(("how", "digits"), [("float16", 11), ("bfloat16", 8)])
def test_half_the_bytes_keep_so_many_binary_digits(how: str, digits: int) -> None:
    values = torch.randn(2, 1000)
    back = kept(values, how)
    assert back.dtype == torch.float32
    assert ((back - values).abs() <= values.abs() * 2.0**-digits + 1e-7).all()
    assert (back - values).abs().max() > 0
    assert bytes_of((1000,), torch.float32, how) == 2000


def test_a_byte_a_value_is_at_most_half_a_step_off() -> None:
    values = torch.randn(2, 1000)
    values[1] = 7.0  # no range to divide
    back = kept(values, "uint8")
    step = (values[0].max() - values[0].min()) / 255
    assert (back[0] - values[0]).abs().max() <= 0.5001 * step
    assert torch.equal(back[1], values[1])
    assert bytes_of((1000,), torch.float32, "uint8") == 1008


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
@pytest.mark.parametrize("how", ["float16", "uint8"])
def test_whole_numbers_and_masks_are_never_coarser(dtype: torch.dtype, how: str) -> None:
    values = torch.arange(24).view(2, 3, 4).to(dtype)
    assert torch.equal(kept(values, how), values)


def test_a_value_too_large_for_float16_is_told_and_not_made_infinite() -> None:
    with pytest.raises(UserError, match=r"cache\.dtype=float16.*65504.*bfloat16"):
        kept(torch.full((2, 3), 7e4), "float16")
