"""What is looked at of each kind of input.

Shapes: b batch, t tokens or steps, n columns or steps.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ftlab.batch import Fields
from ftlab.errors import UserError, choices
from ftlab.explaining import methods
from ftlab.explaining.found import Heat, Part, Parts
from ftlab.explaining.scores import Scores
from ftlab.inputs.sequences.preprocessing import UNKNOWN
from ftlab.inputs.texts.preprocessing import pair
from ftlab.predictor import Pieces, batches

Found = tuple[list[Heat | Parts], list[str]]  # and what a person should know
Look = Callable[[Scores, Any, Any, int, Sequence[str]], Found]  # of scores, raw input, prepared, output, methods


def of_images(scores: Scores, raw: Any, ready: Any, output: int, asked: Sequence[str]) -> Found:
    inputs, found, notes = scores.inputs([ready]), [], []
    for name in asked:
        try:
            found.append(Heat(name, getattr(methods, name)(scores, inputs, output)))
        except UserError as error:
            if len(asked) == 1:
                raise
            notes.append(str(error))
    return list(found), notes


def of_texts(scores: Scores, raw: Any, ready: Any, output: int, asked: Sequence[str]) -> Found:
    """Special tokens stay where all others are hidden."""
    own: Any = scores.predictor.preprocessing
    windows = next(own.encoded([raw]))
    if len(windows) > 1:
        raise UserError(f"the text is longer than a window of {own.max_tokens} tokens; shorten it")
    inputs, (window,) = scores.inputs([ready]), windows
    special = torch.tensor(window.special_tokens_mask, device=scores.device)[None] == 1
    hidden = own.padding if own.gap is None else own.gap
    nothing = torch.where(special, inputs[0], hidden)
    layer = scores.model.backbone.model.get_input_embeddings()
    weights = methods.integrated_gradients(scores, inputs, output, layer, nothing).tolist()
    return [Parts("integrated_gradients", tuple(_pieces(pair(raw), window, weights)), running=True)], []


def _pieces(texts: tuple[str, ...], window: Any, weights: list[float]) -> list[Part]:
    """The text again, piece by piece; what lies between two of them weighs nothing."""
    found: list[Part] = []
    for number, text in enumerate(texts):
        at = 0
        for place, (start, end) in enumerate(window.offsets):
            if window.sequence_ids[place] == number and end > start:
                found += [Part("", text[at:start], 0.0)] if start > at else []
                found.append(Part(window.tokens[place], text[start:end], weights[place]))
                at = end
        found.append(Part("", text[at:] + ("\n" if number + 1 < len(texts) else ""), 0.0))
    return [one for one in found if one.value]


def of_rows(scores: Scores, raw: Any, ready: Any, output: int, asked: Sequence[str]) -> Found:
    """A column that is not there has what is usual: the median of train, or nothing where it is a category."""
    own: Any = scores.predictor.preprocessing
    fields = own.form()["fields"]
    usual = {one["name"]: one.get("usual") for one in fields}

    def scored(there: Tensor) -> Tensor:
        rows = ({name: raw[name] if on else usual[name] for name, on in zip(usual, row, strict=True)} for row in there)
        return _scored(scores, map(scores.predictor.prepared, rows), output)

    weights = methods.shapley(scored, len(usual)).tolist()
    shown = own.shown(raw)["cells"]
    parts = (Part(name, shown[name], weight) for name, weight in zip(usual, weights, strict=True))
    return [Parts("shapley", tuple(sorted(parts, key=lambda one: -abs(one.weight))))], []


def of_steps(scores: Scores, raw: Any, ready: Any, output: int, asked: Sequence[str]) -> Found:
    """A step that is not there has the mean of train, and a token that nobody knows."""
    own: Any = scores.predictor.preprocessing
    fields, _ = ready
    count = len(fields["mask"])

    def scored(there: Tensor) -> Tensor:
        return _scored(scores, ((_without(fields, row > 0), None) for row in there), output)

    weights = methods.ablation(scored, count).tolist()
    first = max(0, len(raw) - count) if own.length is not None else 0  # of sequences read as a whole the last are seen
    parts = [Part(str(first + at + 1), _step(raw, first + at), weight) for at, weight in enumerate(weights)]
    return [Parts("ablation", tuple(parts))], []


def _without(fields: Fields, there: Tensor) -> Fields:
    tokens, series = torch.where(there, fields["tokens"], UNKNOWN), fields["series"] * there[:, None]
    return {**fields, "tokens": tokens, "series": series}


def _step(raw: Any, place: int) -> str:
    token = [] if raw.tokens is None else [raw.tokens[place]]
    return " ".join([*token, *(f"{x:.4g}" for x in (() if raw.series is None else raw.series[place]))])


def _scored(scores: Scores, prepared: Any, output: int) -> Tensor:
    chunks = batches(prepared, methods.AT_ONCE)
    return torch.cat([scores(*scores.inputs(chunk))[:, output].cpu() for chunk in chunks])


# By the kind of input: how it is looked at, and the methods, all of them unless one is asked for.
KINDS: dict[str, tuple[Look, tuple[str, ...]]] = {
    "image": (of_images, ("grad_cam", "occlusion")),
    "text": (of_texts, ("integrated_gradients",)),
    "table": (of_rows, ("shapley",)),
    "sequence": (of_steps, ("ablation",)),
}


def look_of(kind: str, method: str | None) -> tuple[Look, tuple[str, ...]]:
    """Raises: UserError for inputs that nothing here looks at, and a method that is not for them."""
    if kind not in KINDS:
        raise UserError(f"inputs of the kind '{kind}' are not explained; accepted: {', '.join(KINDS)}")
    look, known = KINDS[kind]
    if method not in (None, *known):
        raise UserError(f"method={method}: is not for inputs of the kind '{kind}'; {choices(str(method), known)}")
    return look, known if method is None else (method,)


def check_whole(ready: Any) -> Any:
    """Raises: UserError for an input that is cut into tiles."""
    if isinstance(ready, Pieces):
        raise UserError("inputs that are cut into tiles are not explained")
    return ready
