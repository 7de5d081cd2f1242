"""How figures are written, on the page and in the terminal alike."""

NOTHING = "-"


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
    """A loss or a metric: four decimals, or four digits where four decimals would say nothing; thousands whole."""
    if value is None:
        return NOTHING
    if 10_000 <= abs(value) < 10_000_000:
        return f"{value:.0f}"
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 10 else f"{value:.4g}"


def plural(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def count(value: int) -> str:
    """Parameters: 640, 12.8 k, 3.37 M."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value / size < 999.5 else f"{value / size:.0f} {unit}"
    return str(value)


def duration(seconds: float | None) -> str:
    """Seconds: 35 ms, 1.2 s, 3 min 05 s, 2 h 04 min."""
    if seconds is None:
        return NOTHING
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def memory(size: float | None) -> str:
    """Bytes in decimal units: 312 MB, 1.24 GB; a dash where it was not measured."""
    if size is None:
        return NOTHING
    return f"{size / 1e9:.2f} GB" if size >= 999.5e6 else f"{size / 1e6:.0f} MB"


def epochs(first: int, last: int) -> str:
    """Epochs of a phase, both ends included: 0-3, or 4."""
    if last < first:
        return NOTHING
    return str(first) if first == last else f"{first}-{last}"


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
