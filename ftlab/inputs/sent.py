"""Inputs that someone sent, whom nobody knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Most:
    """How large an input may be that someone sent."""

    pixels: int  # of an image
    characters: int  # of a text inside it


def longest_text(given: Any) -> int:
    """Characters of the longest text inside of what JSON gave."""
    if isinstance(given, str):
        return len(given)
    inside = given.values() if isinstance(given, Mapping) else given if isinstance(given, list) else ()
    return max(map(longest_text, inside), default=0)
