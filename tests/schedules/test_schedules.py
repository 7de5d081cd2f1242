"""Curves against their formulas, and clocks that start when a group thaws; conf/schedule is enumerated."""

from math import cos, pi

import pytest

from ftlab.config import instantiate, options
from ftlab.schedules.base import Progress, Schedule
from ftlab.schedules.constant import Constant
from ftlab.schedules.cosine import Cosine
from ftlab.schedules.cyclic import Cyclic
from ftlab.schedules.exponential import Exponential
from ftlab.schedules.linear import Linear
from ftlab.schedules.one_cycle import OneCycle
from ftlab.schedules.plateau import Plateau
from ftlab.schedules.slanted import Slanted
from ftlab.schedules.step import Step
from ftlab.strategies.base import Phase
from ftlab.training.phases.rates import RatePlan

STEPS, EACH = 100, 10  # steps of ten epochs
OPTIONS = sorted(options("schedule"))


def at(schedule: Schedule, step: int, losses: tuple[float | None, ...] = (), steps: int = STEPS) -> float:
    return schedule.multiplier(Progress(step, steps, EACH, losses))


def shipped(option: str, **settings: float) -> Schedule:
    return instantiate({**options("schedule")[option], **settings})


def test_the_options_that_were_promised_are_there() -> None:
    promised = {"slanted", "constant", "step", "exponential", "linear", "cosine", "one_cycle", "cyclic", "plateau"}
    assert promised <= set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_stays_between_0_and_the_full_rate_and_reaches_it(option: str) -> None:
    for warmup in (0.0, 0.5, 3.0):
        schedule = shipped(option, warmup=warmup)
        values = [at(schedule, step) for step in range(STEPS)]
        assert all(0 < value <= 1 for value in values)
        assert max(values) == pytest.approx(1.0, abs=1e-3)


START = {"one_cycle": 0.04, "cyclic": 0.1, "slanted": 1 / 32}  # these begin at the foot


@pytest.mark.parametrize("option", OPTIONS)
def test_warmup_rises_evenly_to_where_the_curve_begins(option: str) -> None:
    schedule = shipped(option, warmup=2.0)  # 20 steps
    assert [at(schedule, step) for step in range(20)] == pytest.approx([(step + 1) / 21 for step in range(20)])
    assert at(schedule, 20) == pytest.approx(START.get(option, 1.0))


@pytest.mark.parametrize("option", OPTIONS)
def test_after_the_warmup_the_curve_runs_over_what_is_left(option: str) -> None:
    warm, cold = shipped(option, warmup=2.0), shipped(option, warmup=0.0)
    assert [at(warm, 20 + step) for step in range(80)] == [at(cold, step, steps=80) for step in range(80)]


def test_warmup_takes_at_most_half_of_what_is_planned() -> None:
    long = Constant(warmup=50.0)
    assert [at(long, step, steps=5) for step in range(5)] == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])
    assert at(long, 0, steps=1) == 1.0  # one step: no time to warm up


POINTS = (0, 1, 17, 40, 50, 83, 99)


@pytest.mark.parametrize("step", POINTS)
def test_curves_follow_their_formulas(step: int) -> None:
    done, epoch = step / STEPS, step / EACH
    assert at(Constant(), step) == 1.0
    assert at(Step(every=3.0, gamma=0.5), step) == 0.5 ** (step // 30)
    assert at(Exponential(gamma=0.8), step) == pytest.approx(0.8**epoch)
    assert at(Linear(floor=0.2), step) == pytest.approx(1 - 0.8 * done)
    assert at(Cosine(floor=0.2), step) == pytest.approx(0.2 + 0.4 * (1 + cos(pi * done)))
    rising = 0.1 + 0.9 * (1 - cos(pi * done / 0.4)) / 2
    falling = 0.01 + 0.99 * (1 + cos(pi * (done - 0.4) / 0.6)) / 2
    assert at(OneCycle(rise=0.4, start=0.1, end=0.01), step) == pytest.approx(rising if done < 0.4 else falling)
    inside = (epoch % 4) / 4  # place in a triangle of 4 epochs
    height = (2 * inside if inside < 0.5 else 2 - 2 * inside) * 0.5 ** int(epoch // 4)
    assert at(Cyclic(period=4.0, floor=0.1, decay=0.5), step) == pytest.approx(0.1 + 0.9 * height)


@pytest.mark.parametrize(("steps", "rise"), [(100, 0.1), (40, 0.25), (200, 0.05)])
def test_slanted_triangles_are_those_of_their_paper(steps: int, rise: float) -> None:
    """Howard and Ruder 2018, equation 3, in their own letters; the steps that go up are a whole number here."""
    ratio, cut = 32, int(steps * rise + 1e-9)
    for t in range(steps):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / rise - 1))
        assert at(Slanted(rise=rise), t, steps=steps) == pytest.approx((1 + p * (ratio - 1)) / ratio)


def test_step_drops_at_the_border_of_an_epoch() -> None:
    schedule = Step(every=2.0, gamma=0.1)
    assert [at(schedule, step) for step in (19, 20, 39, 40)] == pytest.approx([1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize(
    ("losses", "drops"),
    [
        ((), 0),
        ((1.0, 0.9, 0.8), 0),
        ((1.0, 1.0), 0),  # one epoch without a gain
        ((1.0, 1.0, 1.0), 1),
        ((1.0, 1.1, 0.8, 0.9), 0),  # a gain in between counts anew
        ((1.0, 1.0, 1.0, 1.0), 1),  # patience counts anew after a drop
        ((1.0, 1.0, 1.0, 1.0, 1.0), 2),
        ((1.0, 0.96, 0.92), 1),  # gains of less than min_delta from the best
        ((1.0, None, None), 1),  # not measured is no gain
    ],
)
def test_plateau_drops_after_so_many_epochs_without_a_gain(losses: tuple[float | None, ...], drops: int) -> None:
    schedule = Plateau(factor=0.5, patience=2, min_delta=0.1)
    assert at(schedule, 10 * len(losses), losses) == 0.5**drops


def test_plateau_never_drops_below_its_floor() -> None:
    assert at(Plateau(factor=0.1, patience=1, floor=0.05), 50, (1.0,) * 6) == 0.05


# The clock of each group


PHASES = [
    Phase("head", 2, {"head/fc": 1.0}),
    Phase("top", 3, {"b/top": 0.5, "head/fc": 1.0}),
    Phase("frozen again", 1, {"head/fc": 1.0}),
    Phase("all", 4, {"b/stem": 1.0, "b/top": 1.0, "head/fc": 1.0}),
]
RATES = {"b/stem": 0.1, "b/top": 0.2, "head/fc": 1.0}
FALLING = tuple(1 / (1 + epoch) for epoch in range(10))


def plan(schedule: Schedule) -> RatePlan:
    return RatePlan(lr=0.01, stages=RATES, schedule=schedule, phases=PHASES, steps_per_epoch=EACH)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_group_that_thaws_late_starts_its_own_clock(option: str) -> None:
    schedule = shipped(option)
    rates = plan(schedule)
    epoch, step = 3, 4  # the second epoch of `top`: 14 steps after its thaw, 34 after the head's
    found = rates.at(PHASES[1], rates.begin(FALLING[:epoch]), step)
    top = schedule.multiplier(Progress(14, 30, EACH, FALLING[2:3]))
    head = schedule.multiplier(Progress(34, 100, EACH, FALLING[:3]))
    assert found == pytest.approx({"b/top": 0.01 * 0.2 * 0.5 * top, "head/fc": 0.01 * 1.0 * head})


def test_a_group_that_thaws_again_warms_up_again() -> None:
    rates = plan(Linear(warmup=1.0))
    begun = rates.begin(FALLING[:6])
    found = rates.at(PHASES[3], begun, 0)
    assert found["b/top"] == pytest.approx(0.01 * 0.2 / 11)
    assert found["b/stem"] == pytest.approx(0.01 * 0.1 / 11)
    assert found["head/fc"] == pytest.approx(0.01 * (1 - (60 - 10) / (100 - 10)))


def test_a_frozen_group_has_no_rate() -> None:
    rates = plan(Constant())
    assert set(rates.begin([])) == {"head/fc"}
    assert set(rates.at(PHASES[2], rates.begin(FALLING[:5]), 0)) == {"head/fc"}


def test_a_phase_that_ends_early_brings_the_schedule_nearer_to_its_end() -> None:
    phases = [Phase("first", 6, {"head/fc": 1.0}, patience=1), Phase("second", 2, {"head/fc": 1.0})]
    rates = RatePlan(1.0, {"head/fc": 1.0}, Linear(), phases, EACH)
    losses = [1.0, 1.0]  # ends the first phase after 2 of its 6 epochs
    begun = rates.begin(losses)
    assert (begun["head/fc"].step, begun["head/fc"].steps) == (20, 40)
    assert rates.at(phases[1], begun, 19)["head/fc"] == pytest.approx(1 / 40)


def test_plateau_reads_only_what_came_after_its_own_thaw() -> None:
    rates = plan(Plateau(factor=0.5, patience=1))
    losses = [1.0, 2.0, 1.5]  # the head had one epoch without a gain, then another; `top` just its own first
    found = rates.at(PHASES[1], rates.begin(losses), 0)
    assert found == pytest.approx({"b/top": 0.01 * 0.2 * 0.5, "head/fc": 0.01 * 0.5**2})


def test_the_curve_of_the_report_holds_the_rate_of_every_step() -> None:
    schedule = Cosine(warmup=0.5)
    rates = plan(schedule)
    curve = rates.curve(FALLING, points=100)
    assert curve["epoch"] == pytest.approx([step / EACH for step in range(100)])
    assert set(curve["groups"]) == set(RATES)
    head = [0.01 * schedule.multiplier(Progress(step, 100, EACH)) for step in range(100)]
    assert curve["groups"]["head/fc"] == pytest.approx(head)
    top = curve["groups"]["b/top"]
    trains = [2 <= epoch < 5 or epoch >= 6 for epoch in curve["epoch"]]
    assert [rate is not None for rate in top] == trains
    stem = [rate for rate in curve["groups"]["b/stem"] if rate is not None]
    assert stem == pytest.approx([0.001 * schedule.multiplier(Progress(step, 40, EACH)) for step in range(40)])


def test_a_coarse_curve_keeps_the_first_and_the_last_step_of_each_epoch() -> None:
    marks = plan(Constant()).curve(FALLING, points=20)["epoch"]
    assert marks == pytest.approx([epoch + step / EACH for epoch in range(10) for step in (0, 9)])
