"""How a sequence becomes a network's input: ids of tokens, standardised numbers.

Shapes: t steps, c channels (numbers of a step).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ftlab.batch import Fields
from ftlab.errors import UserError, choices
from ftlab.files.dialect import FOUND, Dialect
from ftlab.files.paths import short
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import DEVIATIONS, SHOWN, InputPreprocessing, Inputs, Transform, Unread, beginning
from ftlab.inputs.sequences.listed import listed
from ftlab.inputs.sequences.pieces import pieces as runs
from ftlab.inputs.sequences.steps import Layout, Steps, in_order, token_text
from ftlab.inputs.sequences.stored import LONGEST, checked
from ftlab.problems import counted

PADDING, UNKNOWN = 0, 1  # ids of steps that only fill a batch, and of tokens that have none of their own
OWN_IDS = 2  # ids from here on are those of the vocabulary
EXAMPLES = 3


@dataclass(frozen=True)
class Channel:
    """A column of numbers: (number - mean) / std; a missing one becomes the mean."""

    name: str
    mean: float  # over all steps of the training sequences
    std: float


@dataclass(frozen=True)
class SequencePreprocessing(InputPreprocessing):
    """Fitted on the training sequences; `token` is the column of the tokens, None where there are numbers only."""

    kind: ClassVar[str] = "sequence"
    plural: ClassVar[str] = "sequences"
    from_rows: ClassVar[bool] = True

    token: str | None
    vocabulary: tuple[str, ...]
    channels: tuple[Channel, ...]
    max_length: int  # steps; what comes after them is cut off
    layout: Layout
    length: int | None = None  # steps that are read as a whole, the last ones; None: step by step
    levels: tuple[int, ...] | None = None  # None: steps as they are; else relative to the last one, see data.level

    @property
    def one_size(self) -> bool:  # type: ignore[override]  # it hangs on how they are read
        return self.length is not None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(channel.name for channel in self.channels)

    def transform(self, augment: Augment | None = None) -> Transform:
        if augment and (augment.random or augment.mixup or augment.cutmix):
            raise UserError("augment: sequences are not varied as images are; use augment=none")
        return StepsTransform(self)

    def each(self, given: Any) -> Iterator[Steps]:
        """A sequence is a list of tokens, an array (t, c) of numbers, or {"tokens": ..., "series": ...}."""
        for one in [given] if self._is_one(given) else given:
            yield self.steps(one)

    def _is_one(self, given: Any) -> bool:
        if isinstance(given, Mapping | Steps):
            return True
        if isinstance(given, np.ndarray | torch.Tensor):
            return given.ndim < (2 if self.token else 3)
        return bool(given) and np.ndim(given[0]) == 0 and not isinstance(given[0], Mapping | Steps)

    def steps(self, given: Any) -> Steps:
        """One sequence that Python gave. Raises: UserError, saying what is accepted."""
        if isinstance(given, Steps):
            return given
        whole = given if isinstance(given, Mapping) else {"tokens" if self.token else "series": given}
        needed = [name for name, wanted in (("tokens", self.token), ("series", self.channels)) if wanted]
        if sorted(whole) != sorted(needed):
            form = ", ".join(f"'{name}': ..." for name in needed)
            raise UserError(f"a sequence is given as {{{form}}}, not with the keys {', '.join(map(str, whole))}")
        tokens = tuple(token_text(token) for token in whole["tokens"]) if self.token else None
        return Steps(tokens, self._series(whole["series"]) if self.channels else None)

    def _series(self, given: Any) -> np.ndarray:
        try:
            found = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UserError(f"a sequence holds what is no number ({error})") from error
        found = found[:, None] if found.ndim == 1 else found
        if found.ndim != 2:
            raise UserError(f"a sequence has the shape {found.shape}; accepted: (steps, {len(self.channels)})")
        return found

    def form(self) -> dict[str, Any]:
        """tokens: the name of their column; channels: the columns of numbers of a step."""
        return {"kind": "steps", "tokens": self.token, "channels": list(self.names)}

    def listed(self, inputs: str | Sequence[str], dialect: Dialect = FOUND) -> tuple[list[Unread], tuple[str, ...]]:
        return listed(inputs, self.layout, self.token, self.names, dialect)

    @classmethod
    def pieces(cls, parts: Mapping[str, Inputs]) -> dict[str, list[np.ndarray]] | None:
        return runs(parts)

    def unlearned(self, raw: Steps) -> tuple[str, ...]:
        new = set(raw.tokens or ()) - set(self.vocabulary) if self.vocabulary else ()
        return tuple(f"'{short(token)}' in column {self.token}" for token in sorted(new))

    def shown(self, raw: Steps) -> dict[str, Any]:
        cells = {"steps": str(len(raw))}
        if raw.tokens is not None:
            cells["tokens"] = beginning(raw.tokens)
        for place, name in enumerate(self.names if raw.series is not None else ()):
            assert raw.series is not None
            cells[name] = beginning([f"{value:.4g}" for value in raw.series[: SHOWN + 1, place]])
        return {"cells": cells}

    def seen(self, fields: Fields) -> dict[str, Any]:
        """Of a sequence alone, which nothing fills up."""
        cells = {"steps": str(len(fields["mask"]))}
        if self.token is not None:
            words = ("", "(other)", *self.vocabulary)
            cells["tokens"] = beginning([words[place] for place in fields["tokens"].tolist()])
        series = zip(self.names, fields["series"].T.tolist(), strict=True)
        return {"cells": cells | {name: beginning([f"{number:.2f}" for number in numbers]) for name, numbers in series}}

    @property
    def seen_as(self) -> str:
        said = (DEVIATIONS if self.channels else "", "tokens of few steps are (other)" if self.token else "")
        return ", ".join(filter(None, said))

    def builds(self) -> dict[str, Any]:
        ids = OWN_IDS + len(self.vocabulary) if self.token else 0
        made = {"tokens": ids, "channels": len(self.channels), "max_length": self.max_length}
        return made if self.length is None else {**made, "length": self.length, "levels": self.levels}

    def suited(self, fresh: InputPreprocessing) -> InputPreprocessing:
        return replace(self, layout=fresh.layout) if isinstance(fresh, SequencePreprocessing) else self

    def blank(self) -> Fields:
        """One step."""
        series = torch.zeros(1, len(self.channels))
        return {"tokens": torch.tensor([UNKNOWN]), "series": series, "mask": torch.ones(1, dtype=torch.bool)}

    def summary(self) -> str:
        held = [f"a token of {len(self.vocabulary):,}"] if self.token else []
        held += [f"{len(self.channels)} number{'' if len(self.channels) == 1 else 's'}"] if self.channels else []
        seen = "" if self.levels is None else ", seen from the last step"
        how = "" if self.length is None else ", read as a whole"
        return f"sequences of at most {self.max_length:,} steps, each {' and '.join(held)}{how}{seen}"

    def stack(self, several: Sequence[Fields]) -> Fields:
        """Each field (t, ...) is filled up with 0 to the longest, the mask with False."""
        return {name: pad_sequence([fields[name] for fields in several], batch_first=True) for name in several[0]}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "SequencePreprocessing":
        kept = checked(stored)
        channels = tuple(Channel(one["name"], float(one["mean"]), float(one["std"])) for one in stored["channels"])
        return cls(**{**kept, "channels": channels, "layout": Layout(**stored["layout"])})

    def remarks(self, parts: Mapping[str, Inputs]) -> tuple[str, ...]:
        """Sequences that are cut, tokens without an id, missing numbers, channels that say nothing."""
        training = parts.get("train")  # absent where inputs are measured only
        lines = [
            f"column {channel.name} is {channel.mean:g} in all training steps; it says nothing"
            for place, channel in enumerate(self.channels)
            if training is not None and channel.std == 1 and _constant(place, channel, training)
        ]
        for split, inputs in parts.items():
            found = [inputs[place] for place in range(len(inputs))]
            StepsTransform(self)(found[0])  # says now which columns are not there
            lines += [*self._cut(split, found), *self._unknown(split, found), *self._missing(split, found)]
        return tuple(lines)

    def _cut(self, split: str, found: Sequence[Steps]) -> list[str]:
        longer = sum(len(steps) > self.max_length for steps in found)
        limit = f"longer than {self.max_length} steps; the {'rest' if self.length is None else 'start'} is cut off"
        return [f"{longer} of {len(found)} sequences of {split} are {limit}"] if longer else []

    def _unknown(self, split: str, found: Sequence[Steps]) -> list[str]:
        known = set(self.vocabulary)
        counts = Counter(token for steps in found for token in steps.tokens or () if token not in known)
        if not counts:
            return []
        shown = ", ".join(f"'{token}'" for token, _ in counts.most_common(EXAMPLES)) + ", ..." * (
            len(counts) > EXAMPLES
        )
        why = "too rare to be learned" if split == "train" else "rare or absent in train"
        return [f"column {self.token}: {counts.total()} steps of {split} hold tokens that are {why} ({shown})"]

    def _missing(self, split: str, found: Sequence[Steps]) -> list[str]:
        lost = sum(int(np.isnan(steps.series).sum()) for steps in found if steps.series is not None)
        missing = counted(lost, "numbers are missing")
        return [f"{lost} {missing} in steps of {split}; the mean stands in"] if lost else []


class StepsTransform(Transform):
    """Steps to {"tokens": int64 (t,), "series": float32 (t, c), "mask": bool (t,), True}."""

    def __init__(self, preprocessing: SequencePreprocessing) -> None:
        self.own = preprocessing
        self.ids = {token: OWN_IDS + place for place, token in enumerate(preprocessing.vocabulary)}
        self.mean = np.array([channel.mean for channel in preprocessing.channels])
        self.std = np.array([channel.std for channel in preprocessing.channels])

    def then(self, first: Steps) -> Fields:
        """Raises: UserError for a sequence without steps, or without what the network was trained on."""
        length = min(len(first), self.own.max_length)
        if not length:
            raise UserError("the sequence has no steps")
        ids = [self.ids.get(token, UNKNOWN) for token in self._tokens(first)[:length]]
        series = self._series(first)
        scaled = ((series[:length] if self.own.length is None else series[-length:]) - self.mean) / self.std
        return {
            "tokens": torch.tensor(ids or [UNKNOWN] * length, dtype=torch.int64),
            "series": torch.from_numpy(np.nan_to_num(scaled, nan=0.0).astype(np.float32)),
            "mask": torch.ones(length, dtype=torch.bool),
        }

    def _tokens(self, raw: Steps) -> tuple[str, ...]:
        if self.own.token is None:
            return ()
        if raw.tokens is None:
            raise UserError(f"the sequence has no tokens, which the network reads (column {self.own.token})")
        return raw.tokens

    def _series(self, raw: Steps) -> np.ndarray:
        if not self.own.channels:
            return np.zeros((len(raw), 0))
        names, given = self.own.names, 0 if raw.series is None else raw.series.shape[1]
        missing = [name for name in names if name not in raw.channels] if raw.channels or raw.series is None else []
        if missing:
            raise UserError(f"the sequence lacks the column '{missing[0]}'; {choices(missing[0], raw.channels)}")
        assert raw.series is not None
        if not raw.channels and given != len(names):
            raise UserError(f"the sequence has {given} numbers a step; accepted: {len(names)} ({', '.join(names)})")
        if len(raw.series) != len(raw):
            raise UserError(f"the sequence has {len(raw)} tokens and {len(raw.series)} steps of numbers")
        if np.isinf(raw.series).any():
            raise UserError(
                f"the sequence holds an infinite number in step {int(np.isinf(raw.series).any(1).argmax()) + 1}"
            )
        return raw.series[:, [raw.channels.index(name) for name in names]] if raw.channels else raw.series


def fit(
    inputs: Inputs,
    token: str | None,
    max_length: int | None,
    rare: int,
    layout: Layout,
    whole: bool = False,
    levels: tuple[int, ...] | None = None,
) -> SequencePreprocessing:
    """The preprocessing of training sequences; `rare`: steps that a token must be in to have an id."""
    found: list[Steps] = [inputs[place] for place in range(len(inputs))]
    counts = Counter(one for steps in found for one in steps.tokens or ())
    vocabulary = tuple(sorted((one for one, count in counts.items() if count >= rare), key=in_order))
    longest = min(max_length or LONGEST, max(map(len, found)))
    return SequencePreprocessing(
        token, vocabulary, _channels(found), longest, layout, longest if whole else None, levels if whole else None
    )


def _channels(found: Sequence[Steps]) -> tuple[Channel, ...]:
    series = [steps.series for steps in found if steps.series is not None]
    if not series or not series[0].shape[1]:
        return ()
    there = np.maximum(sum(np.isfinite(one).sum(axis=0) for one in series), 1)
    mean = sum(np.nansum(one, axis=0) for one in series) / there
    std = np.sqrt(sum(np.nansum((one - mean) ** 2, axis=0) for one in series) / there)
    std[std <= 1e-12 * np.abs(mean)] = 1.0  # the mean of equal numbers is off by rounding
    return tuple(Channel(name, float(m), float(s)) for name, m, s in zip(found[0].channels, mean, std, strict=True))


def _constant(place: int, channel: Channel, inputs: Inputs) -> bool:
    return all(
        np.isin(np.nan_to_num(inputs[i].series[:, place], nan=channel.mean), channel.mean).all()
        for i in range(len(inputs))
        if inputs[i].series is not None
    )
