"""The settings of the cache. Imports no torch, so that a config is checked in milliseconds."""

from dataclasses import dataclass
from typing import Literal

Mode = Literal["auto", "off", "memory", "disk"]
Dtype = Literal["float32", "float16", "bfloat16", "uint8"]
GIB = 2**30


@dataclass(frozen=True)
class CacheSettings:
    """Where values at the freeze border may be kept, and how."""

    mode: Mode
    memory_budget: float = 0.0  # GiB at once
    disk_budget: float = 0.0  # GiB of all runs
    dtype: Dtype = "float32"
    views: int | None = None  # augmented variants of each training sample; None: none are kept
    image_budget: float = 0.0  # GiB of decoded images, which have nothing to do with what is frozen
    shared: bool = False  # whether other runs of this machine are likely to need the same values


def auto(
    memory_budget: float, disk_budget: float, dtype: Dtype, views: int | None, image_budget: float
) -> CacheSettings:
    """Where it pays."""
    return CacheSettings("auto", memory_budget, disk_budget, dtype, views, image_budget)


def off() -> CacheSettings:
    """Nowhere."""
    return CacheSettings("off")


def memory(memory_budget: float, dtype: Dtype, views: int | None, image_budget: float) -> CacheSettings:
    """In memory, wherever anything is frozen."""
    return CacheSettings("memory", memory_budget, 0.0, dtype, views, image_budget)


def disk(disk_budget: float, dtype: Dtype, views: int | None, image_budget: float) -> CacheSettings:
    """On disk, wherever anything is frozen."""
    return CacheSettings("disk", 0.0, disk_budget, dtype, views, image_budget)
