"""What is wrong with the targets and the size of splits, decided from these alone."""

from math import sqrt

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


FEW = 50  # samples of val, below which it is said how little it can tell
OTHERWISE = 0.2  # share of samples that two networks to choose from answer differently, about


def undecided(size: int, has_classes: bool, refit: bool) -> list[str]:
    """That a val split of `size` samples can hardly choose among networks.

    Two that are equally good, and answer a share d of n samples differently, differ in accuracy by less than two
    standard errors, 2 * sqrt(d / n), in 19 of 20 such splits (McNemar 1947).
    """
    if not 0 < size < FEW:
        return []
    margin = f"accuracies that differ by less than {2 * sqrt(OTHERWISE / size):.2f} are chance, about"
    ways = "data.split=[...] gives it more" + ("" if refit else ", and refit=true learns from it too in the end")
    return [f"val has {size} samples to choose by: {margin if has_classes else 'figures of so few say little'}; {ways}"]


def small(size: int, batch_size: int | str) -> list[Problem]:
    """A train split that does not fill one batch: an epoch is one step. `auto` never exceeds the split."""
    if isinstance(batch_size, str) or size >= batch_size:
        return []
    advice = f"that is less than one batch of {batch_size}, so an epoch is one step; lower data.batch_size"
    return [Problem("training samples in all" if size != 1 else "training sample in all", "warning", size, (), advice)]
