"""A strategy says in which phase which stage trains; where a run stands is a pure function of its history.

Neither torch nor lightning is imported here: a strategy is arithmetic over names and epochs.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ftlab.errors import UserError, choices

BatchNorm = Literal["frozen", "train"]
Start = Literal["current", "best"]
Fit = Literal["gradient", "convex"]
HeadInit = Literal["random", "closed_form"]
FOLLOWED = ("rates", "batchnorm", "start", "fit", "C", "average")  # of a phase that has ended; the last came later


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs in which the same stages train."""

    name: str
    epochs: int  # planned; fewer if `patience` ends it
    rates: Mapping[str, float]  # trainable stages, each with its multiplier of the run's rate; the others are frozen
    patience: int | None = None  # epochs without a better monitored value that end it; None: never
    min_delta: float = 0.0  # a smaller gain is none
    start: Start = "current"  # whose weights it begins with: as they are, or the best of the phase before
    batchnorm: BatchNorm = "frozen"  # BatchNorm of trainable stages: running statistics, or batch statistics
    # gradient: steps of the optimizer. convex: one epoch that computes features and fits the head's last layer to them.
    fit: Fit = "gradient"
    C: float | None = None  # convex: weight of the losses against the penalty; None: chosen by cross-validation
    average: bool = False  # gradient: an epoch ends with the mean of the weights over its steps

    @property
    def trainable(self) -> tuple[str, ...]:
        return tuple(self.rates)

    @property
    def descending(self) -> tuple[str, ...]:
        """The stages that an optimizer moves; a convex fit has neither rate nor schedule."""
        return () if self.fit == "convex" else self.trainable

    @property
    def averages(self) -> bool:
        return self.average and self.fit == "gradient"


@dataclass(frozen=True)
class Span:
    """The epochs that a phase really took."""

    phase: int
    first_epoch: int
    epochs: int
    ended_by: Literal["epochs", "plateau"] | None  # None: it is still going on


@dataclass(frozen=True, kw_only=True)
class Strategy(ABC):
    """A way to fine-tune. Settings are the fields; a strategy option is a subclass in a file of its own."""

    # BatchNorm of stages that train: frozen (pretrained statistics) or train (statistics of each batch).
    batchnorm: BatchNorm = "frozen"
    average: bool = False  # an epoch of gradient descent ends with the mean of the weights over its steps

    @abstractmethod
    def phases(self, stages: Sequence[str], epochs: int) -> list[Phase]:
        """The phases over `stages` (addresses, input end first, head last) within `epochs`.

        Raises: UserError for a pattern that matches nothing and for epochs that are too few.
        """

    @property
    def held(self) -> dict[str, Any]:
        """The settings that each of its phases has."""
        return {"batchnorm": self.batchnorm, "average": self.average}

    def own_epochs(self) -> int | None:
        """The epochs of all phases where the settings say them themselves; None: as many as `phases` is given."""
        return None


def spans(phases: Sequence[Phase], losses: Sequence[float | None]) -> list[Span]:
    """The phases begun so far, after one monitored value (lower is better; None: not measured) an epoch.

    The last one has ended_by None unless it is over; epochs that a phase leaves unused are dropped.
    """
    found: list[Span] = []
    first = 0
    for number, phase in enumerate(phases):
        epochs, ended_by = _length(phase, losses[first:])
        found.append(Span(number, first, epochs, ended_by))
        first += epochs
        if ended_by is None:
            break
    return found


def _length(phase: Phase, losses: Sequence[float | None]) -> tuple[int, Literal["epochs", "plateau"] | None]:
    best, since = float("inf"), 0
    for epoch, loss in enumerate(losses[: phase.epochs], start=1):
        value = float("inf") if loss is None else loss
        since = 0 if value < best - phase.min_delta else since + 1
        best = min(best, value) if since == 0 else best
        if epoch == phase.epochs:
            return epoch, "epochs"
        if phase.patience is not None and since >= phase.patience:
            return epoch, "plateau"
    return len(losses), None


def is_over(phases: Sequence[Phase], losses: Sequence[float | None]) -> bool:
    """Whether the last phase has ended."""
    found = spans(phases, losses)
    return len(found) == len(phases) and found[-1].ended_by is not None


def prolonged_by(phases: Sequence[Phase], losses: Sequence[float | None]) -> list[str]:
    """The keys that a run which is over needs more of to go on; the patience of the run is that of its last phase."""
    longer = [*phases[:-1], replace(phases[-1], epochs=phases[-1].epochs + 1)]
    more = {
        "trainer.max_epochs": spans(phases, losses)[-1].ended_by == "epochs",
        "early_stopping.patience": is_over(longer, losses),
    }
    return [key for key, is_needed in more.items() if is_needed]


def current(phases: Sequence[Phase], losses: Sequence[float | None]) -> Span:
    """The phase of the epoch that comes after `losses`; after the end, the last one."""
    return spans(phases, losses)[-1]


def end(phases: Sequence[Phase], losses: Sequence[float | None]) -> int:
    """The epochs of the whole run, if no more of them are dropped."""
    now = current(phases, losses)
    return now.first_epoch + sum(phase.epochs for phase in phases[now.phase :])


@dataclass(frozen=True)
class Thaw:
    """Since when a stage has been training without a break, and for how long it is planned to."""

    first_epoch: int
    epochs_done: int
    epochs_planned: int
    losses: tuple[float | None, ...] = field(default=())


def thaw(stage: str, phases: Sequence[Phase], losses: Sequence[float | None]) -> Thaw | None:
    """The thaw of `stage` that the coming epoch belongs to; None while it is frozen.

    Phases that have ended early count with the epochs that they took: the plan of a stage shrinks with them, so its
    schedule reaches its end when the last phase does, whatever was dropped on the way.
    """
    begun = spans(phases, losses)
    now = begun[-1].phase
    if stage not in phases[now].descending:
        return None
    first = now
    while first > 0 and stage in phases[first - 1].descending:
        first -= 1
    last = now
    while last + 1 < len(phases) and stage in phases[last + 1].descending:
        last += 1
    first_epoch = begun[first].first_epoch
    taken = begun[now].first_epoch - first_epoch
    return Thaw(
        first_epoch=first_epoch,
        epochs_done=len(losses) - first_epoch,
        epochs_planned=taken + sum(p.epochs for p in phases[now : last + 1]),
        losses=tuple(losses[first_epoch:]),
    )


def check(phases: Sequence[Phase], stages: Sequence[str], has_validation: bool) -> None:
    """Raises: UserError for phases that cannot run."""
    if not phases:
        raise UserError("strategy: there is no phase; a strategy needs at least one")
    names = [p.name for p in phases]
    if phases[0].start == "best":
        raise UserError(f"strategy, phase '{phases[0].name}': start=best, and no phase comes before the first")
    for phase in phases:
        where = f"strategy, phase '{phase.name}'"
        if names.count(phase.name) > 1:
            raise UserError(f"{where}: two phases have this name; each needs its own")
        if phase.epochs < 1:
            raise UserError(f"{where}: {phase.epochs} epochs; a phase needs at least 1")
        if phase.patience is not None and phase.patience < 1:
            raise UserError(f"{where}: patience={phase.patience}; give at least 1 epoch, or null for never")
        if not 0 <= phase.min_delta < float("inf"):
            raise UserError(f"{where}: min_delta={phase.min_delta}; a gain is a number of at least 0")
        if phase.fit == "convex":
            _check_convex(phase, where)
        if not phase.rates:
            raise UserError(f"{where}: nothing trains; give at least one stage a rate")
        for stage, rate in phase.rates.items():
            if stage not in stages:
                raise UserError(f"{where}: no stage '{stage}'; {choices(stage, stages)}")
            if not 0 < rate < float("inf"):
                raise UserError(f"{where}: the rate of '{stage}' is {rate}; it must be above 0, or say frozen")
        if not has_validation and (phase.patience is not None or phase.start == "best"):
            raise UserError(
                f"{where}: patience and the best weights of a phase need a validation split; give the data one, "
                "or set strategy.patience=null (early_stopping.patience=null) and strategy.restore_best=false "
                "(in a file of phases: start: current)"
            )


def _check_convex(phase: Phase, where: str) -> None:
    if phase.epochs != 1:
        raise UserError(f"{where}: {phase.epochs} epochs; with fit=convex one pass over the data is all, epochs: 1")
    if phase.C is not None and not 0 < phase.C < float("inf"):
        raise UserError(f"{where}: C={phase.C}; a number above 0, or null for cross-validation")
    for stage in phase.rates:
        if not stage.startswith("head/"):
            raise UserError(f"{where}: fit=convex fits the head alone; make '{stage}' frozen, or use fit=gradient")


def head_phase(head_init: HeadInit, strength: float | None, stages: Sequence[str]) -> list[Phase]:
    """The convex phase that a strategy begins with under head_init=closed_form; none under random.

    Raises: UserError for another word.
    """
    if head_init not in ("random", "closed_form"):
        raise UserError(f"strategy.head_init={head_init}; {choices(head_init, ('random', 'closed_form'))}")
    if strength is not None and head_init == "random":
        raise UserError(f"strategy.C={strength}: nothing is fitted in closed form here; strategy.head_init=closed_form")
    head = [s for s in stages if s.startswith("head/")]
    return [Phase("head", 1, dict.fromkeys(head, 1.0), fit="convex", C=strength)] if head_init == "closed_form" else []


def with_early_stopping(phases: Sequence[Phase], patience: int | None, min_delta: float) -> list[Phase]:
    """Early stopping of the run is the patience of its last phase: a thaw is never stopped by what came before it."""
    if patience is None:
        return list(phases)
    return [*phases[:-1], replace(phases[-1], patience=patience, min_delta=min_delta)]


def prolonged(phases: Sequence[Phase], epochs: Sequence[int]) -> list[Phase]:
    """The phases of a run that goes on: as long as it was begun with, the last one taking what is more or less.

    Sharing a new number of epochs anew would put epochs that were run into other phases.

    Raises: UserError if less is left than the last phase needs.
    """
    if len(phases) != len(epochs):
        return list(phases)  # another strategy was allowed; its phases are its own
    last = epochs[-1] + sum(p.epochs for p in phases) - sum(epochs)
    if last < 1:
        raise UserError(
            f"trainer.max_epochs={sum(p.epochs for p in phases)}: the run was begun with phases of {list(epochs)} "
            f"epochs, and only the last can change; it needs at least {sum(epochs[:-1]) + 1}"
        )
    return [replace(p, epochs=n) for p, n in zip(phases, [*epochs[:-1], last], strict=True)]


def check_followed(
    phases: Sequence[Phase],
    losses: Sequence[float | None],
    names: Sequence[str],
    before: Sequence[Mapping[str, Any]],
    source: str,
) -> None:
    """Phases of the user's own for a run that goes on: each epoch that was run lies where it was run.

    names: the phase of each of these epochs; before: the fields of the phases that they were run by, where they are
    known; source: the key that gave `phases`.

    Raises: UserError for epochs that would lie in another phase, and for a finished phase that is another one now.
    """
    for epoch, name in enumerate(names):
        now = None if epoch and is_over(phases, losses[:epoch]) else phases[current(phases, losses[:epoch]).phase].name
        if now != name:
            would = "after the last phase" if now is None else f"in phase '{now}'"
            raise UserError(
                f"{source}: epoch {epoch + 1} was run in phase '{name}', and would now be {would}; phases that have "
                f"ended keep their epochs, and one that runs can only grow: {_taken(names)} are done"
            )
    running = current(phases, losses).phase
    for phase, was in zip(phases[:running], before, strict=False):
        differ = [key for key in FOLLOWED if getattr(phase, key) != was.get(key, False)]
        if differ:
            what = ", ".join("stages" if key == "rates" else key for key in differ)
            raise UserError(f"{source}: phase '{phase.name}' has ended, and {what} of it differ; put back what was run")


def _taken(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {names.count(name)}" for name in dict.fromkeys(names))


def share(epochs: int, names: Sequence[str], weights: Sequence[float] | None = None) -> list[int]:
    """Split `epochs` over the phases `names` by weight (None: evenly), at least 1 each.

    What is left after one epoch each is cut at the whole epoch nearest to each share's end.

    Raises: UserError if there are fewer epochs than phases.
    """
    if epochs < len(names):
        raise UserError(
            f"trainer.max_epochs={epochs}: {len(names)} phases need at least {len(names)} epochs; "
            "give more epochs or fewer phases (strategy.groups)"
        )
    weights = weights or [1.0] * len(names)
    spare, total = epochs - len(names), sum(weights)
    ends = [round(spare * sum(weights[: i + 1]) / total - 1e-9) for i in range(len(names))]
    return [1 + end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
