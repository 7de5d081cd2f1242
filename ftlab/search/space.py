"""What may vary in a search, from Hydra's own grammar: choice, range, interval, with tag(log, ...) and int(...)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from ftlab.errors import UserError

LOG = "log"
TAGS = (LOG,)


@dataclass(frozen=True)
class Values:
    """One of several, as typed; their order says nothing."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Span:
    """A number from `low` to `high`, both included."""

    low: float
    high: float
    whole: bool  # whole numbers alone
    step: float | None = None  # from one to the next; None of numbers that are not whole: any
    log: bool = False  # equal shares of the search for equal ratios

    def text(self, value: float) -> str:
        """As one types it, with six digits: a person reads it, and a step of 0.1 leaves no 0.30000000000000004."""
        return str(int(value)) if self.whole else f"{value:.6g}"

    def grid(self) -> list[float] | None:
        """All of them; None where there is no step."""
        if self.step is None:
            return None
        return [self.low + self.step * n for n in range(round((self.high - self.low) / self.step) + 1)]


@dataclass(frozen=True)
class Space:
    """What is the same in all trials, and what varies, each by its key as typed (+ and ++ included)."""

    fixed: Mapping[str, str] = field(default_factory=dict)
    varied: Mapping[str, Values | Span] = field(default_factory=dict)

    def described(self) -> dict[str, str]:
        """The same as plain text, to be held against that of another day."""
        return {**self.fixed, **{key: str(one) for key, one in self.varied.items()}}


def space_of(overrides: Sequence[Override]) -> Space:
    """Of a key that comes twice the last counts, as in Hydra. Raises: UserError for what cannot vary like that."""
    fixed: dict[str, str] = {}
    varied: dict[str, Values | Span] = {}
    for one in overrides:
        key = str(one.get_key_element())
        fixed.pop(key, None), varied.pop(key, None)
        if one.is_sweep_override():
            varied[key] = _varied(one)
        else:
            fixed[key] = one.get_value_element_as_str()
    return Space(fixed, varied)


def _varied(one: Override) -> Values | Span:
    value, text = one.value(), str(one.input_line)
    tags = set(getattr(value, "tags", ()))
    if unknown := sorted(tags - {*TAGS}):
        raise UserError(f"{text}: tag({unknown[0]}, ...): no such tag; accepted: {', '.join(TAGS)}.")
    log = LOG in tags
    if isinstance(value, IntervalSweep):
        whole = isinstance(value.start, int) and isinstance(value.end, int)  # int(interval(...)): Hydra's are floats
        found = Span(value.start, value.end, whole, 1 if whole else None, log)  # type: ignore[arg-type]
    elif isinstance(value, RangeSweep):
        found = _range(text, [float(number) for number in one.sweep_string_iterator()], value, log)
    elif log:
        raise UserError(f"{text}: tag(log, ...) is for interval and range; what is listed has no order")
    else:
        return Values(tuple(dict.fromkeys(one.sweep_string_iterator())))
    if not found.low < found.high:
        raise UserError(f"{text}: expected a lower number first, then a higher one")
    if log and found.low <= 0:
        raise UserError(f"{text}: tag(log, ...) needs numbers above 0")
    return found


def _range(text: str, numbers: list[float], value: RangeSweep, log: bool) -> Span:
    """As Hydra counts: the end is not one of them."""
    if not numbers:
        raise UserError(f"{text}: holds no value")
    whole = all(isinstance(part, int) for part in (value.start, value.stop, value.step))
    if log and (not whole or value.step != 1):
        raise UserError(f"{text}: tag(log, ...) of a range needs whole numbers and the step 1; or use interval(...)")
    return Span(min(numbers), max(numbers), whole, abs(value.step), log)
