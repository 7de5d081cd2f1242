"""Scenes that are composed of scikit-learn's handwritten digits: something to detect and to segment, nothing to load.

Shapes: n scenes, s pixels of a side, m digits of a scene.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.sources.digits import DIGITS, images
from ftlab.data.splits import split_indices
from ftlab.errors import UserError
from ftlab.inputs.images.files import ArrayImages
from ftlab.targets.boxes import BLANK, Boxes
from ftlab.targets.masks import ArrayMasks, Masks
from ftlab.targets.ragged import Parts, Ragged
from ftlab.targets.texts import Texts, Written

SHARES = (0.7, 0.15, 0.15)  # of the digits that scenes of train, val and test are made of
TRIES = 50  # places that are tried for a digit, before the scene goes without it
INK = 0.4  # of a digit's pixel, from which it belongs to the digit
GROUND = "background"  # the class of pixels that are of no digit
Box = tuple[int, int, int, int]  # left, top, right, bottom
PLACES = (
    ("at the top left", "at the top", "at the top right"),
    ("on the left", "in the middle", "on the right"),
    ("at the bottom left", "at the bottom", "at the bottom right"),
)
CONTRAST = 70  # of the grey of a digit's colour and of the ground beneath, in 255


@dataclass(frozen=True)
class Scene:
    pixels: np.ndarray  # (s, s, 3) uint8
    boxes: np.ndarray  # (m, 4) float32, around the ink of each digit, also where another lies on it
    labels: np.ndarray  # (m,) int64
    mask: np.ndarray  # (s, s) uint8: 0 the ground, else the digit on top plus 1


class DigitScenes(Source):
    """Boxes, or for a task that takes these masks, or sentences that say which digit is where; drawn by the seed.

    Each of the 1,797 digits is in scenes of one split only; grounds are textured at random.
    """

    def __init__(
        self,
        scenes: Sequence[int] = (400, 100, 100),
        side: int = 128,
        digits: Sequence[int] = (3, 8),
        digit_side: Sequence[int] = (16, 40),
        overlap: float = 0.3,
    ) -> None:
        """Raises: UserError for numbers of which no scene can be made."""
        self.scenes, self.side, self.overlap = tuple(scenes), side, overlap
        self.digits, self.sides = tuple(digits), tuple(digit_side)
        if len(self.scenes) != 3 or min(self.scenes) < 0 or not self.scenes[0]:
            raise UserError(
                f"data.scenes={list(scenes)}: accepted are three numbers, of train (1 or more), val and test"
            )
        for key, pair, most in (("digits", self.digits, 100), ("digit_side", self.sides, side)):
            if len(pair) != 2 or not 1 <= pair[0] <= pair[1] <= most:
                raise UserError(f"data.{key}={list(pair)}: accepted is [least, most], from 1 to {most}")
        if not 0 <= overlap <= 1:
            raise UserError(f"data.overlap={overlap}: accepted is 0 (none) to 1 (any)")

    def survey(self, seed: int) -> Splits:
        pixels, labels = images()
        parts, _ = split_indices(len(labels), torch.from_numpy(labels), SHARES, seed)
        made: list[Samples | None] = []
        mark = MARKS.get(self.target_kind, boxes_of)
        for number, (split, places, count) in enumerate(zip(("train", "val", "test"), parts, self.scenes, strict=True)):
            draw = np.random.default_rng([seed, number])
            drawn = [self.scene(draw, pixels[places], labels[places]) for _ in range(count)]
            names = [f"{split}/{place}" for place in range(count)]
            inputs = ArrayImages(np.stack([scene.pixels for scene in drawn])) if drawn else None
            made.append(None if inputs is None else Samples(inputs, mark(drawn), names))
        train, val, test = made
        assert train is not None  # there is one scene or more
        said = "data=digit_scenes is composed for a try: digits that were put on textured grounds, no photographs"
        kinds = {Masks.kind: Masks((GROUND, *DIGITS.classes)), Texts.kind: Texts()}
        return Splits(train, val, test, kinds.get(self.target_kind, Boxes(DIGITS.classes)), (said,))

    def scene(self, draw: np.random.Generator, pixels: np.ndarray, labels: np.ndarray) -> Scene:
        ground = texture(draw, self.side)
        mask = np.zeros((self.side, self.side), np.uint8)
        boxes: list[Box] = []
        names: list[int] = []
        for _ in range(int(draw.integers(self.digits[0], self.digits[1] + 1))):
            which = int(draw.integers(len(labels)))
            ink = enlarged(pixels[which], int(draw.integers(self.sides[0], self.sides[1] + 1)))
            place = self.free(draw, ink, boxes)
            if place is None:
                continue
            top, left, box = place
            inside = slice(top, top + len(ink)), slice(left, left + len(ink))
            colour = contrasting(draw, ground[inside])
            ground[inside] += (colour - ground[inside]) * ink[..., None]
            mask[inside][ink >= INK] = labels[which] + 1
            boxes.append(box)
            names.append(labels[which])
        noisy = ground + draw.normal(0, 6, ground.shape)
        return Scene(
            noisy.clip(0, 255).astype(np.uint8),
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(names, np.int64),
            mask,
        )

    def free(self, draw: np.random.Generator, ink: np.ndarray, boxes: Sequence[Box]) -> tuple[int, int, Box] | None:
        """Top and left of a digit, and its box, where it covers no other by more than the share `overlap`."""
        rows, columns = (np.flatnonzero((ink >= INK).any(axis)) for axis in (1, 0))
        for _ in range(TRIES):
            top, left = (int(draw.integers(0, self.side - len(ink) + 1)) for _ in range(2))
            box = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
            if all(shared(box, other) <= self.overlap for other in boxes):
                return top, left, box
        return None


def masks_of(drawn: Sequence[Scene]) -> ArrayMasks:
    return ArrayMasks(torch.from_numpy(np.stack([scene.mask for scene in drawn])))


def boxes_of(drawn: Sequence[Scene]) -> Ragged:
    each: list[Parts] = []
    for scene in drawn:
        boxes, labels = torch.from_numpy(scene.boxes), torch.from_numpy(scene.labels)
        each.append({"boxes": boxes, "labels": labels, "crowd": torch.zeros(len(labels), dtype=torch.bool)})
    return Ragged.of(each, BLANK)


def sentences_of(drawn: Sequence[Scene]) -> Written:
    return Written([(sentence(scene),) for scene in drawn])


def sentence(scene: Scene) -> str:
    """Which digits there are from left to right, and in which ninth of the scene the middle of each lies."""
    if not len(scene.labels):
        return "nothing"
    middles = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2
    said = []
    for place in middles[:, 0].argsort(kind="stable").tolist():
        across, down = (min(2, int(3 * middles[place, axis] / len(scene.mask))) for axis in (0, 1))
        said.append(f"a {DIGITS.classes[scene.labels[place]]} {PLACES[down][across]}")
    return ", ".join(said[:-1]) + (" and " if said[:-1] else "") + said[-1]


MARKS: dict[str, Callable[[Sequence[Scene]], Any]] = {Masks.kind: masks_of, Texts.kind: sentences_of}


def texture(draw: np.random.Generator, side: int) -> np.ndarray:
    """(s, s, 3) float32: clouds of colour of two sizes."""
    found = np.zeros((side, side, 3), np.float32)
    for cells, strength in ((4, 60), (16, 25)):
        small = Image.fromarray(draw.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        found += strength * (np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255 - 0.5)
    return found + draw.uniform(80, 176, 3).astype(np.float32)


def enlarged(pixels: np.ndarray, side: int) -> np.ndarray:
    """Ink from 0 to 1 of a digit, (8, 8) to (side, side)."""
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255


def contrasting(draw: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """A colour (3,) that stands out from the mean grey of the ground (h, w, 3)."""
    grey = ground.mean()
    while True:
        colour = draw.uniform(0, 256, 3).astype(np.float32)
        if abs(colour.mean() - grey) >= CONTRAST:
            return colour


def shared(box: Box, other: Box) -> float:
    """How much of the smaller of two boxes the other covers."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return max(0, width) * max(0, height) / smaller
