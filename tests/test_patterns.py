"""Every stage under exactly one rule, or an error that names the rule."""

import pytest

from ftlab.errors import UserError
from ftlab.patterns import cover, match, shorten

STAGES = ["backbone/stem", "backbone/blocks.0", "backbone/blocks.1", "backbone/blocks.10", "head/hidden1", "head/fc"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("backbone/stem", ["backbone/stem"]),  # an address
        ("backbone/blocks.1", ["backbone/blocks.1"]),  # not blocks.10 too
        ("backbone/blocks.*", STAGES[1:4]),  # a glob
        ("backbone/blocks.[01]", STAGES[1:3]),
        ("*/fc", ["head/fc"]),
        ("backbone", STAGES[:4]),  # a part
        ("head", STAGES[4:]),
        ("*", STAGES),
    ],
)
def test_a_pattern_is_an_address_a_glob_or_a_part(pattern: str, expected: list[str]) -> None:
    assert match(pattern, STAGES, "here") == expected


@pytest.mark.parametrize("pattern", ["blocks.0", "back", "Head", "head/", "backbone/blocks"])
def test_a_pattern_is_neither_a_part_of_an_address_nor_in_other_letters(pattern: str) -> None:
    with pytest.raises(UserError, match="matches no stage"):
        match(pattern, STAGES, "here")


def test_a_pattern_that_matches_nothing_names_itself_its_setting_the_nearest_and_all_stages() -> None:
    with pytest.raises(UserError) as caught:
        match("backbone/block.0", STAGES, "rates.patterns")
    message = str(caught.value)
    assert message.startswith("rates.patterns: pattern 'backbone/block.0' matches no stage")
    assert "did you mean 'backbone/blocks.0'?" in message
    assert all(stage in message for stage in STAGES)


def test_every_stage_has_the_value_of_its_rule_in_the_order_of_the_stages() -> None:
    values = cover({"head": 1.0, "backbone/blocks.*": 0.5, "backbone/stem": 0.1}, STAGES, "here")
    assert list(values.items()) == list(zip(STAGES, [0.1, 0.5, 0.5, 0.5, 1.0, 1.0], strict=True))


def test_rest_is_for_all_that_no_other_rule_names_wherever_it_stands() -> None:
    for rules in ({"rest": 0.1, "head": 1.0}, {"head": 1.0, "rest": 0.1}):
        assert cover(rules, STAGES, "here") == {s: 1.0 if s.startswith("head/") else 0.1 for s in STAGES}


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"head": 1, "head/fc": 2, "rest": 3}, ["'head/fc'", "two rules"]),  # a stage under two rules
        ({"head": 1, "backbone/blocks.*": 2}, ["backbone/stem", "no rule", "rest"]),  # a stage under none
        ({"head": 1, "backbone": 2, "rest": 3}, ["'rest'", "no stage"]),  # a rule without a stage
        ({"rest": 1, "tail": 2}, ["'tail'", "ccepted", "head/fc"]),
        ({}, ["no rule", "backbone/stem"]),
    ],
)
def test_rules_that_do_not_cover_each_stage_once_are_refused(rules: dict[str, int], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        cover(rules, STAGES, "this setting")
    assert all(word in str(caught.value) for word in ["this setting", *words])


def test_long_lists_of_names_are_shortened_with_their_count() -> None:
    assert shorten("abcd") == "a, b, c, d"
    assert shorten("abcdefg") == "a, b, c, d and 3 more"
