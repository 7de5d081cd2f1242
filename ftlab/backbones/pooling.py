"""Features to one vector a sample.

Shapes: b batch, c channels, h height, w width, t tokens, d channels after the neck.
"""

import torch
from torch import Tensor

from ftlab.backbones.base import Features
from ftlab.errors import UserError, choices
from ftlab.inputs.texts.windows import begins, ends

POOLINGS = ("auto", "average", "max", "average_max", "token", "last", "layers", "flatten")
NO_ONE_SIZE = "the inputs are not of one length; accepted: auto, average, max, average_max, last, layers."


def check_pool(how: str) -> str:
    """Raises: UserError for a pooling that does not exist."""
    if how not in POOLINGS:
        raise UserError(f"head.pool={how} is unknown; {choices(how, POOLINGS)}")
    return how


def pool(features: Features, how: str, own: str = "average") -> Tensor:
    """(b, d): pooled over positions, then through the backbone's neck.

    auto: `own`, the backbone's own pooling; average, max; average_max: the mean of both; token: the class token; last:
    the last position, which alone has seen all others in a network that reads from left to right; layers: the averages
    of the last layer and of some below, one after the other, (b, layers * d);
    flatten: all positions one after the other, (b, positions * d).
    Of a text in several windows token and last take the mean of those of each window.
    Class and register tokens are left out of all but token, as in timm's global_pool_nlc; so are tokens that only fill
    the batch, as the mask says. One vector stays as it is.

    Raises: UserError if the features have no such pooling.
    """
    if features.vector is not None:
        if how != "auto":
            raise UserError(f"head.pool={how}: this backbone pools by itself and gives one vector; accepted: auto.")
        return features.neck(features.vector)
    if how == "flatten" and features.mask is not None:
        raise UserError(f"head.pool=flatten: {NO_ONE_SIZE}")
    if how == "flatten":  # the neck is of one position, as the pooled vector is one
        positions = as_positions(features)
        return features.neck(positions.flatten(0, 1)).unflatten(0, positions.shape[:2]).flatten(1)
    return features.neck(pooled(features, own if how == "auto" else how))


def pooled(features: Features, how: str) -> Tensor:
    if how == "token":
        return class_token(features)
    positions = as_positions(features)
    match how:
        case "average":
            return mean(positions, features.mask)
        case "max":
            return largest(positions, features.mask)
        case "average_max":
            return 0.5 * (mean(positions, features.mask) + largest(positions, features.mask))
        case "last":
            return last(positions, features.mask)
        case "layers":
            return torch.cat([mean(layer, features.mask) for layer in (positions, *features.below)], 1)
    raise UserError(f"head.pool={how} is unknown; {choices(how, POOLINGS)}")


def mean(positions: Tensor, mask: Tensor | None) -> Tensor:
    """(b, t, c) to (b, c), over the positions where mask (b, t) is True."""
    if mask is None:
        return positions.mean(dim=1)
    real = mask[:, :, None].to(positions.dtype)
    return (positions * real).sum(dim=1) / real.sum(dim=1)


def largest(positions: Tensor, mask: Tensor | None) -> Tensor:
    """(b, t, c) to (b, c), over the positions where mask (b, t) is True."""
    return (positions if mask is None else positions.masked_fill(~mask[:, :, None], -torch.inf)).amax(dim=1)


def last(positions: Tensor, mask: Tensor | None) -> Tensor:
    """(b, t, c) to (b, c): of the last position where mask (b, t) is True; of windows the mean of the last of each."""
    if mask is None:
        return positions[:, -1]
    return mean(positions, ends(mask))


def class_token(features: Features) -> Tensor:
    if features.tokens is None or not (features.prefix_tokens or features.begins):
        raise UserError("head.pool=token: this backbone has no class token; accepted: auto, average, max, average_max.")
    if features.mask is None or features.prefix_tokens:
        return features.tokens[:, 0]
    return mean(features.tokens, begins(features.mask))


def as_positions(features: Features) -> Tensor:
    """(b, h * w, c) of maps, (b, t - prefix_tokens, c) of tokens."""
    if features.maps is not None:
        return features.maps.flatten(2).transpose(1, 2)
    if features.tokens is not None:
        return features.tokens[:, features.prefix_tokens :]
    raise UserError("The backbone gave neither maps, tokens nor a vector.")
