"""ftlab serve as a process of its own: its beginning, its end, its memory, and a network that was exported."""

import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

import ftlab
from ftlab.composition import compose
from ftlab.export_command import export
from tests.conftest import Command
from tests.serving.conftest import ROWS
from tests.serving.test_answers import ROW, alike, as_files, picture, told
from tests.serving.test_bad_requests import head, raw, until_closed


@contextmanager
def served(folder: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "ftlab", "serve", f"bundle={folder}", "port=0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert " answers at http://127.0.0.1:" in line, process.stderr and process.stderr.read()
            yield line.split(" answers at ")[1].split(" ")[0], process
        finally:
            process.kill()


def test_an_exported_network_answers_alike_and_ends_when_all_that_came_is_answered(
    images: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="needs ftlab[export]")
    export(compose([f"bundle={images}", f"output={tmp_path / 'exported'}"], "export"))
    file = tmp_path / "0.png"
    file.write_bytes(picture(0, 400, 400))
    expected = ftlab.load(images).predict([str(file)])
    with served(tmp_path / "exported", "engine=onnx") as (address, process):
        found = told(httpx.post(f"{address}/predict", files=as_files(file.read_bytes())))
        assert found[0]["class"] == expected[0]["class"]
        assert found[0]["probability"] == pytest.approx(expected[0]["probability"], abs=1e-4)
        body = json.dumps({"inputs": [b64encode(file.read_bytes()).decode()] * 3}).encode()
        halfway = [raw(address) for _ in range(6)]
        for one in halfway:
            one.sendall(head(len(body)) + body[:100])
        for _ in range(100):  # times at most: a request that has failed is none that runs
            if "ftlab_running_requests 6.0" in httpx.get(f"{address}/metrics").text:
                break
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # it has heard of it, and listens no longer
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/health")
        for one in halfway:
            one.sendall(body[100:])
        for one in halfway:
            with one:
                answer = until_closed(one)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"]) == 3
        assert process.communicate(timeout=20)[1] == ""
        assert process.returncode == 0


def test_memory_comes_back_after_large_requests_and_ctrl_c_is_an_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-of-enough-length\n")
    with served(ROWS, f"token_file={tmp_path / 'token'}", "limits.megabytes=20") as (address, process):
        headers = {"Authorization": "Bearer a-token-of-enough-length"}
        assert httpx.post(f"{address}/predict", json={"inputs": [ROW]}).status_code == 401

        def ask() -> None:
            for content in ([ROW] * 1000, "x" * 10_000_000):
                httpx.post(f"{address}/predict", json={"inputs": content}, headers=headers, timeout=60)
            answer = httpx.post(f"{address}/predict", files=as_files(bytes(60_000_000)), headers=headers, timeout=60)
            assert answer.status_code == 413

        for _ in range(3):
            ask()
        before = psutil.Process(process.pid).memory_info().rss
        for _ in range(5):
            ask()
        assert psutil.Process(process.pid).memory_info().rss - before < 30e6
        alike(
            told(httpx.post(f"{address}/predict", json={"inputs": [ROW]}, headers=headers)),
            ftlab.load(ROWS).predict([ROW]),
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.communicate()[1] == "ftlab: interrupted\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bundle=nowhere"], "bundle=nowhere: no bundle there"),
        ([f"bundle={ROWS}", "port=70000"], "port=70000: expected a whole number from 0 to 65535"),
        ([f"bundle={ROWS}", "engine=onnx"], "there is no model.onnx; ftlab export bundle="),
        ([f"bundle={ROWS}", "engine=tensorrt"], "engine=tensorrt: no such value; accepted: onnx, torch"),
        ([f"bundle={ROWS}", "host=no.such.host.example"], "host=no.such.host.example: no address of this machine"),
        ([f"bundle={ROWS}", "token_file=missing"], "token_file=missing: cannot be read"),
        ([f"bundle={ROWS}", "limits.bytes=1"], "limits.bytes"),
    ],
)
def test_what_cannot_be_served_is_refused_before_anything_listens(
    words: list[str], said: str, command: Command
) -> None:
    ended = command("serve", *words)
    assert (ended.code, said in ended.err) == (2, True), ended.err
    assert os.listdir() == []


def test_a_port_that_is_taken_is_refused(of_rows: str, command: Command) -> None:
    port = of_rows.rpartition(":")[2]
    ended = command("serve", f"bundle={ROWS}", f"port={port}")
    assert (ended.code, f"port={port}: cannot listen there on 127.0.0.1" in ended.err) == (2, True), ended.err


def test_a_short_token_is_refused(command: Command) -> None:
    Path("token").write_text("short")
    ended = command("serve", f"bundle={ROWS}", "token_file=token")
    assert (ended.code, "16 characters or more" in ended.err) == (2, True), ended.err
