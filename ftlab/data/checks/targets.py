"""What is wrong with the targets and the size of splits, decided from these alone."""

from ftlab.data.base import Splits
from ftlab.problems import Fault, Problem


def faults(splits: Splits, split: str) -> dict[int, Fault]:
    """Samples of a split whose target cannot be used, by index; what is wrong as a whole is refused by reading."""
    samples = splits.parts()[split]
    if splits.target.misshapen(samples.targets):
        return {}
    return {
        index: Fault(
            samples.name(index), "targets are out of range", f"{samples.name(index)} has the target {why}.", split
        )
        for index, why in splits.target.faults(samples.targets).items()
    }


def small(size: int, batch_size: int | str) -> list[Problem]:
    """A train split that does not fill one batch: an epoch is one step. `auto` never exceeds the split."""
    if isinstance(batch_size, str) or size >= batch_size:
        return []
    advice = f"that is less than one batch of {batch_size}, so an epoch is one step; lower data.batch_size"
    return [Problem("training samples in all" if size != 1 else "training sample in all", "warning", size, (), advice)]
