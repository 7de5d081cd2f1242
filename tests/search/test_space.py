"""What may vary in a search, as typed; and when a run may be pruned."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ftlab.errors import UserError
from ftlab.search.pruning import RIVALS, best, comparable
from ftlab.search.space import Space, Span, Values, space_of


def read(*texts: str) -> Space:
    return space_of(OverridesParser.create().parse_overrides(list(texts)))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a=interval(1,10)", Span(1.0, 10.0, whole=False)),  # Hydra's ends are floats
        ("a=int(interval(1,10))", Span(1, 10, whole=True, step=1)),
        ("a=tag(log,interval(1e-5,1e-2))", Span(1e-5, 1e-2, whole=False, log=True)),
        ("a=tag(log,int(interval(1,128)))", Span(1, 128, whole=True, step=1, log=True)),
        ("a=range(1,10,3)", Span(1, 7, whole=True, step=3)),
        ("a=x,y,x", Values(("x", "y"))),
        ("a=choice([1,2],b)", Values(("[1,2]", "b"))),
    ],
)
def test_hydras_grammar_is_understood(text: str, meant: Values | Span) -> None:
    assert read(text) == Space({}, {"a": meant})


def test_a_range_of_fractions_has_the_values_that_one_reads() -> None:
    found = read("a=range(0.1,0.5,0.1)").varied["a"]
    assert isinstance(found, Span)
    assert [found.text(value) for value in found.grid() or []] == ["0.1", "0.2", "0.3", "0.4"]


def test_the_last_of_two_words_about_a_key_counts_and_the_others_are_fixed() -> None:
    space = read("a=1,2", "b=3", "++c=x,y", "a=5")
    assert space == Space({"b": "3", "a": "5"}, {"++c": Values(("x", "y"))})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=tag(lg,interval(1,2))", "tag(lg, ...): no such tag; accepted: log."),
        ("a=tag(log,choice(1,2))", "has no order"),
        ("a=tag(log,interval(0,1))", "needs numbers above 0"),
        ("a=tag(log,range(1,9,2))", "the step 1"),
        ("a=interval(2,1)", "a lower number first"),
        ("a=range(3,1)", "holds no value"),
    ],
)
def test_what_cannot_vary_like_that_is_told(text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read(text)
    assert str(caught.value).startswith(text)
    assert said in str(caught.value)


def test_no_run_is_pruned_in_the_middle_of_a_phase_that_its_rivals_have_not_come_to() -> None:
    done = float("inf")
    assert not comparable(1, is_over=False, rivals=[0.0] * 9 + [1.0] * (RIVALS - 1))
    assert comparable(1, is_over=False, rivals=[1.0, 2.0, done, done])
    assert comparable(1, is_over=True, rivals=[0.0])  # at its end it has had its chance
    assert comparable(0, is_over=False, rivals=[])  # where all begin; how many are enough is the pruner's business


def test_a_run_is_judged_by_its_best_epoch_so_far() -> None:
    assert best([0.5, None, 0.4], maximises=True) == 0.5
    assert best([0.5, None, 0.4], maximises=False) == 0.4
    assert best([None], maximises=True) is None
