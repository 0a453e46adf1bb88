"""Data for a first try, without a download: text that every Python interpreter carries, and two measured series.

The texts are Python's own documentation (PSF licence); they differ a little from version to version, so a result
belongs to the interpreter that it was measured with. A run records the hash of what it read. The series are in the
public domain and lie in the folder `tables`, beside a SOURCE.txt that says where they come from.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from gatework.data.statements import tagged
from gatework.errors import DataError

SUBJECTS = (
    "asyncio",
    "decimal",
    "email",
    "http",
    "importlib",
    "ipaddress",
    "logging",
    "statistics",
    "typing",
    "unittest",
    "urllib",
    "xml",
)
PROGRAMS = ("asyncio", "json")
FEWEST_WORDS = 5
_BREAK = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def sentences(subjects: tuple[str, ...] = SUBJECTS) -> list[dict[str, str]]:
    """Sentences of the standard library's docstrings, each with the library that it is from.

    `sentences()[0]` is {"text": "Base class for ...", "library": "asyncio"}. Those that name their library are left
    out, and so are those that two libraries share; the order is that of the files.
    """
    owners: dict[str, set[str]] = {}
    for subject in subjects:
        for sentence in _of(subject):
            if subject not in sentence.lower():
                owners.setdefault(sentence, set()).add(subject)
    found = [{"text": text, "library": min(of)} for text, of in owners.items() if len(of) == 1]
    if not found:
        raise DataError(f"{_folder()} holds no sources; a Python with its standard library as .py files has this text")
    return found


def _of(subject: str) -> Iterator[str]:
    for path in _files(subject):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8", errors="replace"))):
            text = ast.get_docstring(node) if isinstance(node, _DOCUMENTED) else None
            yield from _sentences(text or "")


def _sentences(docstring: str) -> Iterator[str]:
    for paragraph in _BREAK.split(docstring):
        if ">>>" not in paragraph:
            for sentence in _SENTENCE.split(" ".join(paragraph.split())):
                if len(re.findall("[A-Za-z]+", sentence)) >= FEWEST_WORDS:
                    yield sentence


def _files(subject: str) -> list[Path]:
    folder = _folder() / subject
    names = (f"{subject}.py", f"_py{subject}.py")
    return sorted(folder.rglob("*.py")) or [path for name in names if (path := _folder() / name).exists()]


def _folder() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


def statements(subjects: tuple[str, ...] = PROGRAMS) -> str:
    """Statements of the standard library in columns of token and tag (CoNLL): the condition of an `if`, the arguments
    of a call, ... as Python's own parser finds them; see `data.statements`. Each once, in the order of the files.
    """
    found: dict[str, None] = {}
    for subject in subjects:
        for path in _files(subject):
            for tokens, tags in tagged(path.read_text(encoding="utf-8", errors="replace")):
                found.setdefault("".join(f"{token}\t{tag}\n" for token, tag in zip(tokens, tags, strict=True)))
    if not found:
        raise DataError(f"{_folder()} holds no sources; a Python with its standard library as .py files has statements")
    return "\n".join(found)


def manual() -> str:
    """The language reference as `help()` shows it, about 400,000 characters; each paragraph once."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError("this Python has no pydoc_data.topics, the text behind help('topics')") from None
    paragraphs = (part.strip("\n") for name in sorted(topics) for part in _BREAK.split(topics[name]))
    return "\n\n".join(dict.fromkeys(part for part in paragraphs if part.strip())) + "\n"


def digits() -> str:
    """1,797 handwritten digits as sequences of 8 lines of 8 dots, in csv: id, line, dot1 ... dot8 (0 to 16), digit.

    Source: scikit-learn's `load_digits`, the test part of the UCI set "Optical Recognition of Handwritten Digits"
    (Alpaydin & Kaynak 1998, CC BY 4.0), which comes with that library.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    lines = ["id,line," + ",".join(f"dot{column}" for column in range(1, 9)) + ",digit"]
    for number, (image, label) in enumerate(zip(images.astype(int).reshape(-1, 8, 8), labels, strict=True)):
        lines += [f"{number},{line},{','.join(map(str, dots))},{label}" for line, dots in enumerate(image)]
    return "\n".join(lines) + "\n"


def sunspots() -> str:
    """Monthly mean sunspot numbers from 1749 to 1983 in csv: month, sunspots; 2,820 rows. Source: `series_source()`."""
    return _table("sunspots.csv")


def co2() -> str:
    """Weekly carbon dioxide at Mauna Loa from 1958 to 2001 in csv: week, co2 (ppm); 2,284 rows, 59 of them empty.

    Source: `series_source()`.
    """
    return _table("co2.csv")


def series_source() -> str:
    """Where `sunspots` and `co2` come from, and why they may be passed on."""
    return _table("SOURCE.txt")


def _table(name: str) -> str:
    return (Path(__file__).parent / "tables" / name).read_text(encoding="utf-8")
