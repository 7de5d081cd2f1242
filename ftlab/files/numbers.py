"""Numbers out of the cells of a text file."""

import math

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none"))  # what a cell without a value holds, in any case
LARGEST = 1e18  # the square of an error must fit 32 bits, which end at 3e38


def number(text: str) -> float | None:
    """The finite number that a cell holds; None where it says that the value is missing.

    Raises: ValueError, its text saying what the cell holds instead.
    """
    plain = text.strip()
    if plain.lower() in MISSING:
        return None
    try:
        value = float(plain) if "_" not in plain else math.nan  # Python takes 1_000, no spreadsheet does
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise ValueError(f"'{plain}' is no number")
    if math.isinf(value):
        raise ValueError(f"'{plain}' is infinite")
    if abs(value) > LARGEST:
        raise ValueError(f"'{plain}' is too large, above {LARGEST:g}")
    return value
