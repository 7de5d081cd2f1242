"""Which tokens of a text are hidden, and what stands in their place.

Source: Devlin et al. 2019, "BERT", section 3.1 and its code: of the tokens that are asked for 80 % are replaced by the
mask token, 10 % by one at random, and 10 % are left, so that the network has to know every token by those around it.

Shapes: t tokens.
"""

import torch
from torch import Tensor

from ftlab.inputs.base import SEEN

MASKED, RANDOM = 0.8, 0.1  # the others stay


def masked(tokens: Tensor, free: Tensor, mask: int, vocabulary: int, share: float) -> tuple[Tensor, Tensor]:
    """(tokens with some replaced, the targets: the true ones there, SEEN elsewhere), both (t,) int64.

    tokens: (t,) int64; free: (t,) bool, those that may be asked for; `share` of these is, and at least one. Draws from
    torch's generator.
    """
    places = torch.where(free)[0]
    count = min(len(places), max(1, round(share * len(places))))
    chosen = places[torch.randperm(len(places))[:count]]
    targets = torch.full_like(tokens, SEEN)
    targets[chosen] = tokens[chosen]
    draw, others = torch.rand(count), torch.randint(vocabulary, (count,))
    put = torch.where(draw < MASKED, mask, torch.where(draw < MASKED + RANDOM, others, tokens[chosen]))
    return tokens.index_put((chosen,), put), targets
