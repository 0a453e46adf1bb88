"""Requests and answers as bytes: JSON and CSV in, JSON out, and which status an error has."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any, NoReturn

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from gatework.errors import DataError, GateworkError, OptionError, ShapeError
from gatework.serve.limits import Busy, NotKnown, Taken, TooLarge, TooLate

STATUS: dict[type[Exception], int] = {
    NotKnown: 404,
    Taken: 409,
    TooLarge: 413,
    DataError: 422,
    ShapeError: 422,
    OptionError: 422,
    Busy: 503,
    TooLate: 504,
}
SURROGATE = re.compile(r"[\ud800-\udfff]")
ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
FAILED = "the model failed at this request; the server's log says how"


def status(error: Exception) -> int:
    """The status code of an error; 500 for what nobody foresaw."""
    return next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)


def said(error: Exception) -> str:
    """What a client is told: messages of ours alone, as others may hold paths."""
    return str(error) if isinstance(error, GateworkError) and status(error) != 500 else FAILED


def refusal(error: Exception) -> Response:
    return refused(status(error), said(error))


def refused(code: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """An error as every address answers it."""
    later = {"Retry-After": "1"} if code in (429, 503) else {}
    return answered({"error": text}, code, later | (headers or {}))


def answered(value: object, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(dumped(value), code, headers, "application/json")


def dumped(value: object) -> str:
    """JSON. Raises DataError for numbers that it cannot hold."""
    try:
        return json.dumps(value, allow_nan=False, default=_plain)
    except ValueError:
        raise DataError("the answer holds numbers that are not finite") from None


def _plain(value: object) -> object:
    """Numbers and arrays of numpy as Python's; dates as text."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def parsed(text: str | bytes) -> Any:
    """JSON as the standard has it: no NaN, no halves of characters. Raises DataError."""
    try:
        whole = text.decode() if isinstance(text, bytes) else text
        value = json.loads(whole, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise DataError("the request is no text in UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"the request is no JSON: {error}") from None
    if ESCAPED.search(whole) and SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise DataError("the request holds half of a character: a surrogate without the other")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


async def rows_of(request: Request, tables: bool) -> list[Any]:
    """The rows of a request: {"rows": [...]}, or where there can be `tables` one with a header. Raises DataError."""
    if tables and _kind(request) == "text/csv":
        return table(await request.body())
    body = await json_of(request)
    rows = body.get("rows")
    if not isinstance(rows, list) or len(body) > 1:
        raise DataError('a request is {"rows": [...]}, with nothing beside it')
    return rows


async def json_of(request: Request) -> dict[str, Any]:
    """The object of a request. Raises DataError; Unsupported where it is not JSON."""
    kind = _kind(request)
    if kind != "application/json":
        raise Unsupported(f"the content type is {kind!r:.60}; this address takes application/json, see /docs")
    body = parsed(await request.body())
    if not isinstance(body, dict):
        raise DataError(f"a request is an object of JSON; got {type(body).__name__}")
    return body


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class Unsupported(GateworkError):
    """A request of another kind than the address takes."""


STATUS[Unsupported] = 415


def table(body: bytes) -> list[dict[str, str]]:
    """Rows of CSV by the names of the header. Raises DataError with the line."""
    try:
        reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        lines = [(reader.line_num, line) for line in reader if line]
    except UnicodeDecodeError:
        raise DataError("the table is no text in UTF-8") from None
    except csv.Error as error:
        raise DataError(f"the table is no CSV: {error}") from None
    if not lines:
        raise DataError("the table is empty; its first line names the columns")
    _, names = lines[0]
    if len(set(names)) < len(names):
        raise DataError(f"the table has two columns of one name: {', '.join(names):.100}")
    for number, line in lines[1:]:
        if len(line) != len(names):
            raise DataError(f"line {number} has {len(line)} cells; the header names {len(names)} columns")
    return [dict(zip(names, line, strict=True)) for _, line in lines[1:]]
