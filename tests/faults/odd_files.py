"""Files of rows as other people write them, each given to `ftlab check` in process: what is read and what is told.

Run it to see the table: `python -m tests.faults.odd_files`.
"""

import contextlib
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from ftlab.composition import compose
from ftlab.config import plainly
from ftlab.data.base import Splits
from ftlab.errors import UserError
from ftlab.survey import problems_of, source_of

TABLE = ("data=table", "data.file=t.csv", "data.label_column=y")
PRICE = ("data=table", "data.file=t.csv", "data.target_columns=[y]")
IMAGES = ("data=image_csv", "data.root=.", "data.file=t.csv")
SERIES = ("data=sequence", "data.file=t.csv", "data.label_column=y", "data.series_column=s")


@dataclass(frozen=True)
class Odd:
    """A file called t.csv, or as `name` says, and the words of a command that reads it."""

    what: str
    text: str | bytes
    read: str  # as `described` tells it; empty: nothing
    told: str = ""  # part of what is said; empty: nothing at all
    code: int = 0
    words: tuple[str, ...] = TABLE
    name: str = "t.csv"


def rows(*lines: str, header: str = "a,b,y", times: int = 6, end: str = "\n") -> str:
    """A file of these lines, several times, so that a column has cells enough; each time they are other rows."""
    return end.join([header, *(line.replace("#", str(turn)) for turn in range(times) for line in lines)]) + end


TWO = ("1#,u,yes", "2#,v,no")  # a column of numbers, one of categories, and a class
PLAIN = "12: a number, b category; classes no, yes"
BOTH = "12: a number, b number; classes no, yes"
NUMBERS = ("1#,1.5,yes", "2#,2.5,no")


def of_labels(*labels: str, times: int = 4) -> str:
    return rows(*(f"{place}#,u,{label}" for place, label in enumerate(labels)), times=times)


CASES = [
    # how cells are parted
    Odd("commas", rows(*TWO), PLAIN),
    Odd("semicolons", rows(*TWO).replace(",", ";"), PLAIN, "semicolons between cells"),
    Odd("tabs", rows(*TWO).replace(",", "\t"), PLAIN, "tabs between cells"),
    Odd("bars", rows(*TWO).replace(",", "|"), PLAIN, "bars between cells"),
    Odd("a delimiter that is set", rows(*TWO).replace(",", ";"), PLAIN, words=(*TABLE, "data.delimiter=semicolon")),
    Odd("a character that is set", rows(*TWO).replace(",", "~"), PLAIN, words=(*TABLE, "data.delimiter='~'")),
    Odd(
        "a delimiter that is not there",
        rows(*TWO),
        "",
        "data.label_column=y is no column",
        2,
        (*TABLE, "data.delimiter=tab"),
    ),
    Odd(
        "no such delimiter",
        rows(*TWO),
        "",
        "expected comma | semicolon | tab | bar",
        2,
        (*TABLE, "data.delimiter=dash"),
    ),
    Odd("commas in semicolons' cells", rows("1#;u,w;yes", "2#;v,w;no", header="a;b;y"), PLAIN, "semicolons"),
    Odd("blanks behind the commas", rows(*TWO).replace(",", ", "), PLAIN),
    Odd("one column only", rows("u", "v", header="y"), "", "no column is left for the network to see", 2),
    # ends of lines, first lines, empty lines
    Odd("ends of lines of Windows", rows(*TWO, end="\r\n"), PLAIN),
    Odd("ends of lines of old Macs", rows(*TWO, end="\r"), PLAIN),
    Odd("no end of the last line", rows(*TWO).rstrip("\n"), PLAIN),
    Odd("empty lines", rows(*TWO).replace("\n", "\n\n"), PLAIN),
    Odd("an empty file", "", "", "the file has no rows", 2),
    Odd("a first line without names", "\n" + rows(*TWO), PLAIN),
    Odd("names and no rows", "a,b,y\n", "", "the file has no rows", 2),
    # names of columns
    Odd("blanks around names", rows(*TWO, header=" a , b ,y "), PLAIN),
    Odd("names in quotes", rows(*TWO, header='"a","b","y"'), PLAIN),
    Odd("two columns of one name", rows("1#,u,1,yes", header="a,b,a,y"), "", "the name is that of two columns", 2),
    Odd(
        "two images' columns of one name",
        rows("1#.png,u,v", header="path,label,label"),
        "",
        "that of two columns",
        2,
        IMAGES,
    ),
    Odd(
        "an index without a name",
        "".join(
            f"{n}{',' if n else ''}{line}\n" if n else f",{line}\n" for n, line in enumerate(rows(*TWO).splitlines())
        ),
        PLAIN,
        "numbers the rows and is left out",
    ),
    Odd(
        "a column without a name",
        rows("1#,u,x,yes", "2#,v,x,no", header="a,b,,y"),
        "12: a number, b category, column 3 category; classes no, yes",
        "called 'column 3'",
    ),
    Odd(
        "names that are digits",
        rows(*TWO, header="0,1,2"),
        "12: 0 number, 1 category; classes no, yes",
        words=("data=table", "data.file=t.csv", "data.label_column=2"),
    ),
    Odd(
        "names with signs",
        rows("1#,2#,yes", "2#,3#,no", header="size (m2),rate %,y"),
        "12: size (m2) number, rate % number; classes no, yes",
        words=(*TABLE, "data.columns=[size (m2),rate %]"),
    ),
    Odd("a name that is not there", rows(*TWO), "", "did you mean 'b'", 2, (*TABLE, "data.columns=[bb]")),
    Odd(
        "patterns of names",
        rows("1#,2#,yes", "2#,3#,no", header="size_a,size_b,y"),
        "12: size_a number, size_b number; classes no, yes",
        words=(*TABLE, "data.columns=[size_*]"),
    ),
    Odd("columns that are dropped", rows(*TWO), "12: b category; classes no, yes", words=(*TABLE, "data.drop=[a*]")),
    Odd("nothing to drop", rows(*TWO), "", "data.drop=c* is no column", 2, (*TABLE, "data.drop=[c*]")),
    # quotes
    Odd("quoted cells", rows('"1#","u, w",yes', '2#,"v ""x""",no'), PLAIN),
    Odd(
        "line breaks in cells",
        rows('1#,"u\nw",yes', "2#,v,no", times=3),
        "6: a number, b category; classes no, yes",
        "cells that hold line breaks",
    ),
    Odd(
        "a quote that is not closed",
        rows(*TWO) + '31,"5 inch,yes\n32,w,no\n33,"6 inch,no\n',
        "15: a number, b category; classes no, yes",
        "a quote that is not closed",
    ),
    Odd(
        "a quote at the very end",
        rows(*TWO) + '31,"5 inch,yes\n',
        "13: a number, b category; classes no, yes",
        "a quote that is not closed",
    ),
    Odd("a quote inside of a cell", rows('1#,5" pipe,yes', "2#,v,no"), PLAIN),
    Odd("blanks behind a quote", rows('1#,"u" ,yes', "2#,v,no"), PLAIN, "not at the end of its cell"),
    # letters
    Odd("a mark of UTF-8", b"\xef\xbb\xbf" + rows(*TWO).encode(), PLAIN),
    Odd("UTF-16", rows(*TWO).encode("utf-16"), PLAIN),
    Odd("letters of Windows", rows("1#,Köln,yes", "2#,v,no").encode("cp1252"), PLAIN, "letters in cp1252"),
    Odd(
        "an encoding that is set",
        rows("1#,Köln,yes", "2#,v,no").encode("latin-1"),
        PLAIN,
        words=(*TABLE, "data.encoding=latin-1"),
    ),
    Odd("no such encoding", rows(*TWO), "", "'klingon' is no encoding", 2, (*TABLE, "data.encoding=klingon")),
    Odd(
        "another encoding than is set",
        rows("1#,Köln,yes").encode("cp1252"),
        "",
        "not a text file in utf-8",
        2,
        (*TABLE, "data.encoding=utf-8"),
    ),
    Odd("zero bytes", b"a,b,y\n1,\0,yes\n", "", "it holds zero bytes", 2),
    Odd("a workbook", b"PK\x03\x04rest", "", "an archive or a workbook; save it as CSV", 2),
    # numbers
    Odd("decimal commas", rows('1#,"1,5",yes', '2#,"2,5",no'), BOTH, "a decimal comma"),
    Odd("decimal commas and semicolons", rows("1#;1,5;yes", "2#;2,500;no", header="a;b;y"), BOTH, "a decimal comma"),
    Odd(
        "commas that may part thousands",
        rows('1#,"1,500",yes', '2#,"2,500",no'),
        "",
        "may have a decimal comma or thousands",
        2,
    ),
    Odd(
        "the same, said",
        rows('1#,"1,500",yes', '2#,"2,500",no'),
        BOTH,
        "a decimal comma",
        words=(*TABLE, "data.decimal=comma"),
    ),
    Odd(
        "commas and points", rows('1#,"1,5",yes', "2#,2.5,no"), "", "'1,5' has a comma, beside numbers with a point", 2
    ),
    Odd("points, said", rows('1#,"1,5",yes', '2#,"2,5",no'), "", "has a comma", 2, (*TABLE, "data.decimal=point")),
    Odd(
        "question marks for numbers",
        rows("1#,1.5,yes", "2#,?,no"),
        BOTH,
        "6 cells of columns of numbers hold a sign: '?' in t.csv, row 3, column b",
    ),
    Odd(
        "errors of spreadsheets",
        rows("1#,1.5,yes", "2#,#DIV/0!,no".replace("#D", "\0D")).replace("\0", "#"),
        BOTH,
        "'#DIV/0!'",
    ),
    Odd("missing numbers", rows("1#,1.5,yes", "2#,,no", "3#,NA,no"), "18: a number, b number; classes no, yes"),
    Odd(
        "a text among many numbers",
        rows(*NUMBERS, times=10) + "31,old,no\n",
        "20: a number, b number; classes no, yes",
        "'old' is no number",
        2,
    ),
    Odd(
        "many texts among numbers",
        rows("1#,1.5,yes", "2#,2,no", "3#,A7,no"),
        "18: a number, b category; classes no, yes",
        "taken for categories",
    ),
    Odd("numbers too large", rows("1#,2,yes", "2#,3,no") + "31,1e30,no\n", BOTH, "is too large", 2),
    Odd("underscores in numbers", rows("1_000,1.5,yes", "2#,2,no", times=2), "", "'1_000' is no number", 2),
    Odd(
        "decimal commas to predict",
        rows('1#,u,"1,5"', '2#,v,"#,5"'),
        "12: a number, b category; targets y",
        "a decimal comma",
        words=PRICE,
    ),
    Odd(
        "a question mark to predict",
        rows("1#,u,1.5", "2#,v,#") + "31,u,?\n",
        "12: a number, b category; targets y",
        "the target is missing",
        2,
        PRICE,
    ),
    # rows
    Odd("rows too long", rows(*TWO) + "1,u,yes,no\n", PLAIN, "the row has 4 cells, and there are 3 columns", 2),
    Odd("rows too short", rows(*TWO) + "1,u\n", PLAIN, "the row has 2 cells, and there are 3 columns", 2),
    Odd(
        "labels beside each other",
        rows("i.png,red,blue", "j.png,red", header="path,label"),
        "",
        "the row has 3 cells",
        2,
        (*IMAGES, "data.multilabel=true"),
    ),
    Odd("a very long cell", rows(f"1#,{'w' * 200_000},yes", "2#,v,no"), PLAIN),
    Odd(
        "the same rows in splits",
        rows("1,u,yes,train", "2,v,no,train", "3,w,no,train", "2,v,no,test", header="a,b,y,p", times=1),
        "4: a number, b category; classes no, yes",
        "they and their targets are equal",
        words=(*TABLE, "data.split_column=p"),
    ),
    Odd("few rows are possible", rows("1,yes", "2,no", header="a,y", times=20), "40: a number; classes no, yes"),
    # classes
    Odd(
        "a class called none",
        of_labels("none", "dent", "none"),
        "12: a number, b category; classes dent, none",
        "called like a missing value",
    ),
    Odd(
        "a class called NA",
        of_labels("NA", "dent", "NA"),
        "12: a number, b category; classes NA, dent",
        "called like a missing value",
    ),
    Odd(
        "a label called null",
        of_labels("u", "v") + "9,u,null\n",
        "8: a number, b category; classes u, v",
        "the label is 'null', which says that there is none",
        2,
    ),
    Odd(
        "the same, left out",
        of_labels("u", "v") + "9,u,null\n",
        "8: a number, b category; classes u, v",
        "the label is missing (or 'null')",
        words=(*TABLE, "data.missing=drop"),
    ),
    Odd(
        "a class called null",
        of_labels("null", "v", "null"),
        "12: a number, b category; classes null, v",
        "called like a missing value",
        words=(*TABLE, "data.missing_labels=[]"),
    ),
    Odd(
        "none for no label",
        of_labels("u", "v") + "9,u,none\n",
        "8: a number, b category; classes u, v",
        "(or 'none')",
        words=(*TABLE, "data.missing=drop", "data.missing_labels=[none]"),
    ),
    Odd("minus one and one", of_labels("-1", "1"), "8: a number, b category; classes -1, 1"),
    Odd(
        "minus one among others",
        of_labels("-1", "0", "1", "2"),
        "16: a number, b category; classes -1, 0, 1, 2",
        "called like a missing value",
    ),
    Odd(
        "classes that are numbers",
        of_labels("2", "10", "1", "2", "10", "1"),
        "24: a number, b category; classes 1, 2, 10",
    ),
    Odd(
        "images' classes that are numbers",
        rows(*(f"i#.png,{n}" for n in (2, 10, 1)), header="path,label", times=4),
        "12; classes 1, 2, 10",
        "listed more than once",
        words=IMAGES,
    ),
    Odd(
        "sequences' classes that are numbers",
        rows(*(f"{n}#,1.#,{n}" for n in (2, 10, 1)), header="s,a,y", times=4),
        "12; classes 1, 2, 10",
        words=SERIES,
    ),
    Odd(
        "semicolons of sequences",
        rows(*(f"{n}#;1,{n}#;{n}" for n in (2, 10)), header="s;a;y", times=4),
        "8; classes 2, 10",
        "semicolons",
        words=SERIES,
    ),
]


@cache
def node_of(words: tuple[str, ...]) -> dict[str, Any]:
    return dict(plainly(compose(words, "check"), resolve=True)["data"])


def described(splits: Splits) -> str:
    """What data hold: samples, columns, what is to be predicted."""
    count = sum(len(samples) for samples in splits.parts().values())
    columns = ""
    if splits.kind == "table" and splits.fit is not None:
        fitted: Any = splits.fit(splits.train.inputs)
        named = [f"{c.name} number" for c in fitted.numbers] + [f"{c.name} category" for c in fitted.categories]
        columns = f": {', '.join(named)}"
    target: Any = splits.target
    kind, names = ("classes", target.classes) if target.classes else ("targets", target.names)
    return f"{count}{columns}; {kind} {', '.join(names)}"


@dataclass(frozen=True)
class Found:
    code: int
    read: str
    said: str


def found(case: Odd, folder: Path) -> Found:
    """What `ftlab check` makes of a case in an empty folder."""
    content = case.text.encode() if isinstance(case.text, str) else case.text
    (folder / case.name).write_bytes(content)
    if case.words[0] == IMAGES[0]:
        for place in range(4):
            Image.new("RGB", (8, 8), (60 * place, 0, 0)).save(folder / f"i{place}.png")
    with contextlib.chdir(folder):
        try:
            node = node_of(case.words)
        except UserError as error:
            return Found(2, "", str(error))
        problems = problems_of(node, 0).problems
        try:
            read = described(source_of(node, ()).survey(0))
        except UserError:
            read = ""
    code = 2 if any(problem.severity == "error" for problem in problems) else 0
    return Found(code, read, "\n".join(problem.text for problem in problems))


def table() -> str:
    lines = [f"{'file':<36}{'code':>5}  {'read':<62}told", "-" * 150]
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            one = found(case, Path(folder))
        told = next((line for line in one.said.splitlines() if case.told and case.told in line), "")
        lines.append(f"{case.what:<36}{one.code:>5}  {one.read or '-':<62}{told[:120]}")
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ.setdefault("FTLAB_CACHE", tempfile.mkdtemp())
    print(table())
