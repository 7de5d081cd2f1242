"""What a bundle holds of the preprocessing of sequences, looked through before anything is made of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST = 65536  # steps


def checked(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a SequencePreprocessing, but for channels and layout, which are looked through only.

    Raises: KeyError, TypeError, ValueError for what it cannot have given.
    """
    words, channels, layout = tuple(stored["vocabulary"]), stored["channels"], stored["layout"]
    for one in channels:
        _check_channel(**one)
    texts = (stored["token"], layout["series"], layout["time"])
    if not all(isinstance(text, str | None) for text in texts) or not all(isinstance(word, str) for word in words):
        raise ValueError("preprocessing: a column or a token is no text")
    if len(set(words)) != len(words) or len({one["name"] for one in channels}) != len(channels):
        raise ValueError("preprocessing: a token or a column is there twice")
    longest = stored["max_length"]
    if (stored["token"] is None and (words or not channels)) or not _is_length(longest):
        raise ValueError("preprocessing: no columns, or no length of 1 to 65536 steps")
    _check_layout(**layout)
    length, levels = stored.get("length"), stored.get("levels")  # not in earlier versions
    if length is not None and (not _is_length(length) or length > longest or stored["token"] is not None):
        raise ValueError("preprocessing: the one length of all sequences is none")
    return {"token": stored["token"], "vocabulary": words, "max_length": longest, "length": length,
            "levels": _places(levels, len(channels))}  # fmt: skip


def _is_length(number: Any) -> bool:
    return type(number) is int and 1 <= number <= LONGEST


def _places(levels: Sequence[int] | None, channels: int) -> tuple[int, ...] | None:
    if levels is not None and not all(type(place) is int and 0 <= place < channels for place in levels):
        raise ValueError("preprocessing: levels of channels that are not there")
    return None if levels is None else tuple(levels)


def _check_layout(series: Any, time: Any, window: Any, stride: Any = 1, gap: Any = None, dates: Any = False) -> None:
    whole = (stride, 1 if window is None else window)
    if not all(type(number) is int and number >= 1 for number in whole):
        raise ValueError("preprocessing: window and stride are no numbers of steps")
    far = gap is None or (type(gap) in (int, float) and math.isfinite(gap) and gap > 0)
    if not far or type(dates) is not bool:
        raise ValueError("preprocessing: a gap in time is no number above 0")


def _check_channel(name: Any, mean: Any, std: Any) -> None:
    good = all(type(number) in (int, float) and math.isfinite(number) for number in (mean, std)) and std > 0
    if not isinstance(name, str) or not good:
        raise ValueError(f"preprocessing: column {name!r} with the mean {mean!r} and the standard deviation {std!r}")
