"""The page in a real browser: by mouse and by keyboard, narrow and wide, light and dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("websockets", reason="needs websockets, by which a browser is driven")

import ftlab
from ftlab.serving.gate import Access
from tests.serving.browser import CHROMIUM, Page, browsing
from tests.serving.conftest import ROWS, answering
from tests.serving.test_answers import ROW, picture

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
READY = "!document.getElementById('ask').hidden"
ANSWERED = "document.querySelectorAll('article').length > 0"
TAB, ENTER = ("Tab", 9), ("Enter", 13, "\r")
# Of every text that is seen, the least ratio of its lightness to that of what lies behind it, as WCAG 2 has it.
CONTRAST = """(() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => { for (; one; one = one.parentElement) {
    const found = parts(getComputedStyle(one).backgroundColor); if (found.length < 4 || found[3] > 0) return found; } };
  const texts = [...document.querySelectorAll('body *')].filter((one) => one.getClientRects().length &&
    [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
  return Math.min(...texts.map((one) => {
    const [a, b] = [light(parts(getComputedStyle(one).color)), light(behind(one))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
})()"""
UNNAMED = """[...document.querySelectorAll('input, select, textarea, button')].filter((one) =>
  !one.hasAttribute('aria-hidden') && !one.labels?.length && !one.textContent.trim()).length"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("browser")) as found:
        yield found


def is_well(page: Page, address: str) -> None:
    """Nothing went wrong, nobody else was asked, and a person can read and use what is there."""
    others = [one for one in page.asked if not one.startswith((f"{address}/", f"blob:{address}/", "data:,"))]
    assert others == []
    assert page.said == []
    assert page.evaluate(UNNAMED) == 0
    assert page.evaluate(CONTRAST) >= 4.5
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("width", "dark"), [(1000, False), (360, True)])
def test_images_are_shown_with_bars(width: int, dark: bool, page: Page, of_images: str, tmp_path: Path) -> None:
    files = [tmp_path / "one.png", tmp_path / "two.jpg"]
    for place, file in enumerate(files):
        file.write_bytes(picture(place, kind="PNG" if place == 0 else "JPEG"))
    page.asked.clear()
    page.shaped(width, 700, dark)
    page.open(of_images)
    page.wait(READY)
    page.choose("#files", *files)
    page.wait("document.querySelectorAll('article img').length == 2")
    page.wait("[...document.querySelectorAll('article img')].every((one) => one.naturalWidth == 56)")
    expected = ftlab_says(of_images, files)
    assert page.evaluate("[...document.querySelectorAll('article .big')].map((one) => one.textContent)") == expected
    assert page.evaluate("document.querySelectorAll('article:first-child .bars li').length") == 5
    is_well(page, of_images)


def ftlab_says(address: str, files: list[Path]) -> list[str]:
    import httpx

    given = [("files", (file.name, file.read_bytes())) for file in files]
    return [one["class"] for one in httpx.post(f"{address}/predict", files=given).json()["predictions"]]


def test_a_row_is_filled_in_and_sent_by_keyboard_alone(page: Page) -> None:
    token = "a-token-of-enough-length"
    with answering(ftlab.load(ROWS, accelerator="cpu"), access=Access(token=token)) as address:
        page.asked.clear()
        page.shaped(360, 700)
        page.open(address)
        page.wait("!document.getElementById('enter').hidden")
        page.type(token)  # the field for the token has the focus
        page.press(*ENTER)
        page.wait(READY)
        page.said.clear()  # the browser notes the 401
        page.wait("document.activeElement.id == 'field0'")
        page.type(str(ROW["size"]))
        page.press(*TAB)
        page.press("r", 82, "r")  # of a list the entry that begins so
        page.press(*TAB)
        page.press(*TAB)
        assert page.evaluate("document.activeElement.textContent") == "Predict"
        page.press(*ENTER)
        page.wait(ANSWERED)
        assert page.evaluate("document.querySelector('select').value") == "red"
        (expected,) = ftlab.load(ROWS).predict([ROW])
        assert page.evaluate("document.querySelector('article .big').textContent") == expected["class"]
        is_well(page, address)
        page.evaluate(
            "document.querySelector('#field0').value = 'large'; document.querySelector('#send button').click()"
        )
        page.wait("!document.getElementById('error').hidden")
        assert "'large' is no number" in page.evaluate("document.getElementById('error').textContent")
