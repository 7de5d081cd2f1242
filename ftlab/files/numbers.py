"""Numbers out of the cells of a text file."""

import math
import re

from ftlab.files.paths import short

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none"))  # what a cell without a value holds, in any case
COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")  # a number with a decimal comma
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")  # one of thousands, or with three decimals
SIGNS = frozenset(("?", "-", "--", ".", "..", "n.a.", "<na>", "nat", "#n/a", "#div/0!", "#value!"))  # for no number
LARGEST = 1e18  # the square of an error must fit 32 bits, which end at 3e38


def number(text: str) -> float | None:
    """The finite number that a cell holds; None where it says that the value is missing.

    Raises: ValueError, its text saying what the cell holds instead.
    """
    if (quick := _plain(text)) is not None:
        return quick
    plain = text.strip()
    if plain.lower() in MISSING or plain.lower() in SIGNS:
        return None
    try:
        value = float(plain) if "_" not in plain else math.nan  # Python takes 1_000, no spreadsheet does
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise ValueError(_why(short(plain)))
    if math.isinf(value):
        raise ValueError(f"'{plain}' is infinite")
    if abs(value) > LARGEST:
        raise ValueError(f"'{plain}' is too large, above {LARGEST:g}")
    return value


def _plain(text: str) -> float | None:
    """What most cells hold, at the cost of one comparison: a number that is not too large; None for all else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if -LARGEST <= value <= LARGEST and "_" not in text else None


def _why(plain: str) -> str:
    if THOUSANDS.fullmatch(plain):
        return f"'{plain}' may have a decimal comma or thousands; the key `decimal` says which"
    return (
        f"'{plain}' has a comma, beside numbers with a point" if COMMA.fullmatch(plain) else f"'{plain}' is no number"
    )
