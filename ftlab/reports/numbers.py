"""How figures are written, on the page and in the terminal alike: a figure by itself, and those of a column alike."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

NOTHING = "-"
DECIMALS = 4  # of losses and metrics


def rate(value: float | None) -> str:
    """A learning rate in as few characters as can be: 1e-4, 2.5e-4, 0; of a fit without one: convex."""
    if value is None:
        return "convex"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def decay(value: float | None) -> str:
    return NOTHING if value is None else f"{value:g}"


def figure(value: float | None) -> str:
    """A loss or a metric by itself."""
    return figures([value])[0]


def figures(values: Iterable[float | None]) -> list[str]:
    """Losses or metrics of one column: four decimals, or more where these say nothing of the smallest; whole numbers
    where all are large; powers of ten where nothing else is readable."""
    column = list(values)
    digits, sizes = _decimals(column, DECIMALS, 8), [abs(v) for v in column if v and math.isfinite(v)]
    if sizes and (min(sizes) < 1e-7 or min(sizes) >= 1e7 or max(sizes) >= 1e12):
        return [NOTHING if value is None else f"{value:.3e}" for value in column]
    digits = 0 if sizes and min(sizes) >= 1e4 else digits
    return [NOTHING if value is None else f"{value:.{digits}f}" for value in column]


def figure_after(first: float | None, value: float | None) -> str:
    """A figure of a column that grows line by line, with the digits that its first figure needs, and never fewer than
    four decimals: a loss that began at 12,345 may fall below 1. Below 0.001 it has three digits of its own."""
    if value is None:
        return NOTHING
    own = _decimals([value if abs(value) < 1e-3 else None], DECIMALS, 8, shown=3)
    return f"{value:.{max(own, _decimals([first], DECIMALS, 8))}f}"


def rows_of(
    metrics: Mapping[str, Mapping[str, float | None]], without: Collection[str] = ()
) -> list[tuple[str, tuple[str, ...]]]:
    """One row a figure, in the order in which they first appear: its name, and its cell in the column of each split,
    with the digits that the row needs: a tiny loss gives an accuracy none."""
    names = [
        name for name in dict.fromkeys(name for split in metrics.values() for name in split) if name not in without
    ]
    return [(name, tuple(figures(split.get(name) for split in metrics.values()))) for name in names]


def between(ends: Sequence[float], shown: str) -> str:
    """0.9740 to 1.0000, with the digits of the figure, which is `shown` so."""
    form = ".3e" if "e" in shown else f".{len(shown.partition('.')[2])}f"
    return " to ".join(format(end, form) for end in ends)


def with_intervals(
    rows: Iterable[tuple[str, tuple[str, ...]]],
    splits: Sequence[str],
    intervals: Mapping[str, Mapping[str, Sequence[float]]],
) -> list[tuple[str, tuple[str, ...]]]:
    """Rows of `rows_of`, with a cell behind that of each split which has intervals, empty where the figure has none."""
    found = []
    for name, cells in rows:
        row: list[str] = []
        for split, cell in zip(splits, cells, strict=True):
            ends = intervals.get(split, {}).get(name)
            row += [cell, *([between(ends, cell) if ends else ""] if intervals.get(split) else [])]
        found.append((name, tuple(row)))
    return found


def spreads(pairs: Sequence[tuple[float | None, float | None]]) -> list[str]:
    """Means with their standard deviations, of one column: 0.9500 ± 0.0123; of one value without. Each choose their
    digits apart, so that a deviation that is hardly one leaves the means readable."""
    means, deviations = figures(mean for mean, _ in pairs), figures(deviation for _, deviation in pairs)
    return [
        mean if deviation == NOTHING else f"{mean} ± {deviation}"
        for mean, deviation in zip(means, deviations, strict=True)
    ]


def percents(shares: Iterable[float]) -> list[str]:
    """Shares of one column: 0.3 %, 98.4 %."""
    column = [100 * share for share in shares]
    digits = _decimals(column, 1, 4)
    return [f"{value:.{digits}f} %" for value in column]


def _decimals(values: Iterable[float | None], usual: int, most: int, shown: int = 2) -> int:
    """Digits behind the point: the usual ones, or so many, up to the most, that the smallest has `shown` of its own."""
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    return min(most, max(usual, shown - 1 - math.floor(math.log10(min(sizes))))) if sizes else usual


def plural(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def count(value: int) -> str:
    """Parameters: 640, 12.8 k, 3.37 M."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value / size < 999.5 else f"{value / size:.0f} {unit}"
    return str(value)


def duration(seconds: float | None) -> str:
    """Seconds: 35 ms, 1.2 s, 3 min 05 s, 2 h 04 min; below zero with a minus."""
    if seconds is None:
        return NOTHING
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def durations(values: Iterable[float | None]) -> list[str]:
    """Seconds of one column: in ms or s as the longest is, and above a minute each as it reads best."""
    column = list(values)
    longest = max((abs(value) for value in column if value is not None), default=0.0)
    if longest >= 59.95:
        return [duration(value) for value in column]
    times, unit, usual = (1000, "ms", 0) if longest < 0.9995 else (1, "s", 1)
    scaled = [None if value is None else times * value for value in column]
    digits = _decimals(scaled, usual, 3)
    return [NOTHING if value is None else f"{value:.{digits}f} {unit}" for value in scaled]


def memory(size: float | None) -> str:
    """Bytes in decimal units: 312 MB, 1.24 GB; a dash where it was not measured."""
    return memories([size])[0]


def memories(sizes: Iterable[float | None]) -> list[str]:
    """Bytes of one column, in the unit of the largest."""
    column = list(sizes)
    is_large = max((size for size in column if size is not None), default=0) >= 999.5e6
    shown = (lambda size: f"{size / 1e9:.2f} GB") if is_large else (lambda size: f"{size / 1e6:.0f} MB")
    return [NOTHING if size is None else shown(size) for size in column]


def epochs(first: int, last: int) -> str:
    """Epochs of a phase as a person counts them, from 1, both ends included: 1-4, or 5. A record counts from 0."""
    if last < first:
        return NOTHING
    return str(first + 1) if first == last else f"{first + 1}-{last + 1}"


def readable(text: object) -> str:
    """Text that every encoder and font engine takes: bytes of a file name that are no UTF-8 become escapes."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def shorten(text: object, width: int) -> str:
    """At most `width` characters; the middle goes, since names differ at their ends."""
    whole = readable(text)
    if len(whole) <= width:
        return whole
    tail = (width - 1) // 2
    return f"{whole[: width - 1 - tail]}…{whole[len(whole) - tail :]}"
