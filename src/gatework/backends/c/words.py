"""Names and numbers as C writes them."""

from __future__ import annotations

import re
import struct
from math import isinf, isnan

from gatework.errors import OptionError


def identifier(name: str) -> str:
    """A Python name as a part of a C name: letters beyond ASCII become their number.

    >>> identifier("σ_1")
    'u3c3_1'
    """
    return "".join(c if c.isascii() and (c.isalnum() or c == "_") else f"u{ord(c):x}" for c in name)


def prefix(name: str) -> str:
    """The name that all symbols of a program begin with, checked. Raises OptionError."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,40}", name):
        raise OptionError(
            f"the name {name!r} cannot begin the names of a C program: choose a letter, then up to 40 letters, digits, "
            "or underlines"
        )
    return name


def number(value: float) -> str:
    """A float32 constant by its bits.

    >>> number(0.1)
    '0x1.99999ap-4f'
    """
    if isnan(value):
        return "NAN"
    if abs(value) < 3.5e38:
        value = struct.unpack("f", struct.pack("f", value))[0]
    if isinf(value) or abs(value) >= 3.5e38:
        return "INFINITY" if value > 0 else "-INFINITY"
    return f"{hexadecimal(value)}f"


def hexadecimal(value: float) -> str:
    """A finite number as C99 writes its bits, without the zeros that Python fills up with.

    >>> hexadecimal(-0.5), hexadecimal(0.0)
    ('-0x1p-1', '0x0p+0')
    """
    mantissa, power = value.hex().split("p")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}p{power}"
