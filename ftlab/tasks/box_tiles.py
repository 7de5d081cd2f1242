"""Boxes that were found in the tiles of an image, as boxes of the whole image.

What two tiles share is seen twice, and an object at the rim of a tile in part. Two boxes of one class are of one object
if, within what both of their tiles show, they are the same.

Shapes: d boxes that are found in all tiles.
"""

from collections.abc import Sequence

import numpy as np
import torch

from ftlab.frames import Size, Window
from ftlab.targets.ragged import Parts

RIM = 0.02  # of a tile's side: a box that ends so near to where the tile was cut goes on beyond it


def joined(several: Sequence[Parts], windows: Sequence[Window], size: Size, overlap: float) -> Parts:
    """several: of each tile boxes in its pixels, scores and labels; size: of the image.

    Boxes that are whole come first, each group by its score: of two boxes of one object the later one is left out,
    but where both are cut, their union stays. overlap: intersection over union from which two boxes are the same.
    """
    boxes = np.concatenate([moved(one, window) for one, window in zip(several, windows, strict=True)])
    scores, labels = (torch.cat([one[name] for one in several]) for name in ("scores", "labels"))
    tile = np.repeat(np.arange(len(several)), [len(one["scores"]) for one in several])
    spans = np.array([(w.left, w.top, w.left + w.width, w.top + w.height) for w in windows], float)
    ends = cut(boxes, spans[tile], size)
    order = np.lexsort((-scores.numpy(), ends))
    kept = np.zeros(len(boxes), bool)
    reach = spans[tile].copy()  # of a box that is kept: what all tiles show that it was found in
    for place in order.tolist():
        others = np.flatnonzero(kept & (labels.numpy() == int(labels[place])) & (tile != tile[place]))
        same = others[shared(boxes[others], reach[others], boxes[place], reach[place]) >= overlap]
        if not len(same):
            kept[place] = True
        elif ends[same].all():  # parts of an object that no tile shows as a whole
            first = same[0]
            boxes[first] = around(boxes[first], boxes[place])
            reach[first] = around(reach[first], reach[place])
    places = np.flatnonzero(kept)
    chosen = torch.from_numpy(places[np.argsort(-scores.numpy()[places], kind="stable")])
    return {"boxes": torch.from_numpy(boxes).float()[chosen], "scores": scores[chosen], "labels": labels[chosen]}


def moved(one: Parts, window: Window) -> np.ndarray:
    """(m, 4) the boxes of a tile in pixels of the image."""
    return one["boxes"].double().numpy() + np.array([window.left, window.top] * 2)


def cut(boxes: np.ndarray, spans: np.ndarray, size: Size) -> np.ndarray:
    """(d,) whether a box ends at a side of its tile that is no side of the image."""
    rim = RIM * (spans[:, 2:] - spans[:, :2])
    inner = np.concatenate([spans[:, :2] > 0, spans[:, 2:] < np.array(size[::-1])], 1)
    near = np.concatenate([boxes[:, :2] - spans[:, :2] <= rim, spans[:, 2:] - boxes[:, 2:] <= rim], 1)
    return (inner & near).any(1)


def shared(boxes: np.ndarray, reach: np.ndarray, box: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(m,) intersection over union of each of boxes (m, 4) with `box`, within what both of their tiles show."""
    low, high = np.maximum(reach[:, :2], own[:2]), np.minimum(reach[:, 2:], own[2:])
    one = np.concatenate([boxes[:, :2].clip(low, high), boxes[:, 2:].clip(low, high)], 1)
    other = np.concatenate([box[:2].clip(low, high), box[2:].clip(low, high)], 1)
    sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    both = sides.clip(min=0).prod(1)
    area = sum((each[:, 2:] - each[:, :2]).clip(min=0).prod(1) for each in (one, other))
    return both / np.maximum(area - both, 1e-9)


def around(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.concatenate([np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])])
