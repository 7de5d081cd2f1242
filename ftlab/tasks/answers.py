"""Which spans of a text are likely to answer, and how well they do: pure arithmetic.

Shapes: b batch, n questions, t positions of all windows of a sample, r windows of all samples, s positions of the
longest window, l tokens of an answer at most, k answers of a question.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from ftlab.heads.span import SpanOutputs
from ftlab.inputs.texts.offsets import Offsets
from ftlab.inputs.texts.windows import Windows, begins
from ftlab.targets.ragged import Parts, Ragged
from ftlab.targets.spans import Answer

NO_ANSWER = -1.0  # the score of a question of which no span can be the answer


def losses(outputs: SpanOutputs, targets: Ragged) -> tuple[Tensor, Tensor]:
    """(sum over windows of the mean cross entropy of both ends, number of windows); see Spans.follow. An end lies in
    the context, or is the first position of a window."""
    windows = Windows(outputs.mask)
    possible = outputs.context | begins(outputs.mask)
    rows = windows.apart(outputs.logits.masked_fill(~possible[..., None], -torch.inf), -torch.inf)
    wanted = targets.rows["ends"] - windows.start[:, None]
    weight = torch.tensor(float(len(rows)), device=rows.device)
    return cross_entropy(rows, wanted, reduction="sum") / 2, weight


def found(outputs: SpanOutputs, longest: int, most: int) -> list[Parts]:
    """Of each sample ends (k, 2), positions of the first and the last token, and score (k,) float64; the surest first.

    The score is that of the span against none, p / (p + p of none), by the window that it is in: the logits of a window
    say nothing of another's, but for what they are beside those of its own first position.
    """
    logits, mask, context = (part.detach().cpu() for part in outputs)
    windows = Windows(mask)
    none = windows.apart(logits)[:, 0].sum(1)
    begin, end = windows.apart(logits.masked_fill(~context[..., None], -torch.inf), -torch.inf).unbind(2)
    reach = min(longest, windows.shape[1])
    later = pad(end, (0, reach - 1), value=-torch.inf).unfold(1, reach, 1)  # (r, s, l) the ends of each begin
    odds = (begin[..., None] + later - none[:, None, None]).flatten(1)
    top, places = odds.topk(min(most, odds.shape[1]))
    firsts = windows.start[:, None] + places // reach
    ends = torch.stack([firsts, firsts + places % reach], 2)
    return [best(top[windows.sample == one], ends[windows.sample == one], most) for one in range(len(mask))]


def best(odds: Tensor, ends: Tensor, most: int) -> Parts:
    """Of the windows of one sample: odds (windows, k) and ends (windows, k, 2)."""
    flat = odds.flatten()
    order = flat.argsort(descending=True)[:most]
    order = order[flat[order].isfinite()]
    return {"ends": ends.flatten(0, 1)[order], "score": flat[order].double().sigmoid()}


def in_text(spans: Sequence[Parts], frame: Offsets) -> list[dict[str, Any]]:
    """With ends in characters, each span once though two windows hold it; and the context, "" where it is not known."""
    several: list[dict[str, Any]] = []
    for place, one in enumerate(spans):
        places = frame.places[place].cpu()
        ends = torch.stack([places[one["ends"][:, 0], 0], places[one["ends"][:, 1], 1]], 1)
        first = {tuple(pair): number for number, pair in reversed(list(enumerate(ends.tolist())))}
        kept = torch.tensor(sorted(first.values()), dtype=torch.int64)
        context = frame.contexts[place] if frame.contexts else ""
        several.append({"ends": ends[kept], "score": one["score"][kept], "context": context})
    return several


def quality(spans: Sequence[Mapping[str, Any]], true: Sequence[Answer]) -> tuple[Tensor, Tensor]:
    """(n, 3) score, exact match and F1 of the surest answer of each question; and (n, 2) whether it has one, and of how
    many words. Exact match and F1 are SQuAD's: without case, articles and signs; of several right answers the best."""
    from torchmetrics.functional.text import squad

    rows, told = [], []
    for one, answer in zip(spans, true, strict=True):
        told.append((float(answer.start >= 0), float(len(answer.texts[0].split())) if answer.texts else 0.0))
        if not len(one["score"]):
            rows.append((NO_ANSWER, 0.0, 0.0))
            continue
        said = {"prediction_text": text_of(answer.context, one["ends"][0]), "id": "0"}
        right = squad(said, {"answers": {"answer_start": [], "text": list(answer.texts) or [""]}, "id": "0"})
        rows.append((float(one["score"][0]), float(right["exact_match"]) / 100, float(right["f1"]) / 100))
    return torch.tensor(rows, dtype=torch.float64), torch.tensor(told, dtype=torch.float64)


def text_of(context: str, ends: Tensor) -> str:
    begin, end = ends.tolist()
    return context[begin:end].strip()


def given(rows: Tensor, true: Tensor, score: float) -> tuple[Tensor, Tensor]:
    """(n,) exact match and (n,) F1 of what is said where an answer is given from `score` on; of `quality`."""
    answered, none_is_right = rows[:, 0] >= score, 1 - true[:, 0]
    return torch.where(answered, rows[:, 1], none_is_right), torch.where(answered, rows[:, 2], none_is_right)


def best_score(rows: Tensor, true: Tensor) -> float:
    """The score from which answers are given that makes the mean F1 the highest; of equal ones the lowest."""
    order = rows[:, 0].argsort(descending=True)
    gain = (rows[order, 2] - (1 - true[order, 0])).cumsum(0)  # of answering the surest 1, 2, ... questions
    scores = rows[order, 0]
    if float(gain.max()) <= 0:
        return 1.0
    last = int((gain >= gain.max() - 1e-9).nonzero()[-1])
    following = float(scores[last + 1]) if last + 1 < len(scores) else 0.0
    return max(0.0, (float(scores[last]) + following) / 2)
