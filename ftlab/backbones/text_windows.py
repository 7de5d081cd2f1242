"""A network of texts sees the windows of a sample apart, a row each; all else sees the sample.

Shapes: b batch, t positions of all windows of a sample, r windows of all samples, s positions of the longest window.
"""

import torch
from torch import Tensor

from ftlab.backbones.part import Run
from ftlab.inputs.texts.windows import Windows, are_several

AT_ONCE = 128  # windows without a gradient, so that memory does not grow with the longest text


def by_window(run: Run) -> Run:
    """`run` of INPUTS, and what comes with them, of samples (b, t, ...), which is given a row a window."""

    def apart(tokens: Tensor, mask: Tensor, *more: Tensor) -> Tensor:
        if not are_several(mask):
            return run(tokens, mask, *more)  # type: ignore[no-any-return]
        windows = Windows(mask)
        rows = [windows.apart(values) for values in (tokens, mask, *more)]
        step = len(rows[0]) if torch.is_grad_enabled() else AT_ONCE
        parts = [run(*(row[at : at + step] for row in rows)) for at in range(0, len(rows[0]), step)]
        return windows.together(torch.cat(parts))

    return apart
