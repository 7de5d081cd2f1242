"""A headless Chromium, driven by its own protocol; nothing but what is on the machine."""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--disable-extensions",
         "--no-first-run", "--disable-background-networking", "--disable-component-update")  # fmt: skip


class Page:
    """What a browser shows; `asked`: the addresses of all that it fetched, `said`: what it complained of."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.number = socket, 0
        self.asked: list[str] = []
        self.said: list[str] = []
        for domain in ("Page", "Network", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **words: Any) -> Any:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": words}))
        while True:
            told = json.loads(self.socket.recv(timeout=60))
            if told.get("id") == self.number:
                assert "error" not in told, (method, told["error"])
                return told["result"]
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        if told.get("method") == "Network.requestWillBeSent":
            self.asked.append(told["params"]["request"]["url"])
        if told.get("method") == "Log.entryAdded":
            self.said.append(told["params"]["entry"]["text"])
        if told.get("method") == "Runtime.exceptionThrown":
            self.said.append(told["params"]["exceptionDetails"]["exception"]["description"])

    def shaped(self, width: int, height: int, dark: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 30) -> None:
        tries = (
            f"new Promise((done, fail) => {{ const from = Date.now(); (function look() {{ if ({script}) done(true); \
            else if (Date.now() - from > {1000 * seconds}) fail('never'); else setTimeout(look, 20); }})(); }})"
        )
        assert self.evaluate(tries), script

    def choose(self, selector: str, *files: Path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def press(self, key: str, code: int, text: str = "") -> None:
        given = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown", **given)
        self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def shot(self, file: Path) -> None:
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """folder: for what the browser keeps."""
    assert CHROMIUM
    with subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank"], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr
            at = next(m[1] for line in process.stderr if (m := re.search(r"listening on (ws://\S+)", line)))
            yield from _pages(at)
        finally:
            process.terminate()


def _pages(at: str) -> Iterator[Page]:
    with connect(at, max_size=None, proxy=None) as socket:
        browser = {"id": 0, "method": "Target.createTarget", "params": {"url": "about:blank"}}
        socket.send(json.dumps(browser))
        while (told := json.loads(socket.recv(timeout=60))).get("id") != 0:
            pass
        target = told["result"]["targetId"]
    page = f"{at.rsplit('/devtools/', 1)[0]}/devtools/page/{target}"
    with connect(page, max_size=None, proxy=None) as socket:
        yield Page(socket)
