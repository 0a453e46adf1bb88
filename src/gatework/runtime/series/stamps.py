"""Dates as text, read one by one by the format that a run found in its data."""

from __future__ import annotations

import re
from datetime import datetime


def read(text: str, shape: str | None) -> datetime:
    """The date that a text writes in a format, or as ISO has it. Raises ValueError.

    Example: `read("201502", "%G%V")` is Monday, 2015-01-05: what a format lacks of a day is the first.
    """
    try:
        return _by(text, shape) if shape else datetime.fromisoformat(text)
    except ValueError:
        if shape is None or not re.match(r"\d{4}-\d{2}-\d{2}", text):
            raise
        return datetime.fromisoformat(text)


def _by(text: str, shape: str) -> datetime:
    rest, kind = lacking(shape)
    shape = re.sub("%[#:]z", "%z", shape + kind)
    fraction = ".%f" if "." in text.partition(":")[2] else ""
    shape = shape.replace("%.f", fraction)
    if "%B" in shape and re.search(r"(?<![A-Za-z])[A-Za-z]{3}(?![A-Za-z])", text):  # a short name, as polars takes it
        shape = shape.replace("%B", "%b")
    return datetime.strptime(text.strip() + rest, shape)


def lacking(shape: str) -> tuple[str, str]:
    """What completes a date of a format, as text and as format."""
    has = set(re.findall(r"%[-_#]?([A-Za-z])", shape))
    if "H" in has and not has & set("MRTXr"):
        return ":00", ":%M"
    if has & set("DFcsxjde"):
        return "", ""
    if has & set("GVUW"):
        return ("", "") if has & set("uwaA") else ("-1", "-%u")
    return ("-01", "-%d") if has & set("mbBh") else ("-01-01", "-%m-%d")
