"""How a text file of rows is written: what parts its cells, the sign of its decimals, the encoding of its letters."""

import csv
import io
from dataclasses import dataclass
from itertools import islice

DELIMITERS = (",", ";", "\t", "|")  # the earlier one, where several fit
SPOKEN = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
LOOKED_AT = 200  # rows from which the delimiter is found
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # how a file may begin
BINARY = {b"PK\x03\x04": "an archive or a workbook", b"\x1f\x8b": "a compressed file", b"PAR1": "a Parquet file"}
WESTERN = "cp1252"  # what spreadsheets write on Windows


@dataclass(frozen=True)
class Dialect:
    """What is known of a file before it is read; None: it is found in the file, and told where it is unusual."""

    delimiter: str | None = None  # one character
    decimal: str | None = None  # "." or ","
    encoding: str | None = None  # a name that Python knows


FOUND = Dialect()
NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "point": "."}  # what is awkward to type


def dialect(delimiter: str | None, decimal: str | None, encoding: str | None) -> Dialect:
    """What a person typed; signs may be given by their names."""
    return Dialect(NAMED.get(delimiter or "", delimiter), NAMED.get(decimal or "", decimal), encoding)


def decoded(content: bytes, encoding: str | None, key: str = "data.encoding") -> tuple[str, str]:
    """The text, and the encoding that it is in: by its first bytes, else UTF-8, else that of Windows in the West.

    key: by which a person sets it.
    Raises: ValueError, its text saying what the content is instead.
    """
    name = next((said for mark, said in MARKS.items() if content.startswith(mark)), None)
    binary = next((said for mark, said in BINARY.items() if content.startswith(mark)), None)
    if binary:
        raise ValueError(f"not a text file but {binary}; save it as CSV")
    if encoding is not None:
        return _decoded(content, "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding)
    if name is None and b"\0" in content:
        raise ValueError(f"not a text file, it holds zero bytes; {key}=... says how it is encoded")
    try:
        return _decoded(content, name or "utf-8")
    except ValueError as error:
        if name is not None:
            raise
        try:
            return _decoded(content, WESTERN)
        except ValueError:
            raise ValueError(f"not a text file in UTF-8 ({error}); {key}=... names another") from None


def _decoded(content: bytes, encoding: str) -> tuple[str, str]:
    try:
        return content.decode(encoding), encoding
    except LookupError:
        raise ValueError(
            f"'{encoding}' is no encoding; accepted are those of Python, such as utf-8, cp1252, latin-1, utf-16"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"not a text file in {encoding.removesuffix('-sig')}: byte {error.start} cannot be read"
        ) from None


def delimiter_of(text: str) -> str:
    """What parts most rows into as many cells as the first one has; a comma where nothing does."""

    head = "".join(islice(io.StringIO(text, newline=""), LOOKED_AT))

    def fits(delimiter: str) -> tuple[float, bool]:
        """The share of rows that are as wide as the first, and whether there is more than one cell."""
        rows = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter, skipinitialspace=True)
        widths = [len(row) for row in rows if row]
        first = widths[0] if widths else 1
        return (widths.count(first) / len(widths) if first > 1 else 0.0), first > 1

    return max(DELIMITERS, key=fits)  # the first of equals


def told(dialect: Dialect, delimiter: str, encoding: str) -> list[str]:
    """What was found that a person may not expect."""
    parts = []
    if dialect.delimiter is None and delimiter != ",":
        parts.append(f"{SPOKEN[delimiter]} between cells")
    if dialect.encoding is None and not encoding.startswith("utf"):
        parts.append(f"letters in {encoding}, since it is not UTF-8")
    return parts
