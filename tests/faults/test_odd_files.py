"""Files of other people are read as they are meant, and what is not as usual is told."""

from pathlib import Path

import pytest

from tests.faults.odd_files import CASES, Odd, found


def test_there_are_cases_enough_with_names_of_their_own() -> None:
    assert len({case.what for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_file_is_read_as_it_is_meant_and_told(case: Odd, tmp_path: Path) -> None:
    one = found(case, tmp_path)
    assert one.code == case.code, one.said
    assert one.read == case.read, one.said
    assert case.told in one.said
    if not case.told:
        assert "column" not in one.said
        assert "rows" not in one.said
        assert "file" not in one.said
