"""From the body of a request to raw inputs that are still to be decoded."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ftlab.errors import UserError, choices
from ftlab.files.paths import short
from ftlab.inputs.base import InputPreprocessing
from ftlab.serving.limits import Limits, RefusedError
from ftlab.tasks.base import Task

JSON, FORM = "application/json", "multipart/form-data"
FILES = "files"  # the part of a form that holds a file; there may be several
ENDING = 64  # bytes, of a form, that hold its end
INPUTS = "inputs"  # the key of an object in JSON
DEEP = 32  # lists and objects inside of each other; no input has as many, and Python follows a thousand at most


@dataclass(frozen=True)
class Sent:
    """One input of a request; `read` decodes it, and raises UserError."""

    called: str
    read: Callable[[], Any]


async def sent(request: Request, preprocessing: InputPreprocessing, limits: Limits) -> list[Sent]:
    """Raises: RefusedError for a body that is not understood, or too large."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == FORM:
        given: Sequence[tuple[str | None, Any]] = await _files(request, limits)
    elif kind == JSON:
        given = inputs_of(await request.body())
    else:
        raise RefusedError(415, f"Content-Type '{short(kind)}': accepted are {JSON} and {FORM}")
    if not given:
        raise RefusedError(422, f"there is no input: send a list under '{INPUTS}', or files as parts called '{FILES}'")
    if len(given) > limits.inputs:
        raise RefusedError(413, f"{len(given):,} inputs; at most {limits.inputs:,} are accepted in a request")
    names = [f"input {place}" if len(given) > 1 else "the input" for place in range(1, len(given) + 1)]
    return [
        Sent(called if name is None else f"{called} ({name})", partial(preprocessing.received, one, limits.most))
        for called, (name, one) in zip(names, given, strict=True)
    ]


async def _files(request: Request, limits: Limits) -> list[tuple[str | None, bytes]]:
    """Name and content of each file of a form. What a file is called is said again, and nothing else."""
    end = b""

    async def watched() -> AsyncGenerator[bytes, None]:
        nonlocal end
        async for chunk in request.stream():
            end = (end + chunk)[-ENDING:]
            yield chunk

    parser = MultiPartParser(request.headers, watched(), max_files=limits.inputs, max_fields=limits.inputs)
    try:
        async with closing(await parser.parse()) as form:
            if not end.rstrip().endswith(b"--"):  # which the parser does not mind
                raise MultiPartException("it has no end")
            return [(_name(file), await file.read()) for file in _parts(form)]
    except MultiPartException as error:
        too_many = error.message.startswith("Too many")
        raise RefusedError(413 if too_many else 400, f"the form cannot be read: {error.message}") from None


@asynccontextmanager
async def closing(form: FormData) -> AsyncIterator[FormData]:
    try:
        yield form
    finally:
        await form.close()


def _parts(form: FormData) -> list[UploadFile]:
    found = []
    for name, value in form.multi_items():
        if name != FILES:
            raise RefusedError(422, f"the part '{short(name)}' of the form is unknown; {choices(name, [FILES])}")
        if not isinstance(value, UploadFile):
            raise RefusedError(422, f"the part '{FILES}' of the form is no file: it has no file name")
        found.append(value)
    return found


def _name(file: UploadFile) -> str | None:
    last = (file.filename or "").replace("\\", "/").rpartition("/")[2]
    return short("".join(letter for letter in last if letter.isprintable())) or None


def inputs_of(body: bytes) -> list[tuple[None, Any]]:
    """The inputs of an object in JSON: one, or a list. Raises: RefusedError for what is none."""
    try:
        given = _parsed(body.decode("utf8"))
        if b"\\u" in body:
            json.dumps(given, ensure_ascii=False).encode("utf8")
    except UnicodeEncodeError:
        raise RefusedError(400, "the JSON holds half of a character (a lone surrogate)") from None
    except UnicodeDecodeError:
        raise RefusedError(400, "the JSON is not in UTF-8") from None
    except RecursionError:
        raise RefusedError(400, "the JSON is nested too deeply") from None
    except ValueError as error:
        raise RefusedError(400, f"the body is no JSON: {error}") from None
    if not isinstance(given, dict) or INPUTS not in given:
        raise RefusedError(422, f"the JSON is an object with the key '{INPUTS}': {{\"{INPUTS}\": [...]}}")
    if odd := sorted(given.keys() - {INPUTS}):
        raise RefusedError(422, f"the key '{short(odd[0])}' is unknown; {choices(odd[0], [INPUTS])}")
    inputs = given[INPUTS]
    return [(None, one) for one in (inputs if isinstance(inputs, list) else [inputs])]


def _parsed(text: str) -> Any:
    """Raises: ValueError for what is no JSON; RecursionError for what is nested too deeply."""
    found = json.loads(text, parse_constant=_refused)
    level = [found]
    for _ in range(DEEP):
        several = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [inside for one in several for inside in one]
        if not level:
            return found
    raise RecursionError


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def settings_of(query: Sequence[tuple[str, str]], task: Task) -> tuple[tuple[str, Any], ...]:
    """What the address asks of answers (?top_k=3), as Task.describe takes it.

    Raises: RefusedError for what it does not take.
    """
    given: dict[str, Any] = {}
    for name, text in query:
        if name in given:
            raise RefusedError(422, f"{short(name)}: is given twice")
        try:
            given[name] = _parsed(text)
        except (ValueError, RecursionError):
            given[name] = text
    try:
        found: Mapping[str, Any] = task.at_predict(given)
    except UserError as error:
        raise RefusedError(422, short(str(error), 400)) from None
    return tuple(sorted(found.items()))
