"""Captions: what their files may be, and a run from images to sentences."""

import json

import numpy as np
import pytest
from PIL import Image

import ftlab
from ftlab.data.sources.captions import Captions
from ftlab.data.sources.digit_scenes import DigitScenes, Scene, sentence
from ftlab.errors import UserError
from ftlab.targets.texts import Texts

pytest.importorskip("transformers")
pytest.importorskip("sacrebleu")
SETTINGS = {"images": None, "path_column": "path", "caption_column": "caption", "split_column": None,
            "split": [1.0, 0.0, 0.0], "delimiter": None, "encoding": None}  # fmt: skip


def pictures(folder, count):
    for number in range(count):
        Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)).save(folder / f"{number}.png")


def surveyed(folder, file, **settings):
    return Captions(root=str(folder), file=file, **{**SETTINGS, **settings}).survey(0)


def test_captions_of_one_image_are_of_one_sample_in_rows_in_lists_and_in_cocos_form(tmp_path):
    pictures(tmp_path, 3)
    (tmp_path / "rows.csv").write_text("path,caption\n0.png,a dark square\n1.png,grey\n0.png,night\n2.png,light\n")
    lists = [("0.png", ["a dark square", "night"]), ("1.png", ["grey"]), ("2.png", ["light"])]
    (tmp_path / "lists.jsonl").write_text("".join(json.dumps({"path": p, "caption": c}) + "\n" for p, c in lists))
    coco = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in range(3)],
        "annotations": [{"image_id": int(p[0]), "caption": one} for p, several in lists for one in several],
    }
    (tmp_path / "captions.json").write_text(json.dumps(coco))
    for file in ("rows.csv", "lists.jsonl", "captions.json"):
        found = surveyed(tmp_path, file)
        assert [*found.train.targets] == [("a dark square", "night"), ("grey",), ("light",)], file
        assert [name.rpartition("/")[2] for name in found.train.names] == ["0.png", "1.png", "2.png"]
        assert found.faults == ()


def test_what_is_missing_is_counted_or_refused(tmp_path):
    pictures(tmp_path, 2)
    (tmp_path / "rows.csv").write_text("path,caption\n0.png,dark\n1.png,\n7.png,lost\n,x\n")
    found = surveyed(tmp_path, "rows.csv")
    assert [fault.kind for fault in found.faults] == [
        "rows lack a path", "captions are empty", "rows name an image that is not there"
    ]  # fmt: skip
    (tmp_path / "two.csv").write_text("path,caption,split\n0.png,dark,train\n0.png,night,val\n")
    with pytest.raises(UserError, match=r"0.png is of val, and in .* of train"):
        surveyed(tmp_path, "two.csv", split_column="split")
    with pytest.raises(UserError, match=r"caption_column=captoin is no column; did you mean 'caption'"):
        surveyed(tmp_path, "rows.csv", caption_column="captoin")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UserError, match=r"bad.json: no file of COCO's captions"):
        surveyed(tmp_path, "bad.json")
    coco = {"images": [{"id": 1, "file_name": "0.png"}, {"id": 2, "file_name": "1.png"}],
            "annotations": [{"image_id": 1, "caption": "dark"}, {"image_id": 9, "caption": "x"}]}  # fmt: skip
    (tmp_path / "odd.json").write_text(json.dumps(coco))
    texts = [one.text for one in surveyed(tmp_path, "odd.json").problems]
    assert any("has no caption" in text or "have no caption" in text for text in texts)
    assert any("not listed" in text for text in texts)


def test_a_sentence_says_which_digits_are_where_from_left_to_right():
    boxes = np.array([[80, 80, 90, 90], [0, 0, 10, 10], [40, 45, 50, 55]], np.float32)
    scene = Scene(np.zeros((90, 90, 3), np.uint8), boxes, np.array([7, 3, 0]), np.zeros((90, 90), np.uint8))
    assert sentence(scene) == "a 3 at the top left, a 0 in the middle and a 7 at the bottom right"
    empty = Scene(scene.pixels, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), scene.mask)
    assert sentence(empty) == "nothing"
    source = DigitScenes((3, 1, 1), 32, (1, 2), (8, 12))
    source.target_kind = Texts.kind
    found = source.survey(0)
    assert len(found.train.targets) == 3
    assert all(one[0].startswith("a ") for one in found.train.targets)


def words(*more):
    return ["task=captioning", "data=digit_scenes", "data.scenes=[24,8,0]", "data.side=32", "data.image_size=32",
            "data.digits=[1,1]", "data.digit_side=[16,24]", "backbone.name=test_resnet", "backbone.pretrained=false",
            "trainer.accelerator=cpu", "strategy=full", "head.vocabulary=300", "head.width=16", "head.depth=1",
            "head.heads=2", "data.batch_size=8", "task.generation.max_tokens=12", *more]  # fmt: skip


def test_a_run_goes_from_images_to_sentences_and_its_bundle_writes_of_files(tmp_path):
    report = ftlab.train(ftlab.compose(words("trainer.max_epochs=3")), run_dir=tmp_path / "run")
    losses = [epoch["train"]["loss"] for epoch in report["history"]]
    assert losses[2] < losses[0]
    assert report["task"] == "captioning"
    assert report["metrics"]["val"]["chrf"] is not None
    assert "data:image" in (tmp_path / "run" / "report.html").read_text()  # the worst, with their images
    pictures(tmp_path, 2)
    found = ftlab.load(tmp_path / "run" / "bundle").predict([tmp_path / "0.png", tmp_path / "1.png"])
    assert [{*record} for record in found] == [{"text"}, {"text"}]


def test_an_image_that_is_varied_would_not_fit_its_caption(tmp_path):
    with pytest.raises(UserError, match=r"texts to write do not follow an image that is varied; use augment=none"):
        ftlab.train(ftlab.compose(words("augment=light", "trainer.max_epochs=1")), run_dir=tmp_path / "run")
