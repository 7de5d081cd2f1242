"""YAML that a person writes is read as they mean it, and what we write is read back as it was."""

import pytest

from ftlab.yaml_text import dumped, loaded


@pytest.mark.parametrize("text", ["1e-1", "1E5", "-2.5e+3", ".5e2", "1.e2", "3e0"])
def test_a_number_with_an_exponent_is_a_number(text: str) -> None:
    assert loaded(f"rate: {text}") == {"rate": float(text)}


@pytest.mark.parametrize("text", ["e5", "1e", "1e-", "1e5x", "2024-01-01e1", "'1e5'"])
def test_other_texts_stay_texts(text: str) -> None:
    assert loaded(f"rate: {text}") == {"rate": text.strip("'")}


def test_what_is_written_is_read_back_of_the_same_types() -> None:
    content = {"b": ["1e-1", 1e-1, "7", 7, 1e-20, "null", None, True, "true"], "a": {"1e5": "ä: b"}, "ö": "栗"}
    assert loaded(dumped(content)) == content
    assert list(loaded(dumped(content))) == list(content)
    assert "ö" in dumped(content)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3", 3),
        ("x:\n- {a: 1, b: 2, 'a': 3}", 2),
        ("x: {1: a,\n 0x1: b}", 2),
        ("a: &k {b: 1}\nb: {b: 1, <<: *k, b: 2}", 2),
    ],
)
def test_a_key_given_twice_is_an_error_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=rf"^line {line}: the key '\w' is given twice$"):
        loaded(text)


def test_a_key_of_a_merged_mapping_may_be_replaced() -> None:
    assert loaded("a: &k {b: 1, c: 2}\nd: {<<: *k, b: 3}")["d"] == {"b": 3, "c": 2}


@pytest.mark.parametrize("text", ["a: [", "!!python/name:os.system", "{[1]: 2}", "\x00", "a: *b"])
def test_what_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        loaded(text)
