"""Whatever comes, the answer says what is wrong with it, and the server goes on as before."""

import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

import ftlab
from tests.serving.conftest import LIMITS, ROWS, answering
from tests.serving.test_answers import ROW, as_files, picture, told

GOOD = picture(0)
JSON = {"Content-Type": "application/json"}


def bomb(side: int) -> bytes:
    """A PNG of some kilobytes that says it has side x side pixels, and has."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    data = b"".join(rows.compress(row) for _ in range(side)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def inputs(*several: Any) -> dict[str, Any]:
    return {"json": {"inputs": list(several)}}


def files(*contents: bytes) -> dict[str, Any]:
    return {"files": as_files(*contents)}


def body(content: bytes | str, kind: str = "application/json") -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": kind}}


OF_IMAGES: dict[str, tuple[int, str, dict[str, Any]]] = {
    "a text as an image": (422, "the input (0.png): not a readable image", files(b"no image")),
    "an empty file": (422, "not a readable image", files(b"")),
    "half of an image": (422, "not a readable image", files(picture(0, 400, 400)[:900])),
    "the second of two is none": (422, "input 2 (1.png): not a readable image", files(GOOD, b"GIF89a")),
    "a bomb": (422, "8,000 x 8,000 pixels; at most 1,000,000 are accepted", files(bomb(8000))),
    "a page of PostScript": (422, "not a readable image", files(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")),
    "a drawing of lines": (422, "not a readable image", files(b"<svg xmlns='http://www.w3.org/2000/svg'/>")),
    "more than the body may be": (413, "at most 2 MB", files(b"x" * 2_000_001)),
    "100 MB": (413, "at most 2 MB", files(bytes(100_000_000))),
    "too many files": (413, "Too many files", files(*[b"x"] * (LIMITS.inputs + 1))),
    "a part of another name": (
        422, "the part 'image' of the form is unknown; accepted: files", {"files": {"image": ("a.png", GOOD)}},
    ),
    "a path for a name": (422, "the input (passwd): not", {"files": {"files": ("../../../etc/passwd", b"x")}}),
    "a path of Windows": (422, "the input (a.png): not", {"files": {"files": ("C:\\secret\\a.png", b"x")}}),
    "a name with line breaks": (422, "not a readable image", {"files": {"files": ("a\r\nX-Evil: 1.png", b"x")}}),
    "a field that is no file": (
        422, "is no file", body(b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--b--\r\n',
                                "multipart/form-data; boundary=b"),
    ),
    "a form without an end": (
        400, "the form cannot be read", body(b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n',
                                             "multipart/form-data; boundary=b"),
    ),
    "a form without a boundary": (400, "boundary", body(b"x", "multipart/form-data")),
    "an empty form": (422, "there is no input", body(b"--b--\r\n", "multipart/form-data; boundary=b")),
    "no base64": (422, "base64", inputs("not base64!")),
    "base64 of nothing": (422, "not a readable image", inputs("")),
    "a number for an image": (422, "an image in JSON is a text", inputs(7)),
    "a row for an image": (422, "an image in JSON is a text", inputs(ROW)),
    "an address for an image": (422, "base64", inputs("http://127.0.0.1:1/photo.png")),
    "an image as it is": (415, "Content-Type 'image/png'", body(GOOD, "image/png")),
    "no content type": (415, "accepted are application/json and multipart/form-data", {"content": GOOD}),
}  # fmt: skip
OF_ROWS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "no JSON": (400, "no JSON", body("{")),
    "nothing": (400, "no JSON", body("")),
    "not UTF-8": (400, "UTF-8", body(b'{"inputs": ["\xff"]}')),
    "half of a character": (400, "surrogate", body('{"inputs": [{"size": 1, "colour": "\\ud800"}]}')),
    "nested too deeply": (400, "nested too deeply", body('{"inputs": ' + "[" * 100_000 + "]" * 100_000 + "}")),
    "nested as deeply as a parser bears": (400, "nested too deeply", body('{"inputs": ' + "[" * 800 + "]" * 800 + "}")),
    "a number that JSON has not": (400, "NaN is no number", body('{"inputs": [{"size": NaN, "colour": "red"}]}')),
    "a list": (422, "an object with the key 'inputs'", {"json": [ROW]}),
    "another key": (422, "an object with the key 'inputs'", {"json": {"input": [ROW]}}),
    "one key too many": (422, "the key 'top_k' is unknown", {"json": {"inputs": [ROW], "top_k": 1}}),
    "no rows": (422, "there is no input", inputs()),
    "too many rows": (413, "41 inputs; at most 40", inputs(*[ROW] * 41)),
    "a text for a row": (422, "a row is a mapping", inputs("red")),
    "a row in a row": (422, "a row is a mapping", inputs([ROW])),
    "null": (422, "a row is a mapping", inputs(None)),
    "a column that is not there": (422, "lacks the column 'colour'", inputs({"size": 1, "color": "red"})),
    "the second of two": (422, "input 2: the row lacks the column 'size'", inputs(ROW, {"colour": "red"})),
    "a word for a number": (422, "column size: 'large' is no number", inputs({**ROW, "size": "large"})),
    "a list for a number": (422, "column size", inputs({**ROW, "size": [1]})),
    "an enormous number": (422, "column size", body('{"inputs": [{"size": 1e400, "colour": "red"}]}')),
    "a number of 400 digits": (422, "column size", body(f'{{"inputs": [{{"size": {"9" * 400}, "colour": "red"}}]}}')),
    "a number of 9,000 digits": (400, "no JSON", body(f'{{"inputs": [{{"size": {"9" * 9000}, "colour": "red"}}]}}')),
    "a long text": (422, "a text of 501 characters; at most 500", inputs({**ROW, "colour": "x" * 501})),
    "a file for a row": (422, "rows are accepted as JSON, not as files", files(b"size,colour\n1,red\n")),
}
OF_ADDRESSES = {
    "no such page": ("GET", "/predictions", 404),
    "a path upwards": ("GET", "/../../etc/passwd", 404),
    "a path upwards, hidden": ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
    "a page of the interface from elsewhere": ("GET", "/docs", 404),
    "another method": ("GET", "/predict", 405),
    "a method that nobody knows": ("BREW", "/predict", 405),
    "an unknown setting": ("POST", "/predict?topk=3", 422),
    "a setting that is none": ("POST", "/predict?top_k=many", 422),
    "a setting below its range": ("POST", "/predict?top_k=0", 422),
    "a setting that is nested deeply": ("POST", "/predict?top_k=" + "[" * 800 + "]" * 800, 422),
    "a setting twice": ("POST", "/predict?top_k=1&top_k=2", 422),
}


def is_plain(answer: httpx.Response) -> None:
    """One line for a person, which tells nothing of the machine."""
    said = answer.json()["error"]
    assert "Traceback" not in answer.text
    assert str(Path(__file__).parents[2]) not in said
    assert "site-packages" not in said
    assert "object at 0x" not in said
    assert len(said) < 600


@pytest.mark.parametrize("case", OF_IMAGES)
def test_what_is_no_image_is_refused(case: str, of_images: str) -> None:
    status, said, request = OF_IMAGES[case]
    answer = httpx.post(f"{of_images}/predict", timeout=30, **request)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
    is_plain(answer)
    told(httpx.post(f"{of_images}/predict", **files(GOOD)))


@pytest.mark.parametrize("case", OF_ROWS)
def test_what_is_no_row_is_refused(case: str, of_rows: str) -> None:
    status, said, request = OF_ROWS[case]
    answer = httpx.post(f"{of_rows}/predict", timeout=30, **request)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
    is_plain(answer)
    told(httpx.post(f"{of_rows}/predict", **inputs(ROW)))


@pytest.mark.parametrize("case", OF_ADDRESSES)
def test_addresses_and_settings_that_there_are_not(case: str, of_rows: str) -> None:
    method, path, status = OF_ADDRESSES[case]
    answer = httpx.request(method, f"{of_rows}{path}", json={"inputs": [ROW]})
    assert answer.status_code == status, answer.text
    is_plain(answer)


# --- what no client of the usual kind does


def raw(address: str) -> socket.socket:
    at = urlsplit(address)
    return socket.create_connection((at.hostname, at.port), timeout=10)


def head(length: int | str, more: str = "") -> bytes:
    lines = ("POST /predict HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {length}")
    return ("\r\n".join(lines) + f"\r\n{more}\r\n").encode()


def until_closed(connection: socket.socket) -> bytes:
    found = b""
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def test_a_body_that_never_comes_is_not_waited_for(of_rows: str) -> None:
    with raw(of_rows) as connection:
        connection.sendall(head(1000) + b'{"inputs"')
        assert b" 408 " in until_closed(connection).split(b"\r\n")[0]
    told(httpx.post(f"{of_rows}/predict", **inputs(ROW)))


@pytest.mark.parametrize("beginning", [b"", b"POST /pre", b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "])
def test_a_connection_that_says_nothing_is_closed(beginning: bytes, of_rows: str) -> None:
    with raw(of_rows) as connection:
        connection.sendall(beginning)
        began = time.monotonic()
        until_closed(connection)
        assert time.monotonic() - began < 8
    told(httpx.post(f"{of_rows}/predict", **inputs(ROW)))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"nonsense\r\n\r\n",
        head(-5),
        head("many"),
        head(5, "Content-Length: 7\r\n"),
        head(5, "Transfer-Encoding: chunked\r\n") + b"zz\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_with_400(sent: bytes, of_rows: str) -> None:
    with raw(of_rows) as connection:
        connection.sendall(sent)
        assert until_closed(connection).split(b" ")[1] in (b"400", b"413")
    told(httpx.post(f"{of_rows}/predict", **inputs(ROW)))


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(of_rows: str) -> None:
    for _ in range(2 * LIMITS.requests):
        with raw(of_rows) as connection:
            connection.sendall(head(1000) + b'{"inputs"')
    told(httpx.post(f"{of_rows}/predict", **inputs(ROW)))
    for line in httpx.get(f"{of_rows}/metrics").text.splitlines():
        assert "500" not in line or "path=" not in line, line
        assert not line.startswith("ftlab_running_requests ") or line.endswith(" 0.0"), line


def test_a_body_without_a_length_is_counted_as_it_comes(of_rows: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 100_000

    answer = httpx.post(f"{of_rows}/predict", content=endless(), headers=JSON, timeout=30)
    assert (answer.status_code, "at most 2 MB" in answer.json()["error"]) == (413, True)


def test_whoever_asks_before_sending_is_told_at_once(of_rows: str) -> None:
    with raw(of_rows) as connection:
        connection.sendall(head(10**12, "Expect: 100-continue\r\n"))
        assert b" 413 " in connection.recv(4096).split(b"\r\n")[0]


class Slow:
    """An engine that answers when it is told to."""

    def __init__(self) -> None:
        self.own = ftlab.load(ROWS)
        self.task, self.preprocessing, self.prepared = self.own.task, self.own.preprocessing, self.own.prepared
        self.go = threading.Event()

    def answers(self, ready: Any, batch_size: int, how: Any = None) -> Any:
        assert self.go.wait(30)
        return self.own.answers(ready, batch_size, how)


def test_more_requests_at_once_than_accepted_are_told_to_come_again() -> None:
    slow = Slow()
    with answering(slow, replace(LIMITS, requests=2)) as address:
        codes: list[int] = []

        def ask() -> None:
            codes.append(httpx.post(f"{address}/predict", **inputs(ROW), timeout=30).status_code)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for one in threads:
            one.start()
        for _ in range(1000):  # seconds at most: a request that has failed is none that runs
            if "ftlab_running_requests 2.0" in httpx.get(f"{address}/metrics").text:
                break
            time.sleep(0.01)
        answer = httpx.post(f"{address}/predict", **inputs(ROW))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert httpx.get(f"{address}/health").status_code == 200
        slow.go.set()
        for one in threads:
            one.join()
        assert codes == [200, 200]
        told(httpx.post(f"{address}/predict", **inputs(ROW)))


def test_an_answer_that_takes_too_long_is_not_waited_for() -> None:
    slow = Slow()
    with answering(slow, replace(LIMITS, answer_seconds=0.2)) as address:
        answer = httpx.post(f"{address}/predict", **inputs(ROW))
        assert (answer.status_code, "no answer within 0.2 seconds" in answer.text) == (503, True)
        slow.go.set()
        told(httpx.post(f"{address}/predict", **inputs(ROW)))


def test_a_defect_is_told_on_the_terminal_and_not_to_whoever_asked(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Slow):
        def answers(self, ready: Any, batch_size: int, how: Any = None) -> Any:
            raise ZeroDivisionError("a secret of /home/someone")

    with answering(Broken()) as address:
        answer = httpx.post(f"{address}/predict", **inputs(ROW))
    assert (answer.status_code, answer.json()) == (500, {"error": "the server failed; its terminal says why"})
    assert "a secret" in capsys.readouterr().err


def test_an_answer_that_is_no_number_is_none() -> None:
    class Infinite(Slow):
        def answers(self, ready: Any, batch_size: int, how: Any = None) -> Any:
            return self.own.answers(ready, batch_size) * float("nan")

    with answering(Infinite()) as address:
        answer = httpx.post(f"{address}/predict", **inputs(ROW))
    assert (answer.status_code, "no number" in answer.json()["error"]) == (422, True)
