"""Servers on loopback, each in a thread of the tests."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import ftlab
from ftlab.composition import compose
from ftlab.serving.app import application
from ftlab.serving.counters import Counters
from ftlab.serving.documented import told
from ftlab.serving.engine import Engine
from ftlab.serving.gate import Access
from ftlab.serving.limits import Limits
from ftlab.serving.listening import LOOPBACK, Server, address_of, bound, server
from ftlab.serving.service import Service
from tests.conftest import ROOT

LIMITS = Limits(
    megabytes=2, inputs=40, pixels=1_000_000, characters=500, requests=8, receive_seconds=1.0, answer_seconds=20
)
ROWS = ROOT / "tests" / "before" / "classes"  # of a table


@contextmanager
def answering(
    engine: Engine, limits: Limits = LIMITS, access: Access | None = None, max_batch: int = 8
) -> Iterator[str]:
    """The address of a server."""
    counters = Counters()
    service = Service(engine, limits, counters, 8, 0.005, 2)
    app = application(service, access or Access(hosts=LOOPBACK), counters, told(engine, limits, "torch", "0"))
    began = threading.Event()
    running: Server = server(app, limits.receive_seconds, 10)
    with bound("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(running.answer(listening, began.set)))
        thread.start()
        assert began.wait(20)
        try:
            yield address_of("127.0.0.1", listening)
        finally:
            running.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of digits, whose network is random: its answers differ all the same."""
    words = ["subset=40", "data.image_size=32", "backbone.name=resnet10t", "backbone.pretrained=false", "cache=off",
             "strategy=closed_form", "trainer.accelerator=cpu"]  # fmt: skip
    folder = tmp_path_factory.mktemp("run") / "run"
    ftlab.train(compose(words), folder)
    return folder / "bundle"


@pytest.fixture(scope="session")
def of_images(images: Path) -> Iterator[str]:
    with answering(ftlab.load(images, accelerator="cpu")) as address:
        yield address


@pytest.fixture(scope="session")
def of_rows() -> Iterator[str]:
    with answering(ftlab.load(ROWS, accelerator="cpu")) as address:
        yield address
