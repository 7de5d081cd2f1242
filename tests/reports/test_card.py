"""The model card of a bundle: programs read there what report.json says, and names of the user's are only names."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from ftlab.reports.card import card

Report = dict[str, Any]


def read(path: Path, text: str) -> ModelCard:
    path.write_text(text, encoding="utf8")
    return ModelCard.load(path)


def test_names_of_the_users_are_no_marks_and_no_lines_of_their_own(report: Report, tmp_path: Path) -> None:
    report["data"]["classes"] = ["a|b", "<script>", "two\nlines", "[link](x)", "---"]
    report["config"]["data"] = {"root": "photos/my: *set*"}
    found = read(tmp_path / "card.md", card(report, "image", library=None))
    assert "a\\|b, \\<script\\>, two lines, \\[link\\](x), ---" in found.content
    assert found.data.eval_results[0].dataset_name == "my: *set*"
    assert "my: \\*set\\*" in found.content
    assert "create_model" not in found.content


@pytest.mark.parametrize(
    ("task", "kind", "tag"), [("regression", "table", "tabular-regression"), ("regression", "tests.words", None)]
)
def test_a_run_without_figures_has_a_card_that_says_so(
    report: Report, tmp_path: Path, task: str, kind: str, tag: str | None
) -> None:
    report |= {"task": task, "metrics": {}, "intervals": {}, "resampled": {}, "trivial": {}}
    report["data"] |= {"classes": [], "targets": ["price"], "skipped": [{"place": "row 7"}]}
    found = read(tmp_path / "card.md", card(report, kind, library=None))
    assert found.data.pipeline_tag == tag
    assert found.data.eval_results is None
    assert "no split that was not trained on" in found.content
    assert all(text in found.content for text in ("It predicts price.", "left out: 1"))
