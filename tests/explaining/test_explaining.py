"""What is explained lies where the answer lies, and follows the weights of the network."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from sklearn.datasets import load_digits

import ftlab
from ftlab.composition import compose
from ftlab.explaining.command import explanation
from ftlab.explaining.found import Parts
from ftlab.explaining.importance import importance, objective
from ftlab.explaining.kinds import KINDS
from ftlab.explaining.scores import Scores
from ftlab.predictor import Predictor
from tests.conftest import ROOT, Command
from tests.texts import test_text_run
from tests.texts.test_text_run import learned as learned_texts

captum = pytest.importorskip("captum", reason="needs ftlab[explain]")
folder, learned = test_text_run.folder, learned_texts  # fixtures of a network that reads the first word
ROWS = ROOT / "tests" / "before" / "classes"
SIDE = 128  # four of the network's last maps in a side, two in a quarter's


def explained(predictor: Predictor, raw: Any, target: str | None = None) -> Any:
    look, methods = KINDS[predictor.preprocessing.kind]
    return explanation(Scores(predictor), "one", raw, predictor.prepared(raw), look, methods, target)


def composed(seed: int) -> tuple[Image.Image, int, int]:
    """A digit, 0 or 1, in one quarter of an image of faint noise; its class, and which quarter."""
    draw, digits = np.random.default_rng(seed), load_digits(n_class=2)
    place, quarter, half = int(draw.integers(len(digits.images))), int(draw.integers(4)), SIDE // 2
    pixels = draw.integers(118, 138, (SIDE, SIDE)).astype(np.uint8)
    digit = Image.fromarray((digits.images[place] * 15.9).astype(np.uint8)).resize((half, half))
    top, left = half * (quarter // 2), half * (quarter % 2)
    pixels[top : top + half, left : left + half] = np.asarray(digit)
    return Image.fromarray(pixels).convert("RGB"), int(digits.target[place]), quarter


@pytest.fixture(scope="module")
def quarters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of such images, with the network of the package."""
    place = tmp_path_factory.mktemp("quarters")
    for seed in range(100):
        image, label, _ = composed(seed)
        (place / "images" / str(label)).mkdir(parents=True, exist_ok=True)
        image.save(place / "images" / str(label) / f"{seed}.png")
    words = ["data=image_folder", f"data.root={place / 'images'}", f"data.image_size={SIDE}", "cache=off"]
    ftlab.train(compose([*words, "strategy=closed_form", "trainer.accelerator=cpu", "data.check=off"]), place / "run")
    return place / "run" / "bundle"


def shares(values: np.ndarray) -> np.ndarray:
    """(4,) of all that speaks for the answer, what lies in each quarter."""
    there = np.maximum(values, 0).reshape(2, SIDE // 2, 2, SIDE // 2).sum(axis=(1, 3)).ravel()
    return there / there.sum()


def test_what_speaks_for_an_answer_lies_in_the_quarter_that_holds_it(quarters: Path) -> None:
    predictor, inside, right = ftlab.load(quarters, accelerator="cpu"), [], []
    for seed in range(200, 212):
        image, label, quarter = composed(seed)
        found = explained(predictor, image)
        if found.record["class"] == str(label):
            assert [one.method for one in found.found] == ["grad_cam", "occlusion"]
            each = [shares(one.values) for one in found.found]
            inside.append([one[quarter] for one in each])
            right.append([one.argmax() == quarter for one in each])
    assert len(right) >= 9
    assert (np.mean(right, axis=0) >= 0.75).all(), right  # by chance 0.25
    assert (np.mean(inside, axis=0) > 0.45).all(), inside


def test_heat_follows_the_weights(quarters: Path) -> None:
    """Adebayo et al. 2018, "Sanity Checks for Saliency Maps": from the last layer to the first they become random."""
    trained, random = (ftlab.load(quarters, accelerator="cpu") for _ in range(2))
    torch.manual_seed(0)
    for module in random.model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    alike: dict[str, list[float]] = {}
    for image, label, _ in map(composed, range(200, 204)):
        before, again, after = (explained(one, image, str(label)).found for one in (trained, trained, random))
        for one, same, other in zip(before, again, after, strict=False):
            assert np.array_equal(one.values, same.values)
            alike.setdefault(one.method, []).append(spearmanr(one.values.ravel(), other.values.ravel()).statistic)
    # Not 0: a network with random weights too has other maps where the digit is than where there is noise.
    assert all(abs(np.mean(found)) < 0.6 for found in alike.values()), alike


def test_a_text_is_explained_by_the_word_that_its_class_hangs_on(learned: tuple[dict[str, Any], Path]) -> None:
    predictor = ftlab.load(learned[1], accelerator="cpu")
    scores = Scores(predictor)
    for text in ("a k d f g", "z b c d m n"):
        found = explained(predictor, text)
        (parts,) = found.found
        assert isinstance(parts, Parts)
        assert "".join(one.value for one in parts.parts) == text
        assert max(parts.parts, key=lambda one: one.weight).value == text[0]
        # They add up to what the score is above that of the text of masks (axiom of completeness).
        inputs = scores.inputs([predictor.prepared(text)])
        hidden = inputs[0].clone()
        hidden[:, 1:-1] = predictor.preprocessing.gap or predictor.preprocessing.padding  # type: ignore[attr-defined]
        place = predictor.classes.index(found.target)
        with torch.inference_mode():
            rise = float((scores(*inputs) - scores(hidden, *inputs[1:]))[0, place])
        assert sum(one.weight for one in parts.parts) == pytest.approx(rise, rel=0.1)


def score(predictor: Predictor, row: Any, place: int) -> float:
    scores = Scores(predictor)
    with torch.inference_mode():
        return float(scores(*scores.inputs([predictor.prepared(row)]))[0, place])


def test_cells_of_a_row_share_out_the_score() -> None:
    predictor = ftlab.load(ROWS, accelerator="cpu")
    row, usual = {"size": 5.5, "colour": "red"}, {"size": 2.048, "colour": None}
    found = explained(predictor, row, "big")
    weights = {one.name: one.weight for one in found.found[0].parts}
    whole = score(predictor, row, 0) - score(predictor, usual, 0)
    assert sum(weights.values()) == pytest.approx(whole, abs=1e-4)
    alone, last = score(predictor, {**usual, "size": 5.5}, 0), score(predictor, {**row, "size": 2.048}, 0)
    orders = sorted([alone - score(predictor, usual, 0), score(predictor, row, 0) - last])
    assert orders[0] - 1e-4 <= weights["size"] <= orders[1] + 1e-4
    assert next(iter(weights)) == max(weights, key=lambda name: abs(weights[name]))


def test_a_column_matters_as_much_as_figures_fall_without_it() -> None:
    predictor = ftlab.load(ROWS, accelerator="cpu")
    draw = np.random.default_rng(0)
    rows = [{"size": float(x), "colour": "red", "unused": float(x)} for x in draw.uniform(0, 6, 60)]
    true = torch.tensor([predictor.classes.index(one["class"]) for one in predictor.predict(rows)])
    found = {one["column"]: one["mean"] for one in importance(predictor, rows, true, ["size", "colour", "unused"])}
    assert objective(predictor, rows, true) == 1
    assert found["unused"] == found["colour"] == 0
    assert found["size"] > 0.2


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("steps")
    lines = ["hour,level", *(f"{hour},{np.sin(hour / 4):.4f}" for hour in range(160))]
    (place / "tide.csv").write_text("\n".join(lines))
    words = ["task=regression", "data=sequence", f"data.file={place / 'tide.csv'}", "data.time_column=hour",
             "data.order=time", "data.target_columns=[level]", "data.window=8", "data.horizon=1", "cache=off",
             "trainer.max_epochs=2", "trainer.accelerator=cpu"]  # fmt: skip
    ftlab.train(compose(words), place / "run")
    return place / "run" / "bundle"


def test_a_step_matters_as_much_as_the_score_falls_without_it(steps: Path) -> None:
    predictor = ftlab.load(steps, accelerator="cpu")
    series = np.sin(np.arange(8) / 4)[:, None]
    (raw,) = predictor.preprocessing.each(series)
    found = explained(predictor, raw)
    assert [one.name for one in found.found[0].parts] == [str(step) for step in range(1, 9)]
    mean = predictor.preprocessing.channels[0].mean  # type: ignore[attr-defined]
    for place, one in enumerate(found.found[0].parts):
        without = series.copy()
        without[place] = mean
        (other,) = predictor.preprocessing.each(without)
        assert one.weight == pytest.approx(score(predictor, raw, 0) - score(predictor, other, 0), abs=1e-5)


def test_the_page_and_the_file_for_programs_hold_each_input(quarters: Path, command: Command) -> None:
    for seed in (200, 201):
        composed(seed)[0].save(f"{seed}.png")
    Path("broken.png").write_bytes(b"no image")
    ended = command("explain", f"bundle={quarters}", "input=[200.png,broken.png,201.png]", "output=why.html")
    assert ended.code == 2
    assert "2 of 3 images explained, written to why.html" in ended.out
    assert "not explained: broken.png: not a readable image" in ended.err
    page = Path("why.html").read_text()
    assert page.count("data:image/") == 6  # of each image what the network sees, and two methods
    assert "200.png: " in page
    ended = command("explain", f"bundle={quarters}", "input=200.png", "output=why.json", "method=occlusion", "target=1")
    assert ended.code == 0, ended.err
    (one,) = json.loads(Path("why.json").read_text())["inputs"]
    assert (one["target"], [part["method"] for part in one["explained"]]) == ("1", ["occlusion"])
    assert np.shape(one["explained"][0]["values"]) == (SIDE, SIDE)
    before = Path("why.json").read_bytes()
    for words, said in (
        (["output=why.json"], "the file exists already"),
        (["output=why.txt"], "no such kind of page"),
        (["output=a.html", "target=7"], "target=7: there is no such class"),
        (["output=a.html", "method=shapley"], "method=shapley: is not for inputs of the kind 'image'"),
    ):
        ended = command("explain", f"bundle={quarters}", "input=200.png", *words)
        assert (ended.code, said in ended.err) == (2, True), ended.err
    assert Path("why.json").read_bytes() == before
    assert not Path("a.html").exists()


def test_columns_are_left_out_where_the_data_are_gone(command: Command) -> None:
    Path("rows.csv").write_text("size,colour\n5.5,red\n")
    ended = command("explain", f"bundle={ROWS}", "input=rows.csv", "output=why.json")
    assert "columns: their importance is left out" in ended.err
    told = json.loads(Path("why.json").read_text())
    assert told["importance"] is None
    assert told["inputs"][0]["input"] == "rows.csv, row 2"
