"""Running out of memory: which errors mean it, and what to tell a person with this run's numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ftlab.errors import UserError
from ftlab.run_settings import RunSettings

# What torch says where it raises a plain RuntimeError: the CPU's allocator, and Apple's.
TEXTS = ("can't allocate memory", "not enough memory", "backend out of memory", "CUDA out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in TEXTS)


def ways_out(settings: RunSettings) -> str:
    """What makes a step smaller, with the numbers of this run; what is done already is left out."""
    batch, trainer = settings.loading.batch_size, settings.trainer
    windows, found = trainer.accumulate_grad_batches, []
    if isinstance(batch, int) and batch > 1:
        half = batch // 2
        same = "the same steps" if batch % 2 == 0 else "nearly the same steps"
        found.append(
            f"data.batch_size={batch} -> {half} with trainer.accumulate_grad_batches={windows} -> {windows * 2} "
            f"gives {same} (data.batch_size=auto finds the largest that fits)"
        )
    if "mixed" not in str(trainer.precision) and "16" not in str(trainer.precision):
        found.append(f"trainer.precision={trainer.precision} -> bf16-mixed halves what a layer keeps")
    if not settings.checkpointing:
        found.append("backbone.checkpointing=true keeps less of each layer for one more forward pass")
    found.append("fewer stages that train (ftlab plan), or a smaller data.image_size")
    return "; ".join(found)


def explained(error: BaseException, settings: RunSettings) -> UserError:
    """Names data.batch_size, trainer.accumulate_grad_batches, trainer.precision and backbone.checkpointing."""
    said = (str(error).splitlines() or [""])[0][:160] or type(error).__name__
    return UserError(f"out of memory ({said}). Ways out: {ways_out(settings)}.")


@contextmanager
def out_of_memory(settings: RunSettings) -> Iterator[None]:
    """Raises: UserError in place of an error that means it."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise explained(error, settings) from error
