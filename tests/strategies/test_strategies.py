"""What each strategy plans; every option of conf/strategy is tested by being there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftlab.composition import compose
from ftlab.config import instantiate, options
from ftlab.errors import UserError
from ftlab.strategies.base import Phase, Strategy, thaw
from ftlab.strategies.checks import check
from ftlab.strategies.closed_form import ClosedForm
from ftlab.strategies.full import Full
from ftlab.strategies.head_only import HeadOnly
from ftlab.strategies.lp_ft import LpFt
from ftlab.strategies.partial import Partial
from ftlab.strategies.phases import KEYS, Phases, read, write
from ftlab.strategies.progressive import Progressive

BACKBONE = [f"backbone/{name}" for name in ("stem", "layer1", "layer2", "layer3", "layer4")]
HEAD = ["head/hidden1", "head/fc"]
STAGES = [*BACKBONE, *HEAD]
OPTIONS = sorted(options("strategy"))
INLINE = [
    {"name": "all", "epochs": 2, "stages": {"*": 1.0}},
    {"name": "again frozen", "epochs": 1, "stages": {"head": 2, "rest": "frozen"}, "batchnorm": "train"},
]


def strategy_of(option: str) -> Strategy:
    node = options("strategy")[option]
    node = node.get("strategy", node)  # options of @package _global_ hold other groups' keys too
    auto = {
        "head_init": "closed_form",
        "groups": 2,
        "restore_best": True,
        "head_share": 0.2,
        "head_rate": 1.0,
        "rate": 0.5,
        "average": True,
    }  # by assembly, see its tests
    decided = {key: auto[key] for key, value in node.items() if value == "auto"}
    return instantiate({**node, **decided, **({"inline": INLINE} if option == "phases" else {})})


def test_the_options_that_were_promised_are_there() -> None:
    expected = {"full", "head_only", "feature_extraction", "partial", "progressive", "scratch", "phases"}
    expected |= {"closed_form", "lp_ft"}
    assert expected <= set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_plans_phases_that_can_run_and_train_the_head_in_each(option: str) -> None:
    phases = strategy_of(option).phases(STAGES, 10)
    check(phases, STAGES, has_validation=True)
    assert sum(phase.epochs for phase in phases) == {"phases": 3, "closed_form": 1}.get(option, 10)
    for phase in phases:
        assert set(HEAD) <= set(phase.trainable)
        assert list(phase.trainable) == [stage for stage in STAGES if stage in phase.rates]  # in their order


@pytest.mark.parametrize("policy", ["frozen", "train"])
@pytest.mark.parametrize("kind", [Full, HeadOnly, Partial, Progressive])  # a closed-form head has none
def test_every_phase_has_the_strategys_batchnorm(kind: type[Strategy], policy: str) -> None:
    phases = kind(batchnorm=policy).phases(STAGES, 10)  # type: ignore[arg-type]
    assert {phase.batchnorm for phase in phases} == {policy}


@pytest.mark.parametrize("kind", [Full, HeadOnly, Partial, Progressive, LpFt])
def test_every_phase_of_gradient_descent_averages_if_the_strategy_does(kind: type[Strategy]) -> None:
    for average in (True, False):
        phases = kind(average=average).phases(LINEAR, 10)
        assert {phase.averages for phase in phases if phase.fit == "gradient"} == {average}
        assert not any(phase.averages for phase in phases if phase.fit == "convex")


def test_a_strength_that_nothing_would_read_is_an_error() -> None:
    with pytest.raises(UserError, match=r"strategy.C=2.0: nothing is fitted in closed form here"):
        LpFt(head_init="random", C=2.0).phases(LINEAR, 10)


def test_full_trains_all_and_head_only_the_head() -> None:
    assert Full().phases(STAGES, 7) == [Phase("full", 7, dict.fromkeys(STAGES, 1.0))]
    assert HeadOnly().phases(STAGES, 7) == [Phase("head", 7, dict.fromkeys(HEAD, 1.0))]


@pytest.mark.parametrize("last", range(6))
def test_partial_trains_the_head_and_the_last_stages_of_the_backbone(last: int) -> None:
    (phase,) = Partial(last=last).phases(STAGES, 4)
    assert list(phase.trainable) == STAGES[5 - last :]


def test_partial_by_patterns_trains_what_they_name_in_the_order_of_the_stages() -> None:
    (phase,) = Partial(patterns=("head", "backbone/layer[13]", "backbone/layer1")).phases(STAGES, 4)
    assert list(phase.trainable) == ["backbone/layer1", "backbone/layer3", *HEAD]


def test_partial_refuses_more_stages_than_there_are_and_patterns_that_name_none() -> None:
    with pytest.raises(UserError, match=r"strategy.last=6.*5 stages"):
        Partial(last=6).phases(STAGES, 4)
    with pytest.raises(UserError, match=r"strategy.patterns.*'layer3'.*did you mean 'backbone/layer3'"):
        Partial(patterns=("layer3", "head")).phases(STAGES, 4)


def test_progressive_thaws_the_head_then_groups_towards_the_input() -> None:
    phases = Progressive().phases(STAGES, 10)
    # 5 stages in 2 groups: 3 at the input, 2 at the output. 7 spare epochs by 0.2, 0.4, 0.4 after one each.
    assert [(p.name, p.epochs, list(p.trainable)) for p in phases] == [
        ("head", 2, HEAD),
        ("layer3", 4, ["backbone/layer3", "backbone/layer4", *HEAD]),
        ("stem", 4, STAGES),
    ]
    assert [p.start for p in phases] == ["current", "best", "best"]


@pytest.mark.parametrize(
    ("stages", "groups", "expected"),  # first thawed stage of each phase after the head's
    [
        (1, 1, [0]),
        (2, 1, [0]),
        (2, 2, [1, 0]),
        (5, 3, [4, 2, 0]),  # groups of 2, 2 and 1
        (7, 2, [4, 0]),  # 4 and 3
        (12, None, list(range(11, -1, -1))),  # stage by stage
    ],
)
def test_progressive_groups_are_even_with_the_larger_at_the_input(
    stages: int, groups: int | None, expected: list[int]
) -> None:
    backbone = [f"backbone/blocks.{i}" for i in range(stages)]
    phases = Progressive(groups=groups).phases([*backbone, "head/fc"], 20)
    assert [list(p.trainable) for p in phases[1:]] == [[*backbone[first:], "head/fc"] for first in expected]
    assert [p.name for p in phases[1:]] == [f"blocks.{first}" for first in expected]
    assert sum(p.epochs for p in phases) == 20


def test_with_each_one_more_stage_thaws_every_so_many_epochs_and_the_last_phase_has_the_rest() -> None:
    phases = Progressive(groups=None, each=2).phases(STAGES, 20)
    backbone = [stage for stage in STAGES if not stage.startswith("head/")]
    assert [p.epochs for p in phases] == [2] * len(backbone) + [20 - 2 * len(backbone)]
    assert [len(p.trainable) for p in phases] == [len(STAGES) - len(backbone) + n for n in range(len(backbone) + 1)]
    with pytest.raises(UserError, match=r"trainer.max_epochs=6: .*strategy.each=2 epochs, need at least"):
        Progressive(groups=None, each=2).phases(STAGES, 6)


def test_progressive_hands_its_patience_to_every_phase() -> None:
    phases = Progressive(patience=3, min_delta=0.5, restore_best=False).phases(STAGES, 9)
    assert {(p.patience, p.min_delta, p.start) for p in phases} == {(3, 0.5, "current")}


def test_progressive_needs_an_epoch_for_each_phase_and_a_stage_for_each_group() -> None:
    with pytest.raises(UserError, match=r"trainer.max_epochs=3.*6 phases"):
        Progressive(groups=None).phases(STAGES, 3)
    with pytest.raises(UserError, match=r"strategy.groups=6.*5 stages"):
        Progressive(groups=6).phases(STAGES, 30)


# Phases without gradient descent


def convex(strength: float | None = None) -> Phase:
    return Phase("head", 1, {"head/fc": 1.0}, fit="convex", C=strength)


LINEAR = [*BACKBONE, "head/fc"]


def test_closed_form_is_one_epoch_whatever_the_run_is_given() -> None:
    assert ClosedForm(C=0.3).phases(LINEAR, 10) == [convex(0.3)]


def test_lp_ft_goes_on_with_the_whole_network_at_a_lower_rate_from_the_best_weights() -> None:
    head, rest = LpFt(rate=0.2, groups=1).phases(LINEAR, 10)
    assert head == convex()
    assert (rest.epochs, rest.start, dict(rest.rates)) == (9, "best", dict.fromkeys(LINEAR, 0.2))
    by_stage = LpFt(groups=None).phases(LINEAR, 11)
    assert [len(p.trainable) for p in by_stage] == [1, 2, 3, 4, 5, 6]
    assert [p.epochs for p in by_stage] == [1, 2, 2, 2, 2, 2]


def test_a_head_that_descends_alone_is_as_fast_as_with_the_network_and_never_slower_than_the_run() -> None:
    fast, _ = LpFt(head_init="random", groups=1, rate=3.0).phases(LINEAR, 10)
    slow, _ = LpFt(head_init="random", groups=1, rate=0.5).phases(LINEAR, 10)
    assert {*fast.rates.values()} == {3.0}
    assert {*slow.rates.values()} == {1.0}


def test_lp_ft_without_a_closed_form_begins_with_gradient_descent_on_the_head() -> None:
    head, *rest = LpFt(head_init="random", head_share=0.3).phases(LINEAR, 10)
    assert (head.fit, head.epochs, dict(head.rates)) == ("gradient", 3, {"head/fc": 1.0})
    assert {rate for phase in rest for rate in phase.rates.values()} == {0.5}
    assert sum(phase.epochs for phase in rest) == 7


def test_a_head_in_closed_form_takes_one_epoch_of_the_run() -> None:
    head, rest = Full(head_init="closed_form", C=2.0).phases(LINEAR, 7)
    assert head == convex(2.0)
    assert rest == Phase("full", 6, dict.fromkeys(LINEAR, 1.0))
    phases = Progressive(head_init="closed_form").phases(LINEAR, 11)
    assert phases[0] == convex()
    assert [p.epochs for p in phases] == [1, 5, 5]
    assert [p.trainable for p in phases] == [p.trainable for p in Progressive().phases(LINEAR, 11)]


def test_a_head_in_closed_form_needs_an_epoch_of_its_own() -> None:
    with pytest.raises(UserError, match=r"trainer.max_epochs=1.*2 phases"):
        Full(head_init="closed_form").phases(LINEAR, 1)
    with pytest.raises(UserError, match=r"head_init=closed.*did you mean 'closed_form'"):
        Full(head_init="closed").phases(LINEAR, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"epochs": 2}, ["2 epochs", "fit=convex"]),
        ({"rates": {"backbone/layer4": 1.0, "head/fc": 1.0}}, ["'backbone/layer4'", "frozen", "fit=gradient"]),
        ({"C": 0.0}, ["C=0.0", "above 0"]),
    ],
)
def test_a_convex_phase_that_cannot_be_fitted_is_refused(changed: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        check([replace(convex(), **changed)], LINEAR, has_validation=True)
    assert all(word in str(caught.value) for word in words), caught.value


def test_the_schedule_of_the_head_begins_after_its_fit() -> None:
    """Its warmup and decay are of the steps that are taken, and go with the backbone's."""
    phases = LpFt(groups=1).phases(LINEAR, 5)
    assert thaw("head/fc", phases, []) is None
    since = thaw("head/fc", phases, [0.5, 0.4])
    assert since == thaw("backbone/stem", phases, [0.5, 0.4])
    assert since is not None
    assert (since.first_epoch, since.epochs_done, since.epochs_planned) == (1, 1, 4)


# The user's own phases


def test_phases_are_read_from_the_list_with_globs_and_rest() -> None:
    first, second = Phases(inline=tuple(INLINE)).phases(STAGES, 99)
    assert first == Phase("all", 2, dict.fromkeys(STAGES, 1.0))
    assert second == Phase("again frozen", 1, dict.fromkeys(HEAD, 2.0), batchnorm="train")


def test_a_phase_that_does_not_say_has_the_strategys_batchnorm() -> None:
    phases = Phases(inline=tuple(INLINE), batchnorm="train").phases(STAGES, 99)
    assert [p.batchnorm for p in phases] == ["train", "train"]


def test_a_file_of_the_plan_reads_back_to_the_same_phases(tmp_path: Path) -> None:
    plans = [*Progressive(patience=3, min_delta=0.01, groups=None).phases(STAGES, 20)]
    plans[0] = Phase("fit", 1, dict.fromkeys(HEAD, 1.0), fit="convex", C=0.25)
    plans[2] = Phase("slow", 3, {"head/fc": 1e-5, "head/hidden1": 0.1 + 0.2}, None, 0.0, "best", "train")
    write(plans, STAGES, tmp_path / "phases.yaml")
    assert Phases(file=str(tmp_path / "phases.yaml")).phases(STAGES, 1) == plans


def test_a_file_is_never_overwritten_and_needs_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "phases.yaml"
    file.write_text("mine")
    with pytest.raises(UserError, match=r"plan.output=.*phases.yaml.*exists"):
        write(Full().phases(STAGES, 1), STAGES, file)
    assert file.read_text() == "mine"
    with pytest.raises(UserError, match=r"plan.output=.*nowhere"):
        write(Full().phases(STAGES, 1), STAGES, tmp_path / "nowhere" / "phases.yaml")


GOOD = {"name": "p", "epochs": 1, "stages": {"*": 1.0}}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("head", ["mapping", "'head'", "epochs"]),
        ({**GOOD, "epoch": 3}, ["'epoch'", "did you mean 'epochs'"]),
        ({"epochs": 1, "stages": {"*": 1.0}}, ["'name'", "missing"]),
        ({"name": "p", "stages": {"*": 1.0}}, ["'epochs'", "missing"]),
        ({"name": "p", "epochs": 1}, ["'stages'", "missing"]),
        ({**GOOD, "epochs": "two"}, ["epochs", "'two'", "whole number"]),
        ({**GOOD, "epochs": 1.5}, ["epochs", "1.5", "whole number"]),
        ({**GOOD, "epochs": True}, ["epochs", "True", "whole number"]),
        ({**GOOD, "patience": "x"}, ["patience", "'x'", "whole number or null"]),
        ({**GOOD, "min_delta": "x"}, ["min_delta", "'x'", "a number"]),
        ({**GOOD, "start": "bets"}, ["start", "'bets'", "did you mean 'best'"]),
        ({**GOOD, "fit": "closed"}, ["fit", "'closed'", "gradient", "convex"]),
        ({**GOOD, "C": "x"}, ["C", "'x'", "above 0 or null"]),
        ({**GOOD, "batchnorm": "freeze"}, ["batchnorm", "'freeze'", "frozen"]),
        ({**GOOD, "stages": ["head"]}, ["stages", "'head'", "mapping"]),
        ({**GOOD, "stages": {"heads": 1.0, "rest": "frozen"}}, ["'heads'", "head/fc"]),
        ({**GOOD, "stages": {"head": 1.0}}, ["backbone/stem", "rest"]),
        ({**GOOD, "stages": {"head": "fast", "rest": "frozen"}}, ["'fast'", "frozen", "1.0"]),
        ({**GOOD, "stages": {"head": None, "rest": "frozen"}}, ["None", "frozen"]),
        ({**GOOD, "stages": {3: 1.0, "rest": "frozen"}}, ["'3'", "head/fc"]),
    ],
)
def test_a_wrong_entry_is_named_with_what_is_accepted(entry: object, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        Phases(inline=(GOOD, entry)).phases(STAGES, 1)  # type: ignore[arg-type]
    assert "phase 2" in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("phases: [", ["cannot be read as YAML", "line 1"]),
        ("phases:\n- name: p\n  stages: {head: 1.0}\n  stages: {}", ["line 4", "'stages' is given twice"]),
        ("phases:\n- stages: {head: 1.0,\n   'head': frozen}", ["line 3", "'head' is given twice"]),
        ("phases: !!python/object:os.system {}", ["line 1", "could not determine a constructor"]),
        ("phases: " + "[" * 5000, ["nested too deeply"]),
        ("phase: []", ["one key, phases"]),
        ("- name: p", ["one key, phases"]),
        ("phases: head", ["one key, phases", "list"]),
        ("", ["one key, phases"]),
    ],
)
def test_a_file_that_is_no_list_of_phases_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read(file)
    assert all(word in str(caught.value) for word in ["strategy.file", "wrong.yaml", *words]), caught.value


def test_rates_may_be_written_with_an_exponent(tmp_path: Path) -> None:
    file = tmp_path / "phases.yaml"
    file.write_text("phases: [{name: 1e-1, epochs: 2, stages: {head: 1e-1, 'backbone/*': 5E2}}]")
    (phase,) = Phases(file=str(file)).phases(STAGES, 1)
    assert {phase.rates[stage] for stage in HEAD} == {10**-1}
    assert {rate for stage, rate in phase.rates.items() if stage not in HEAD} == {5 * 10**2}


def test_epochs_typed_beside_phases_are_those_of_the_phases(tmp_path: Path) -> None:
    file = tmp_path / "phases.yaml"
    file.write_text("phases:\n" + "".join(f"- {{name: p{n}, epochs: {n}, stages: {{rest: 1.0}}}}\n" for n in (1, 4)))
    chosen = ["strategy=phases", f"strategy.file={file}"]
    own = 1 + 4
    assert compose(chosen).strategy.file == str(file)
    assert compose([*chosen, f"trainer.max_epochs={own}"]).trainer.max_epochs == own
    for mode in ("train", "plan"):
        with pytest.raises(UserError, match=rf"trainer.max_epochs=3: .*epochs of their own, {own} in all"):
            compose([*chosen, "trainer.max_epochs=3"], mode)
    assert compose(["strategy=progressive", "trainer.max_epochs=3"]).trainer.max_epochs == 3


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"strategy.file=.*gone.yaml.*no such file.*plan.output"):
        read(tmp_path / "gone.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00phases")
    with pytest.raises(UserError, match=r"strategy.file=.*bytes.yaml"):
        read(tmp_path / "bytes.yaml")
    with pytest.raises(UserError, match=r"strategy.file="):
        read(tmp_path)


def test_phases_need_a_file_or_a_list_and_not_both() -> None:
    for wrong in (Phases(), Phases(file="x.yaml", inline=(GOOD,))):
        with pytest.raises(UserError, match=r"strategy.file.*strategy.inline.*one of the two"):
            wrong.phases(STAGES, 1)


def test_every_setting_of_a_phase_can_be_said_in_a_file() -> None:
    said = {"name", "epochs", "stages", "patience", "min_delta", "start", "batchnorm", "fit", "C", "average"}
    assert set(KEYS) == said


def test_a_head_that_was_fitted_can_learn_slower_than_what_is_behind_it() -> None:
    head, rest = LpFt(groups=1, rate=0.5, head_rate=0.1).phases(LINEAR, 10)
    assert head.fit == "convex"
    expected = {stage: 0.05 if stage.startswith("head/") else 0.5 for stage in LINEAR}
    assert rest.rates == pytest.approx(expected)


def test_no_share_for_the_head_alone_is_no_phase_of_its_own() -> None:
    (whole,) = LpFt(groups=1, head_init="random", head_share=0.0).phases(LINEAR, 10)
    assert (whole.epochs, whole.start) == (10, "current")
    assert whole.rates == dict.fromkeys(LINEAR, 1.0)
