"""What the OpenAPI page says of requests and answers, and /info of the bundle."""

from collections.abc import Mapping
from typing import Any

from ftlab.serving.engine import Engine
from ftlab.serving.limits import Limits
from ftlab.serving.reading import FILES, FORM, INPUTS, JSON

TEXT = {"type": "string"}
Schema = dict[str, Any]


def answer(description: str, properties: Schema) -> Schema:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"description": description, "content": {JSON: {"schema": schema}}}


REFUSED = {
    400: "The body is no JSON, or no form",
    401: "The token is missing, or another",
    403: "Another page may not ask",
    408: "The request took too long to arrive",
    413: "More than is accepted at once",
    415: "Neither JSON nor a form",
    421: "The server has another name",
    422: "An input, or a setting, that is not understood; the text says which",
    429: "Too many requests at once",
    503: "No answer in time",
}
ANSWERED: dict[int | str, Schema] = {
    200: answer("One record an input", {"predictions": {"type": "array", "items": {"type": "object"}}}),
    **{status: answer(text, {"error": TEXT}) for status, text in REFUSED.items()},
}
LIVES: dict[int | str, Schema] = {200: answer("It does", {"status": TEXT})}
READY: dict[int | str, Schema] = {
    200: answer("They are", {"ready": {"type": "boolean"}}),
    503: answer("Not yet, or no longer", {"ready": {"type": "boolean"}}),
}
TOLD: dict[int | str, Schema] = {200: answer("Of the bundle", {"task": TEXT, "inputs": TEXT})}


def predict_operation(engine: Engine) -> Schema:
    """Body and settings of /predict."""
    one: Schema = TEXT if engine.preprocessing.pixels else {}
    content: Schema = {
        JSON: {
            "schema": {
                "type": "object",
                "properties": {INPUTS: {"type": "array", "items": one, "minItems": 1}},
                "required": [INPUTS],
                "additionalProperties": False,
            }
        }
    }
    if engine.preprocessing.pixels:
        each = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
        content[FORM] = {"schema": {"type": "object", "properties": {FILES: each}, "required": [FILES]}}
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": of_default(default)}
            for name, default in engine.task.predict_settings.items()
        ],
    }


def of_default(default: Any) -> Schema:
    """The schema of a setting."""
    if isinstance(default, bool):
        return {"type": "boolean", "default": default}
    if isinstance(default, int):
        return {"type": "integer", "minimum": 1, "default": default}
    return {"type": "number"} if default is None or isinstance(default, float) else {}


def told(engine: Engine, limits: Limits, name: str, version: str) -> Mapping[str, Any]:
    """What /info says. name: of the engine."""
    task, described = engine.task, engine.task.spec.target.described()
    return {
        "task": task.name,
        "inputs": engine.preprocessing.kind,
        "form": engine.preprocessing.form(),
        "summary": engine.preprocessing.summary(),
        "classes": list(task.spec.target.classes),
        "background": task.background,
        "targets": described.get("targets", []),
        "settings": dict(task.predict_settings),
        "limits": limits.told(),
        "engine": name,
        "version": version,
    }
