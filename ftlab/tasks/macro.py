"""Figures that are means over classes (or labels), of which a split may lack some.

A class is left out of a mean that it does not define, as scikit-learn's averages with zero_division=nan do:
- recall: without samples
- auroc (one against the rest): without samples, and where every sample is of it
- precision, f1: without samples and predictions; without samples, but predicted, both are 0
One thing is otherwise: a class that has samples and is never predicted has precision 0, as by default in scikit-learn
and torchmetrics. Left out, it would reward a network that never predicts what is hard.

Shapes: k classes.
"""

import warnings
from collections.abc import Mapping, Sequence

from torch import Tensor

from ftlab.patterns import shorten

COUNTS = "counts"  # beside the figures (k,): hits, false alarms, others, misses and support of each class (k, 5)


def means(values: Mapping[str, Tensor], names: Sequence[str], word: str) -> dict[str, float | None]:
    """`values`, each of a number a class as a mean over those that define it; None where none does.

    Warns of what is left out in words that hang on the split, not on what is predicted of it (but for a split without
    any label): they are the same after each epoch, so that they can be counted.
    `word`: what the k `names` are, in the plural.
    """
    there = _defined(values[COUNTS])
    _tell(there, values[COUNTS], names, word)
    return {name: _mean(name, value, there.get(name)) for name, value in values.items() if name != COUNTS}


def _defined(counts: Tensor) -> dict[str, Tensor]:
    """Which of the k classes define a figure."""
    hits, alarms, others, misses, support = counts.unbind(dim=-1)
    some = hits + alarms + misses > 0
    return {"precision": some, "recall": support > 0, "f1": some, "auroc": (support > 0) & (others + alarms > 0)}


def _mean(name: str, value: Tensor, there: Tensor | None) -> float | None:
    """In the order in which torchmetrics' macro averages add: where all classes are there, it is theirs to the bit."""
    if there is None:
        return float(value)
    if not there.any():
        return None
    if name == "auroc":
        return float(value[there].mean())
    weights = there.to(value)
    return float((weights * value / weights.sum(-1, keepdim=True)).sum())


def _tell(there: Mapping[str, Tensor], counts: Tensor, names: Sequence[str], word: str) -> None:
    """One warning a cause."""
    _, alarms, others, _, support = counts.unbind(dim=-1)
    absent, everywhere = _where(names, support == 0), _where(names, others + alarms == 0)
    none = f"no sample of {_shown(absent)}"
    if everywhere:
        why = [none] * bool(absent) + [f"every sample is of {_shown(everywhere)}"]
        warnings.warn(f"{_over('auroc', there['auroc'], word)}: {', '.join(why)}", stacklevel=3)
    if absent:
        over = _over("recall" if everywhere else "auroc and recall", there["recall"], word)
        rest = "precision and f1 count one of these as 0 if it is predicted, else not at all"
        warnings.warn(f"{over}: {none}; {rest}", stacklevel=3)
    if not there["f1"].any():
        warnings.warn(f"precision and f1 are undefined: none of the {word} is there or predicted", stacklevel=3)


def _over(figures: str, there: Tensor, word: str) -> str:
    found, several = int(there.sum()), " and " in figures
    if not found:
        return f"{figures} {'are' if several else 'is'} undefined"
    return f"{figures} {'are means' if several else 'is a mean'} over {found} of {len(there)} {word}"


def _where(names: Sequence[str], flags: Tensor) -> list[str]:
    return [name for name, flag in zip(names, flags.tolist(), strict=True) if flag]


def _shown(names: Sequence[str]) -> str:
    return shorten([f"'{name}'" for name in names])
