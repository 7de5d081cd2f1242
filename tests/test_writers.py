"""Predictions on their way out: name, record and prediction of each input, in order, whatever happens between."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from ftlab.errors import UserError
from ftlab.prediction import settings_of, write
from ftlab.predictor import Predictor
from ftlab.tasks.classification import Classification
from ftlab.tasks.regression import Regression
from ftlab.writers import Lines, Writer
from tests.tasks.test_better import CLASSES, NUMBERS
from tests.test_predict import photos, predictor  # noqa: F401  (fixtures)


class Kept(Writer):
    """Keeps what it is told; full after three."""

    def begin(self) -> None:
        self.told: list[tuple[Mapping[str, Any], Mapping[str, Any], Any]] = []
        self.ended = False

    def add(self, name: Mapping[str, Any], record: Mapping[str, Any], raw: Any) -> None:
        self.told.append((name, record, raw))
        if len(self.told) == 3:
            raise OSError("full")

    def end(self) -> None:
        self.ended = True


def test_a_line_is_a_json_object_with_the_name_first_and_text_as_it_is(tmp_path: Path) -> None:
    writer = Lines(tmp_path / "lines.jsonl")
    with writer.writing():
        writer.add({"file": "ä.png"}, {"class": "栗鼠", "probability": 0.1}, torch.tensor([0.1, 0.9]))
        assert writer.output is not None
        assert len(writer.output.read_text("utf8").splitlines()) == 1  # at once, not at the end
        writer.add({"row": 2}, {"error": "no such file"}, None)
    first = '{"file": "ä.png", "class": "栗鼠", "probability": 0.1}\n'
    assert (tmp_path / "lines.jsonl").read_bytes() == (first + '{"row": 2, "error": "no such file"}\n').encode()
    with pytest.raises(FileExistsError), writer.writing():
        pass


def test_lines_without_a_file_leave_standard_output_open(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(None).writing() as writer:
        writer.add({}, {"depth": 1.5}, None)
    print("more")
    assert capsys.readouterr().out == '{"depth": 1.5}\nmore\n'


def test_a_writer_is_told_each_input_with_its_own_prediction_and_ends_after_an_error_too(
    photos: Path,  # noqa: F811
    predictor: Predictor,  # noqa: F811
) -> None:
    names = [str(photos / "3.png"), "gone.png", str(photos / "0.png")]
    inputs, _ = predictor.preprocessing.listed(names)
    writer = Kept(None)
    with pytest.raises(OSError, match="full"):
        write(predictor, inputs, writer, {"top_k": 1}, batch_size=3, num_workers=0)
    assert writer.ended
    assert [name["file"] for name, _, _ in writer.told] == names
    (_, first, raw), (_, broken, nothing), (_, third, other) = writer.told
    assert "gone.png" in broken["error"]
    assert nothing is None
    for record, chances in ((first, raw), (third, other)):
        assert chances.shape == (3,)
        assert record["probability"] == float(chances.max())
        assert len(record["top"]) == 1
    assert not torch.equal(raw, other)


# Settings at predict time


def test_a_task_takes_its_own_settings_and_refuses_what_it_does_not_read() -> None:
    task, numbers = Classification(CLASSES), Regression(NUMBERS)
    assert task.at_predict({}) == {"top_k": 5}
    assert task.at_predict({"top_k": 2}) == {"top_k": 2}
    with pytest.raises(UserError, match=r"top_k=0: expected a whole number above 0"):
        task.at_predict({"top_k": 0})
    with pytest.raises(UserError, match=r"topk=2: task=classification has no such .*did you mean 'top_k'\?"):
        task.at_predict({"topk": 2})
    with pytest.raises(UserError, match=r"top_k=3: task=regression has no such .*Accepted: nothing"):
        numbers.at_predict({"top_k": 3})


def test_of_a_config_a_task_takes_its_own_and_minds_others_only_where_they_were_set() -> None:
    shipped = {"bundle": "???", "batch_size": 32, "top_k": 5}
    config = {**shipped, "bundle": "b", "batch_size": 2}
    assert settings_of(Classification(CLASSES), {**config, "top_k": 1}, shipped) == {"top_k": 1}
    assert settings_of(Regression(NUMBERS), config, shipped) == {}
    with pytest.raises(UserError, match="top_k=1: task=regression has no such setting"):
        settings_of(Regression(NUMBERS), {**config, "top_k": 1}, shipped)


def test_a_predictor_in_python_refuses_a_setting_that_its_task_has_not(
    photos: Path,  # noqa: F811
    predictor: Predictor,  # noqa: F811
) -> None:
    with pytest.raises(UserError, match=r"threshold=0\.5: task=classification has no such setting"):
        predictor.predict([str(photos / "0.png")], threshold=0.5)
