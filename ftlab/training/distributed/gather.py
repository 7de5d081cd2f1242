"""What all ranks hold, on each of them."""

import torch
from torch import Tensor, distributed


def gathered(own: Tensor) -> Tensor:
    """(ranks, ...): the tensor of every rank, in their order; alone, that of this process."""
    if not distributed.is_initialized():
        return own[None]
    found = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(found, own.contiguous())
    return torch.stack(found)
