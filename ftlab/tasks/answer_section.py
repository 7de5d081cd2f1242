"""What the report tells of answers: by their length and their score, and where in the context they are.

Shapes: n questions.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from ftlab.blocks import Axes, Block, Chart, Column, Heading, Histogram, Line, Note, Rule, Table
from ftlab.tasks.answers import given

WORDS = (1, 2, 3, 5, 9, 17)  # of a right answer, from which a range begins
SCORES = torch.linspace(0, 1, 51).double()
AROUND = 120  # characters of a context before and behind the answers


def section(rows: Tensor, true: Tensor, score: float) -> dict[str, Any]:
    """Plain numbers of a split; rows (n, 3) and true (n, 2) of `quality`; score: from which an answer is given."""
    exact, f1 = given(rows, true, score)
    answered, edges = rows[:, 0] >= score, torch.linspace(0, 1, 21)
    return {
        "score": score,
        "questions": len(rows),
        "answerable": int(true[:, 0].sum()),
        "answered": int(answered.sum()),
        "lengths": by_length(exact, f1, true),
        "f1": {"score": SCORES.tolist(), "f1": [float(given(rows, true, one)[1].mean()) for one in SCORES.tolist()]},
        "scores": {"edges": edges.tolist(), "counts": torch.histc(rows[:, 0].float(), 20, 0, 1).long().tolist()},
    }


def by_length(exact: Tensor, f1: Tensor, true: Tensor) -> list[dict[str, Any]]:
    """Of questions without an answer, then by the words of the right one; ranges without any are left out."""
    parts = [("no answer", true[:, 0] == 0)]
    for low, above in zip(WORDS, (*WORDS[1:], None), strict=True):
        last = torch.inf if above is None else above - 1
        name = f"{low} or more" if above is None else f"{low}" if low == last else f"{low} to {last}"
        parts.append((name, (true[:, 0] == 1) & (true[:, 1] >= low) & (true[:, 1] <= last)))
    return [
        {
            "words": name,
            "questions": int(own.sum()),
            "exact_match": float(exact[own].mean()),
            "f1": float(f1[own].mean()),
        }
        for name, own in parts
        if own.any()
    ]


def passage(
    context: str, said: Sequence[int] | None, true: tuple[int, int] | None
) -> tuple[tuple[str, Literal["", "found", "true", "both"]], ...]:
    """The context around the answer that was found and the true one, characters (begin, end) each, as pieces of text
    with what each is of: "" where it is of none. What lies far from both is left out."""
    spans = {"found": said, "true": true}
    ends = sorted({0, len(context), *(place for span in spans.values() if span for place in span)})
    pieces = []
    for begin, end in pairwise(ends):
        own = [name for name, span in spans.items() if span and span[0] <= begin and end <= span[1]]
        kind: Any = "both" if len(own) == 2 else own[0] if own else ""
        pieces.append((context[begin:end], kind))
    return tuple(
        (text if kind else shortened(text, place == 0, place == len(pieces) - 1), kind)
        for place, (text, kind) in enumerate(pieces)
    )


def shortened(text: str, first: bool, last: bool) -> str:
    """What stands between answers, or before the first of them, or behind the last."""
    if first and last:
        return text if len(text) <= 2 * AROUND else f"{text[: 2 * AROUND]} ..."
    before, behind = "" if first else f"{text[:AROUND]} ", "" if last else f" {text[-AROUND:]}"
    return text if len(text) <= len(before) + len(behind) else f"{before}...{behind}"


# --- what is drawn of it


def drawn(report: Mapping[str, Any]) -> list[Block]:
    """The blocks of the section `answers` of a report.json."""
    own = report["answers"]
    split, without = own["split"], own["questions"] - own["answerable"]
    rows = [[one[name] for name in ("words", "questions", "exact_match", "f1")] for one in own["lengths"]]
    columns = (Column("words of the answer", wraps=True), "questions", "exact match", "f1")
    count = f"{own['answered']:,} of {own['questions']:,} questions of {split} are answered"
    rule = f", from a score of {own['score']:.2f} on; {without:,} have no answer" if without or own["score"] else ""
    marks = (Line(own["f1"]["score"], own["f1"]["f1"]), Rule(own["score"], upright=True))
    bars = (Histogram(own["scores"]["edges"], own["scores"]["counts"]), Rule(own["score"], upright=True))
    return [
        Heading(f"Answers, {split}"),
        Note(f"{count}{rule}. Exact match and F1 leave out case, articles and signs, as SQuAD does."),
        Table(columns, rows),
        Chart(
            (Axes(marks, "f1 by score", "score from which an answer is given", "f1"),
             Axes(bars, "questions by score", "score of the surest answer", "questions")),
            "F1 by the score from which an answer is given, and how many answers have which score",
        ),
        Note("Below, the true answer is green in its context, what was found blue where right and orange where wrong."),
    ]  # fmt: skip
