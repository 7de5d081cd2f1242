"""Maps of a network as the mask of a raw image, which it saw at once or in tiles.

Shapes: k classes, g and v height and width of a head's maps, h and w those of a raw image.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ftlab.frames import Frame, Size, Window

AT_ONCE = 2**24  # numbers of an image that are enlarged at once


class RawMask(NamedTuple):
    """A prediction in the pixels of its raw image."""

    classes: Tensor  # (h, w) uint8, or int64 of more than 256 classes
    unseen: Tensor  # () share of the pixels that the network did not see; each has the class of the nearest one it saw


def in_raw(logs: Tensor, frame: Frame) -> RawMask:
    """Logs (k, g, v) that cover the network's input, as the mask of the raw image: interpolated once, at its pixels."""
    (height, width), parts, seen = frame.raw.tolist(), [], 0
    for start, end in bands((height, width), len(logs)):
        found, inside = sampled(logs, frame, (start, end), (0, width))
        parts.append(chosen(found))
        seen += int(inside.sum())
    return RawMask(torch.cat(parts), torch.tensor(1 - seen / (height * width)))


def joined(several: Sequence[Tensor], frame: Frame, windows: Sequence[Window], size: Size) -> RawMask:
    """Of each pixel the class whose mean probability over the tiles that show it is the highest.

    several: logs (k, g, v) of each tile; frame: from the tiles to the network's inputs; size: of the image.
    """
    parts, seen = [], torch.zeros(size, dtype=torch.bool)
    for start, end in bands(size, len(several[0])):
        total = torch.zeros(len(several[0]), end - start, size[1], device=several[0].device)
        times = torch.zeros(end - start, size[1], device=total.device)
        for place, (logs, tile) in enumerate(zip(several, windows, strict=True)):
            first, last = max(start, tile.top), min(end, tile.top + tile.height)
            if first >= last:
                continue
            rows = (first - tile.top, last - tile.top)
            found, inside = sampled(logs, frame.of_one(place), rows, (0, tile.width))
            here = (slice(first - start, last - start), slice(tile.left, tile.left + tile.width))
            total[:, *here] += found.exp()
            times[here] += 1
            seen[first:last, here[1]] |= inside.cpu()
        parts.append(chosen(total / times.clamp(min=1)))
    return RawMask(torch.cat(parts), 1 - seen.float().mean())


def bands(size: Size, classes: int) -> Iterator[tuple[int, int]]:
    """Runs of rows, first and behind the last, of which AT_ONCE numbers are held."""
    height, width = size
    rows = max(1, AT_ONCE // (classes * width))
    yield from ((start, min(start + rows, height)) for start in range(0, height, rows))


def sampled(logs: Tensor, frame: Frame, rows: tuple[int, int], columns: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Logs at the middles of a raw image's pixels (k, rows, columns), and whether the network saw each."""
    down, across = (torch.arange(*span, device=logs.device) + 0.5 for span in (rows, columns))
    high, wide = frame.size.tolist()
    places = frame.apply(torch.cartesian_prod(down, across).flip(-1)).view(len(down), len(across), 2)
    grid = 2 * places / torch.tensor([wide, high], device=logs.device) - 1
    found = torch.nn.functional.grid_sample(
        logs[None], grid[None].to(logs), mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[0], (grid.abs() <= 1).all(-1)


def chosen(scores: Tensor) -> Tensor:
    """(h, w) the class with the highest of scores (k, h, w)."""
    return scores.argmax(0).to(torch.uint8 if len(scores) <= 256 else torch.int64)
