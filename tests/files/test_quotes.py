"""Rows out of texts whose quotes are closed, or are not."""

import csv
import io
import random

from ftlab.files.quotes import parsed


def test_good_texts_are_read_as_the_csv_module_reads_them() -> None:
    random.seed(0)
    cells = ["", "a", 'say "so"', "1,5", "two\nlines", "  x"]
    rows = [[random.choice(cells) for _ in range(4)] for _ in range(50)]
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows(rows)
    found = parsed(stream.getvalue(), ",")
    assert [row for _, row in found.rows] == rows
    assert found.stray == []
    assert len(found.broken) == sum(any("\n" in cell for cell in row) for row in rows)


def test_the_lines_of_rows_are_those_of_the_file() -> None:
    found = parsed('a,b\n1,"x\ny"\n\n2,z\n', ",")
    assert found.rows == [(1, ["a", "b"]), (3, ["1", "x\ny"]), (5, ["2", "z"])]
    assert found.broken == [(2, 3)]


def test_a_quote_that_ends_nowhere_costs_no_row_and_cells_of_several_lines_stay_whole() -> None:
    lines = ["a,b", '"5 inch,1', "plain,2", '"two', 'lines",3', 'x,"6 inch']
    found = parsed("\n".join(lines) + "\n", ",")
    assert [row for _, row in found.rows[1:]] == [
        ['"5 inch', "1"],
        ["plain", "2"],
        ["two\nlines", "3"],
        ["x", '"6 inch'],
    ]
    assert [line for line, _ in found.stray] == [2, 6]
    assert found.broken == [(4, 5)]
