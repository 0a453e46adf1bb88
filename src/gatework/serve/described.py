"""What OpenAPI says of each address."""

from __future__ import annotations

import inspect
import re
from typing import Any

from gatework.serve.service import Service

Extra = dict[str, Any]
ID = re.compile(r"[A-Za-z0-9._~:@-]{1,128}")  # of a stream
TEXT, NUMBER, COUNT = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}
ERROR = {"type": "object", "properties": {"error": TEXT}, "required": ["error"]}
MEANINGS = {
    401: "the token is missing or wrong",
    404: "there is no such stream",
    413: "too many bytes or rows",
    415: "a content type that the address does not take",
    422: "something is wrong with the request; the message says what",
    429: "too many requests from this address",
    500: "the model failed",
    503: "too much at present; come later",
    504: "no answer in time",
}


def _object(properties: Extra, required: list[str] | None = None) -> Extra:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


def _json(schema: Extra) -> Extra:
    return {"application/json": {"schema": schema}}


def _extra(summary: str, content: Extra, codes: tuple[int, ...], code: int = 200, **openapi: object) -> Extra:
    """What FastAPI takes beside path and action."""
    done = {code: {"description": "done", "content": content} if content else {"description": "done"}}
    errors = {each: {"description": MEANINGS[each], "content": _json(ERROR)} for each in codes}
    return {"summary": summary, "responses": done | errors, "status_code": code, "openapi_extra": openapi}


MODELS = _extra("The models", _json(_object({"models": {"type": "array", "items": {"type": "object"}}})), (401, 429))
METRICS = _extra("Counts for Prometheus", {"text/plain": {"schema": TEXT}}, (401, 429))
HEALTH = _extra("Whether the server can answer", _json(_object({"status": TEXT})), (429, 503))
HEALTH["responses"][503]["content"] = _json(_object({"status": TEXT}))
ASKED = (401, 413, 415, 422, 429, 500, 503, 504)


def predict(service: Service) -> Extra:
    rows = {"type": "array", "items": service.served.row, "description": f"{service.limits.rows:,} at most"}
    body = {**_object({"rows": rows}), "additionalProperties": False}
    content = _json(body)
    if service.served.tables:
        content["text/csv"] = {"schema": {**TEXT, "description": "a table whose first line names the columns"}}
    answers = _json(_object({"answers": {"type": "array", "items": {"type": "object"}}}))
    name = service.served.name
    found = _extra(f"Predictions of {name}", answers, ASKED, requestBody={"content": content, "required": True})
    lacks = [f"There is no {what}: {why}." for what, why in service.served.lacks.items()]
    return found | {"description": " ".join(["Answers for rows: JSON, or a table as CSV.", *lacks])}


def generate(service: Service) -> Extra:
    options = {name: _kind(each) for name, each in service.options().items()}
    body = {**_object({"prompt": TEXT} | options, []), "additionalProperties": False}
    request = {"content": _json(body), "required": True}
    return _extra(f"Text of {service.served.name}", {"text/event-stream": {"schema": TEXT}}, ASKED, requestBody=request)


def _kind(parameter: inspect.Parameter) -> Extra:
    """The schema of an option, by its default."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    kind = kinds.get(type(parameter.default))
    return {"type": kind} if kind else {}


def _of_stream(service: Service, summary: str, content: Extra, code: int = 200) -> Extra:
    said = {"name": "id", "in": "path", "required": True, "schema": {**TEXT, "pattern": f"^{ID.pattern}$"}}
    codes = (401, 404, 422, 429, 503)
    return _extra(f"{summary} of {service.served.name}", content, codes, code, parameters=[said])


def peek(service: Service) -> Extra:
    states = {"type": "object", "additionalProperties": {"type": "array", "items": NUMBER}}
    found = _object({"steps": COUNT, "answer": {}, "waiting": COUNT, "states": states})
    return _of_stream(service, "Where a stream stands,", _json(found))


def drop(service: Service) -> Extra:
    return _of_stream(service, "Drop a stream", {}, 204)
