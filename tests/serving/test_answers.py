"""A server says what the predictor says, of one input or of many, from one client or from many at once."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import ftlab
from ftlab.serving.gate import Access
from tests.serving.conftest import LIMITS, ROWS, answering

Records = list[dict[str, Any]]


def picture(seed: int, height: int = 40, width: int = 56, kind: str = "PNG") -> bytes:
    numbers = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(numbers).resize((width, height), Image.Resampling.BICUBIC).save(content, kind)
    return content.getvalue()


def as_files(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (f"{place}.png", content)) for place, content in enumerate(contents)]


def told(answer: httpx.Response) -> Records:
    assert answer.status_code == 200, answer.text
    found: Records = answer.json()["predictions"]
    return found


def alike(found: Records, expected: Records) -> None:
    """The same classes in the same order; sums of a batch are rounded otherwise than those of another."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for key, value in other.items():
            if isinstance(value, list):
                alike(one[key], value)
            else:
                assert one[key] == (pytest.approx(value, abs=1e-5) if isinstance(value, float) else value)


def test_files_are_answered_in_order_as_the_predictor_does(images: Path, of_images: str, tmp_path: Path) -> None:
    contents = [picture(0), picture(1, 200, 32, "JPEG"), picture(2, 32, 300, "WEBP")]
    for place, content in enumerate(contents):
        (tmp_path / f"{place}.png").write_bytes(content)
    expected = ftlab.load(images).predict([str(tmp_path / f"{place}.png") for place in range(3)], top_k=3)
    alike(told(httpx.post(f"{of_images}/predict?top_k=3", files=as_files(*contents))), expected)


def test_an_image_in_json_is_the_same_image(of_images: str) -> None:
    text = base64.b64encode(picture(0)).decode()
    expected = told(httpx.post(f"{of_images}/predict", files=as_files(picture(0))))
    for sent in (text, [text], f"data:image/png;base64,{text}"):
        alike(told(httpx.post(f"{of_images}/predict", json={"inputs": sent})), expected)


def test_more_inputs_than_a_batch_come_back_in_order(images: Path, of_images: str) -> None:
    contents = [picture(seed) for seed in range(LIMITS.inputs)]
    opened = [Image.open(io.BytesIO(content)) for content in contents]
    alike(
        told(httpx.post(f"{of_images}/predict", files=as_files(*contents), timeout=30)),
        ftlab.load(images).predict(opened),
    )


def test_many_clients_at_once_get_each_its_own_answer(images: Path) -> None:
    contents = [picture(seed) for seed in range(24)]
    expected = ftlab.load(images).predict([Image.open(io.BytesIO(content)) for content in contents], top_k=2)
    with answering(ftlab.load(images), replace(LIMITS, requests=64)) as address, httpx.Client(timeout=30) as client:

        def asked(place: int) -> Records:
            top_k = 1 + place % 2  # others in the same batch ask for other things
            return told(client.post(f"{address}/predict?top_k={top_k}", files=as_files(contents[place])))

        with ThreadPoolExecutor(12) as pool:
            found = list(pool.map(asked, range(24)))
        counted = httpx.get(f"{address}/metrics").text
    for place, one in enumerate(found):
        alike(one, [{**expected[place], "top": expected[place]["top"][: 1 + place % 2]}])
    assert "ftlab_inputs_total 24.0" in counted
    batches = next(line for line in counted.splitlines() if line.startswith("ftlab_batch_inputs_count"))
    assert float(batches.split()[1]) < 24


ROW = {"size": 3.5, "colour": "red"}


def test_rows_are_answered_as_the_predictor_does(of_rows: str) -> None:
    rows = [ROW, {"size": None, "colour": "never seen"}, {"size": "1.5", "colour": None, "of no use": [1]}]
    expected = ftlab.load(ROWS).predict(rows)
    alike(told(httpx.post(f"{of_rows}/predict", json={"inputs": rows})), expected)


def test_the_facts_are_there(of_rows: str, of_images: str) -> None:
    assert httpx.get(f"{of_rows}/health").json() == {"status": "ok"}
    assert httpx.get(f"{of_rows}/ready").json() == {"ready": True}
    facts = httpx.get(f"{of_rows}/info").json()
    assert (facts["task"], facts["inputs"], facts["classes"]) == ("classification", "table", ["big", "small"])
    assert facts["form"]["fields"] == [
        {"name": "size", "type": "number", "usual": 2.048},
        {"name": "colour", "type": "category", "values": ["blue", "green", "grey", "red"]},
    ]
    assert httpx.get(f"{of_images}/info").json()["form"] == {"kind": "image"}
    document = httpx.get(f"{of_images}/openapi.json").json()
    assert document["paths"]["/predict"]["post"]["requestBody"]["content"].keys() == {
        "application/json", "multipart/form-data",
    }  # fmt: skip


def test_no_answer_tells_where_the_server_lies(images: Path, of_images: str) -> None:
    for path in ("/info", "/openapi.json", "/metrics", "/", "/page.js"):
        assert str(images.parent) not in httpx.get(f"{of_images}{path}").text


def test_a_token_is_asked_for_and_nothing_else_opens() -> None:
    token = "a-token-of-enough-length"
    with answering(ftlab.load(ROWS), access=Access(token=token)) as address:
        for path in ("/", "/page.js", "/page.css", "/health", "/ready"):
            assert httpx.get(f"{address}{path}").status_code == 200, path
        wrong = [None, token, f"Basic {token}", f"Bearer {token}x", f"Bearer {token[:-1]}", "Bearer", "Bearer \u00e9"]
        for given in wrong:
            headers = {} if given is None else {"Authorization": given.encode()}
            for path in ("/info", "/metrics", "/openapi.json", "/other"):
                assert httpx.get(f"{address}{path}", headers=headers).status_code == 401, (given, path)
            answer = httpx.post(f"{address}/predict", json={"inputs": [ROW]}, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        headers = {"Authorization": f"Bearer {token}"}
        told(httpx.post(f"{address}/predict", json={"inputs": [ROW]}, headers=headers))


def test_pages_of_others_may_ask_only_where_they_are_named() -> None:
    ours, other = {"Origin": "https://ours.example"}, {"Origin": "https://other.example"}
    access = Access(hosts=("127.0.0.1",), origins=("https://ours.example",))
    with answering(ftlab.load(ROWS), access=access) as address:
        answer = httpx.post(f"{address}/predict", json={"inputs": [ROW]}, headers=ours)
        assert answer.headers["access-control-allow-origin"] == "https://ours.example"
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        assert httpx.options(f"{address}/predict", headers=ours | asks).status_code == 200
        refused = httpx.post(f"{address}/predict", json={"inputs": [ROW]}, headers=other)
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
        assert httpx.get(f"{address}/info", headers={"Host": "rebound.example"}).status_code == 421
    with answering(ftlab.load(ROWS)) as address:
        told(httpx.post(f"{address}/predict", json={"inputs": [ROW]}, headers={"Origin": address}))
        broken = httpx.get(f"{address}/info", headers={"Origin": "http://[x"})
        assert broken.status_code == 403
        assert broken.json()["error"].startswith("pages of 'http://[x' may not ask")
        assert httpx.post(f"{address}/predict", json={"inputs": [ROW]}, headers=ours).status_code == 403
