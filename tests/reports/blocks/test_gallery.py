import base64
import io

import numpy as np
from PIL import Image

from ftlab.blocks import Gallery, Sample
from ftlab.reports.blocks.gallery import data_uri, gallery


def test_a_photograph_takes_a_few_kilobytes() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)  # nothing compresses worse
    uri = data_uri(Image.fromarray(noise))
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert image.size == (112, 84)
    assert len(uri) < 14_000


def test_a_sample_shows_its_cells_and_says_nothing_of_a_truth_that_it_has_not() -> None:
    shown = gallery(Gallery([Sample("row 3", "sky", "sea", cells={"wind <m/s>": "12"}), Sample("row 4", "fog")]))
    assert shown.count("<br>is ") == 1
    assert '<span class="cell">wind &lt;m/s&gt; <i>12</i></span>' in shown
    assert "<img" not in shown


def test_a_sample_that_nothing_was_predicted_of_shows_what_it_is() -> None:
    shown = gallery(Gallery([Sample("row 3", truth="a <b>")]))
    assert "<div>a &lt;b&gt;<span" in shown


def test_what_is_shorter_of_a_drawing_and_of_a_photograph_is_taken() -> None:
    drawing = Image.new("RGB", (100, 100), "white")
    drawing.paste("red", (10, 10, 40, 40))
    photograph = Image.effect_noise((100, 100), 60)
    assert data_uri(drawing).startswith("data:image/png;base64,")
    assert data_uri(photograph).startswith("data:image/jpeg;base64,")
