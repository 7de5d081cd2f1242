"""Masks of tiles, cut on access out of the masks of whole images.

Shapes: n tiles, k classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ftlab.errors import UserError
from ftlab.frames import Window
from ftlab.targets.mask_rows import MaskRows, ignored


class TileMasks(MaskRows):
    """The mask that was cut last stays, since its other tiles are usually asked for next."""

    def __init__(
        self,
        rows: MaskRows,
        of: Tensor,
        windows: Sequence[Window],
        owned: Sequence[Window | None],
        classes: int,
    ) -> None:
        """of: (n,) which of `rows` each window is of. owned: beyond it the pixels of a tile are ignored; None: none
        are. classes: how many there are."""
        self.rows, self.of, self.classes = rows, of, classes
        self.windows, self.own = list(windows), list(owned)
        self._last: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, place: int) -> Tensor:
        window, own = self.windows[place], self.own[place]
        top, left, height, width = window
        tile = self._whole(int(self.of[place]))[top : top + height, left : left + width].clone()
        if own is None:
            return tile
        kept = torch.full_like(tile, ignored(self.classes))
        rows, columns = slice(own.top - top, own.top - top + own.height), slice(own.left - left, None)
        columns = slice(columns.start, columns.start + own.width)
        kept[rows, columns] = tile[rows, columns]
        return kept

    def _whole(self, place: int) -> Tensor:
        if self._last is None or self._last[0] != place:
            self._last = place, self.rows[place]
        return self._last[1]

    def select(self, places: Tensor) -> "TileMasks":
        chosen = places.tolist()
        own = [self.own[place] for place in chosen]
        return TileMasks(self.rows, self.of[places], [self.windows[place] for place in chosen], own, self.classes)

    def with_more(self, others: Sequence[MaskRows]) -> "TileMasks":
        """Raises: UserError for masks of whole images."""
        several = [other for other in others if isinstance(other, TileMasks)]
        if len(several) < len(others):
            raise UserError("masks of tiles and of whole images cannot be put together")
        every, before = [self, *several], 0
        of = []
        for one in every:
            of.append(one.of + before)
            before += len(one.rows)
        rows = self.rows.with_more([one.rows for one in several])
        windows, own = [w for one in every for w in one.windows], [w for one in every for w in one.own]
        return TileMasks(rows, torch.cat(of), windows, own, self.classes)

    def renumbered(self, places: Tensor, classes: int) -> "TileMasks":
        return TileMasks(self.rows.renumbered(places, classes), self.of, self.windows, self.own, classes)
