"""Imports of what takes seconds."""

import atexit
import gc
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

NOTEBOOK = "ipykernel"
BIG = "torch"  # which everything else that is big brings with it


@contextmanager
def uncollected() -> Iterator[None]:
    """Meanwhile Python does not look for cyclic garbage, and what was imported is never looked through again.

    To search 4,000 modules for garbage over and over takes 1.0 of the 4.4 seconds (CPU) of importing torch, lightning
    and timm (`python -c "import torch, lightning.pytorch, timm"`, with and without gc.disable() before). Where torch is
    there already nothing is done: what the user's program holds by then may be garbage later.
    """
    if BIG in sys.modules or not gc.isenabled():
        yield
        return
    gc.collect()  # what is garbage now would be kept
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # else libraries in C++ report as leaks what nobody takes down
        gc.enable()


def without_bars() -> None:
    """In a notebook: import tqdm, which Lightning and the hub's client bring, without its word on bars.

    It misses ipywidgets for them, and says so in red at the first use of ftlab, which draws none.
    """
    if NOTEBOOK in sys.modules:
        with warnings.catch_warnings(), suppress(ImportError):
            warnings.filterwarnings("ignore", "IProgress not found")
            import_module("tqdm.auto")
