"""Peak memory as the increase over what the process held when the measurement began.

Importing torch and timm alone is 0.88 GB, so whole-process figures would say little.
"""

import ctypes
import gc
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # see proc(5): sets the peak resident size to the current one


class PeakMemory:
    """Peaks in bytes since the last reset: the GPU's where there is one, else the process's on Linux, else None."""

    made = 0  # in this process

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if PeakMemory.made:  # 0.3 s; before the first there is no earlier run
            _give_back()
        PeakMemory.made += 1
        self.before = self._now()

    def reset(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif self.before is not None:
            CLEAR.write_text(RESET_PEAK)

    def increase(self) -> int | None:
        """The peak since the last reset, less what was held at the beginning; never below 0."""
        if self.before is None:
            return None
        peak = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else _status("VmHWM")
        return max(0, peak - self.before) if peak is not None else None

    def _now(self) -> int | None:
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device)
        return _status("VmRSS") if CLEAR.exists() else None


def _give_back() -> None:
    """Return what earlier jobs of a sweep have freed in this process, else this run's increase would hide in it."""
    gc.collect()
    trim()


def trim() -> None:
    """Return memory that is free to the system, which a process keeps otherwise."""
    if CLEAR.exists() and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # glibc only
        libc.malloc_trim(0)


def _status(key: str) -> int | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(key + ":")]
    return int(found[0]) * 1024 if found else None
