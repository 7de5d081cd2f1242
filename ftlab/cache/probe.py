"""A few samples through every freeze border, before the run: sizes, times, and whether the cut network is the same one.

Shapes: b batch.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ftlab.backbones.modes import in_evaluation
from ftlab.batch import Batch, leaves
from ftlab.cache.borders import Border, Borders, Values, at_border
from ftlab.cache.decide import Need
from ftlab.cache.rows import Rows, bytes_of
from ftlab.cache.settings import Dtype
from ftlab.cache.shelf import Shape
from ftlab.errors import UserError
from ftlab.strategies.base import Phase

SAMPLES = 4
TOLERANCE = 0.02  # of the largest output: far above rounding, half precision included, far below another network's
PLAIN = (bool, int, float, str, type(None))


@dataclass
class Probed:
    """What is known of a run's borders."""

    needs: list[Need]
    shapes: dict[str, Shape] = field(default_factory=dict)  # of each value of one sample
    seconds: dict[str, float] = field(default_factory=dict)  # by phase: to compute its values of one sample

    def without(self, why_not: str) -> "Probed":
        """As if no border could be used, where there is one."""
        return replace(self, needs=[need.without(why_not) if need.names else need for need in self.needs])


def probe(
    model: Any, phases: Sequence[Phase], batch: Batch, loading: float, kept: Dtype, one_size: bool
) -> tuple[Probed, Borders | None]:
    """`batch`: samples on the device; loading: seconds that each took to load; one_size: see InputPreprocessing.

    It leaves the model as it was: in training a BatchNorm would take these samples into its statistics.
    """
    needs = [
        Need(phase.name, phase.epochs, frozenset(phase.trainable), plain=phase.fit == "convex") for phase in phases
    ]
    found = Probed(needs)
    try:
        borders = Borders(model, batch.frame)
    except UserError as error:
        own = {address for address in model.addresses if address.startswith("backbone/")}
        found.needs = [need if own <= need.trains else replace(need, why_not=str(error)) for need in needs]
        return found, None
    known: dict[frozenset[str], Need] = {}
    for place, need in enumerate(needs):
        if need.trains not in known:
            with in_evaluation(model):
                known[need.trains] = _look(borders, need, batch, loading, kept, one_size, found)
        like = known[need.trains]
        needs[place] = replace(need, names=like.names, stages=like.stages, why_not=like.why_not, pays=like.pays)
        found.seconds[need.phase] = found.seconds.get(like.phase, 0.0)
    return found, borders


def _look(
    borders: Borders, need: Need, batch: Batch, loading: float, kept: Dtype, one_size: bool, found: Probed
) -> Need:
    """`need` with what its border is."""
    try:
        border = borders.of(need.trains)
    except UserError as error:
        return replace(need, why_not=str(error))
    if border is None:
        return need
    compute = borders.values(border.names)
    seconds, values = timed(lambda: compute(batch), batch)
    if any(value.ndim == 0 or len(value) != len(batch) for value in values):
        return replace(need, why_not="its values at the freeze border are not one a sample")
    ragged = {name: borders.is_ragged(name) for name in border.names}
    if not one_size and not borders.traced.ragged and any(value.ndim > 2 for value in values):
        return replace(need, why_not="the inputs are not of one length, and its values at the freeze border neither")
    steady = is_steady(compute, batch, values)
    if not steady or (borders.traced.ragged and not is_closed(compute, batch, values, list(ragged.values()))):
        why = "its values at the freeze border depend on chance, or on the other samples of a batch"
        return replace(need, why_not=why)
    if not is_same(borders.model, border, batch, values):
        return replace(need, why_not="cut at the freeze border, the network gives other outputs")
    found.shapes |= {
        name: Shape(tuple(value.shape[1 + ragged[name] :]), value.dtype, ragged[name])
        for name, value in zip(border.names, values, strict=True)
    }
    found.seconds[need.phase] = seconds / len(batch) + loading
    reading = timed(lambda: read_again(values, kept), batch)[0]
    return replace(need, names=border.names, stages=border.stages, pays=2 * reading < seconds + loading * len(batch))


def timed(run: Callable[[], Any], batch: Batch) -> tuple[float, Any]:
    """The shorter of two times, in seconds, and the result."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        result = run()
        if batch.index.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def read_again(values: Values, kept: Dtype) -> list[Tensor]:
    """What one batch costs that is kept and read once."""
    places, device = torch.arange(len(values[0])), values[0].device
    back = []
    for value in values:
        shape = value.shape[1:]
        rows = Rows(np.zeros((len(value), bytes_of(shape, value.dtype, kept)), np.uint8), shape, value.dtype, kept)
        rows.put(places, value)
        back.append(rows.get(places).to(device))
    return back


def is_steady(compute: Callable[[Batch], Values], batch: Batch, values: Values) -> bool:
    """Whether half of the batch gives the same values again, as a batch of other samples must (a BatchNorm without
    running statistics takes those of the batch)."""
    half = len(batch) // 2
    if not half:
        return True
    again = compute(batch.select(torch.arange(half, device=batch.index.device)))
    return all(is_near(a, b[:half]) for a, b in zip(again, values, strict=True))


def is_closed(compute: Callable[[Batch], Values], batch: Batch, values: Values, ragged: Sequence[bool]) -> bool:
    """Whether the shortest sample gives the same values without what fills the batch up behind it. A network that looks
    there (a convolution, a Fourier transform) does not; ragged: the values that have its positions."""
    mask = batch.inputs.get("mask")
    if mask is None:
        return True
    filled = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1)  # not the sum: windows are parted
    place = filled.argmin()
    end = int(filled[place])
    inputs = {n: field[:, :end] if field.shape[:2] == mask.shape else field for n, field in batch.inputs.items()}
    again = compute(replace(batch, inputs=inputs).select(place[None]))
    own = zip(again, values, ragged, strict=True)  # both are cut: what tells where things lie was not before
    pairs = [(a[0, :end], b[place, :end]) if cut else (a[0], b[place]) for a, b, cut in own]
    return all(is_near(*pair) for pair in pairs)


def is_same(model: Any, border: Border, batch: Batch, values: Values) -> bool:
    """Whether the rest of the network makes the same outputs of `values` as the whole network of the inputs."""
    rest, model.rest = model.rest, border.rest
    try:
        with torch.no_grad():
            return is_near(continuous(model(at_border(batch, values))), continuous(model(batch)))
    finally:
        model.rest = rest


def continuous(outputs: Any) -> Any:
    """What of outputs changes by little where values do: all, unless they name it, as those do that choose among boxes
    by a sorting, which the rounding of one number may turn round."""
    return getattr(outputs, "continuous", outputs)


def is_near(found: Any, wanted: Any) -> bool:
    """Whether tensors, or structures of them, are of one form and nearly equal; what is neither tensor nor a plain
    value cannot be compared and counts as unlike."""
    (ours, form), (theirs, other) = leaves(found), leaves(wanted)
    return form == other and all(map(_is_near, ours, theirs))


def _is_near(found: Any, wanted: Any) -> bool:
    if not (isinstance(found, Tensor) and isinstance(wanted, Tensor)):
        return isinstance(wanted, PLAIN) and type(found) is type(wanted) and found == wanted
    if found.shape != wanted.shape or not wanted.numel():
        return found.shape == wanted.shape
    if not wanted.is_floating_point():
        return torch.equal(found, wanted)
    largest = wanted.abs().nan_to_num(nan=0, posinf=0).max()
    near = (found.double() - wanted.double()).abs() <= TOLERANCE * largest + 1e-4
    return bool((near | (found == wanted)).all())  # an infinity is equal to itself, and at no distance from it
