"""How well the default set of questions is answered, beside the best sentence: six minutes of one core.

python -m tests.benchmarks.questions trains `ftlab train task=question_answering` in a folder that is thrown away and
prints a Markdown table of its test split; with the folder of such a run behind it, it trains nothing. The best sentence
is that of the context with the most words of the question, the first of several; a line is one too.
"""

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

import ftlab
from ftlab.config import plainly
from ftlab.data.base import Samples
from ftlab.survey import source_of
from ftlab.targets.spans import NOWHERE
from ftlab.tasks.answers import given, quality

SENTENCE = re.compile(r"[^\n.]+(?:\.(?!\s)[^\n.]*)*")
WORD = re.compile(r"\w+")


def best_sentence(question: str, context: str) -> tuple[int, int]:
    """The characters of the sentence."""
    asked = set(WORD.findall(question.lower()))
    spans = [match.span() for match in SENTENCE.finditer(context) if match[0].strip()]
    return max(spans, key=lambda span: len(asked & set(WORD.findall(context[slice(*span)].lower()))))


def test_split(folder: Path) -> Samples:
    """Of the run in a folder."""
    config = plainly(ftlab.compose([f"resume={folder}", "task=question_answering"]), resolve=True)
    found = source_of(config["data"], (), target_kind="spans").read(config["seed"]).test
    assert found is not None
    return found


def figures(test: Samples, spans: Sequence[tuple[int, int]], scores: Sequence[float], least: float) -> list[float]:
    """Exact match and F1 in percent of answers at these characters, given from the score `least` on: of all questions,
    and of those that have an answer."""
    said = [
        {"ends": torch.tensor([span]), "score": torch.tensor([score])}
        for span, score in zip(spans, scores, strict=True)
    ]
    rows, true = quality(said, test.targets.several)
    exact, f1 = given(rows, true, least)
    there = true[:, 0] == 1
    return [100 * float(part.mean()) for part in (exact, f1, exact[there], f1[there])]


def main(folder: Path) -> None:
    if not (folder / "bundle").is_dir():
        ftlab.train(ftlab.compose(["task=question_answering"]), run_dir=folder)
    test, predictor = test_split(folder), ftlab.load(folder / "bundle")
    pairs = [test.inputs[place] for place in range(len(test))]
    tops = [record["top"][0] for record in predictor.predict(pairs)]
    sentences, ones = [best_sentence(*pair) for pair in pairs], [1.0] * len(pairs)
    rows = {
        "ftlab train task=question_answering": figures(
            test, [(top["start"], top["end"]) for top in tops], [top["score"] for top in tops], predictor.task.score
        ),
        "the best sentence": figures(test, sentences, ones, 0.0),
        "no answer to any question": figures(test, sentences, ones, 2.0),
    }
    without = sum(one.start == NOWHERE for one in test.targets.several)
    print(f"{len(test)} questions of test, {without} of them without an answer\n")
    print("| | exact match | f1 | exact match where there is an answer | f1 there |\n|---|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in row)} |")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary) / "run")
