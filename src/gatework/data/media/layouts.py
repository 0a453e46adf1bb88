"""How people lay out folders of media: which file belongs to which text, speaker or class.

- LibriSpeech: `84-121123.trans.txt` with lines "84-121123-0000 THE TEXT" beside `84-121123-0000.flac`.
- LJSpeech: `metadata.csv` with lines "LJ001-0001|as written|as read" beside `wavs/LJ001-0001.wav`.
- COCO: a JSON with "images" and "annotations"; Flickr8k: lines "name.jpg#0<TAB>caption".
- plain: `a.wav` beside `a.txt`; folders within are classes (column "folder"). A folder of pictures is a film.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from gatework.data.files import read_text
from gatework.data.media.kinds import MEDIA, Kind
from gatework.data.media.places import located
from gatework.data.media.rows import Rows
from gatework.errors import DataError

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
TEXTS = (".txt", ".lab", ".caption")
TOKEN = re.compile(r"([^\t#]+)#\d+\t(.*)")


def tables(folder: Path) -> list[Path]:
    """The tables that lie in a folder itself."""
    return [path for path in _listed(folder) if path.suffix.lower() in TABLES and path.is_file()]


def special(folder: Path, kind: Kind) -> Rows | None:
    """A folder in the layout of LibriSpeech or LJSpeech; None for any other."""
    if kind != "sound":
        return None
    spoken = [path for path in walk(folder) if path.name.endswith(".trans.txt")]
    if spoken:
        return _librispeech(folder, spoken)
    lines = folder / "metadata.csv"
    return _ljspeech(folder, lines) if lines.is_file() and _is_barred(lines) else None


def captioned(path: Path) -> Rows | None:
    """COCO's JSON of captions, or Flickr8k's list; None for any other file."""
    if path.suffix.lower() == ".json":
        return _coco(path)
    if path.suffix.lower() not in (".txt", ".token", ""):
        return None
    return _flickr(path)


def plain(folder: Path, kind: Kind, encoding: str | None = None) -> Rows:
    """Every file of the kind below a folder, with the text that lies beside it, and the folder it lies in.

    Raises: DataError where there is none.
    """
    found = _films(folder) if kind == "film" else _of_kind(folder, kind)
    if not found:
        ends = ", ".join(MEDIA[kind].suffixes)
        raise DataError(f"{folder} holds no {MEDIA[kind].plural} ({ends}), nor a table that lists them")
    columns: dict[str, list] = {}
    notes = [f"{len(found):,} {MEDIA[kind].plural} of the folder"]
    texts = [_beside(path) for path in found]
    if any(texts):
        columns["text"] = [read_text(text, encoding).strip() if text else None for text in texts]
        notes.append("texts are the files beside them (column text)")
    inner = [path.parent.relative_to(folder).as_posix() if path != folder else "." for path in found]
    if any(name != "." for name in inner):
        columns["folder"] = ["" if name == "." else name for name in inner]
        notes.append("column folder is where they lie")
    return Rows.of_files(found, str(folder), columns, tuple(notes))


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, sorted; through links too, but each folder once, so that no loop is endless."""
    seen: set[str] = set()
    for here, below, files in os.walk(folder, onerror=_unreadable, followlinks=True):
        real = os.path.realpath(here)
        below[:] = sorted(name for name in below if not name.startswith(".")) if real not in seen else []
        if real not in seen:
            yield from (Path(here, name) for name in sorted(files) if not name.startswith("."))
        seen.add(real)


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions")


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from None


def _of_kind(folder: Path, kind: Kind) -> list[Path]:
    return [path for path in walk(folder) if path.suffix.lower() in MEDIA[kind].suffixes]


def _films(folder: Path) -> list[Path]:
    """Files of films, and the folders that hold pictures and no film."""
    pictures, films = MEDIA["picture"].suffixes, MEDIA["film"].suffixes
    holding: dict[Path, list[Path]] = {}
    for path in walk(folder):
        if path.suffix.lower() in (*pictures, *films):
            holding.setdefault(path.parent, []).append(path)
    found: list[Path] = []
    for parent, files in holding.items():
        moving = [path for path in files if path.suffix.lower() in films]
        found += moving or [parent]
    return sorted(found)


def _beside(path: Path) -> Path | None:
    """The text of a file: a.txt beside a.wav or beside the folder a."""
    name = path if path.is_dir() else path.with_suffix("")
    places = (name.with_name(name.name + end) for end in TEXTS)
    return next((place for place in places if place.is_file()), None)


# -- known sets of data -----------------------------------------------------------------------------------------


def _librispeech(folder: Path, lists: list[Path]) -> Rows:
    """LibriSpeech (Panayotov et al. 2015): the speaker is the first number of a name."""
    suffixes = MEDIA["sound"].suffixes
    files, texts, places = [], [], []
    for path in lists:
        lines = [line.split(maxsplit=1) for line in read_text(path).splitlines()]
        names = [parts[0] if parts else "" for parts in lines]
        found, _ = located(names, path.parent, suffixes)
        for number, (parts, file) in enumerate(zip(lines, found, strict=True), 1):
            if parts:
                files.append(file)
                texts.append(parts[1].strip() if len(parts) > 1 else "")
                places.append(f"{path}, line {number} ({file.name})")
    speakers = [file.name.partition("-")[0] for file in files]
    notes = (f"LibriSpeech's layout: {len(files):,} recordings in {len(lists)} lists",)
    return Rows({"text": texts, "speaker": speakers}, str(folder), lambda row: places[row], notes, files)


def _is_barred(path: Path) -> bool:
    """Whether a table has bars between its fields and no other delimiter: LJSpeech's."""
    return read_text(path).partition("\n")[0].count("|") in (1, 2)


def _ljspeech(folder: Path, path: Path) -> Rows:
    """LJSpeech (Ito 2017): "name|as written|as read"; quotes are parts of texts."""
    lines = [(number, line.split("|")) for number, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    uneven = next(((number, parts) for number, parts in lines if len(parts) not in (2, 3)), None)
    if uneven:
        raise DataError(f"{path}, line {uneven[0]}: {len(uneven[1])} fields, not name|as written|as read")
    files, notes = located([parts[0] for _, parts in lines], folder, MEDIA["sound"].suffixes)
    columns = {"text": [parts[-1] or parts[1] for _, parts in lines], "raw": [parts[1] for _, parts in lines]}
    where = lambda row: f"{path}, line {lines[row][0]} ({files[row].name})"  # noqa: E731
    return Rows(columns, str(path), where, ("LJSpeech's layout: text is as read, raw as written", *notes), files)


def _coco(path: Path) -> Rows | None:
    """COCO's captions (Chen et al. 2015): a row for each caption, several of one picture."""
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError):
        return None  # the reader of tables says what is wrong
    if not (isinstance(found, dict) and {"images", "annotations"} <= found.keys()):
        return None
    try:
        names = {image["id"]: str(image["file_name"]) for image in found["images"]}
        pairs = [(names[each["image_id"]], str(each["caption"])) for each in found["annotations"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not COCO's captions ({type(error).__name__}: {error}); fetch it again") from None
    return _captions(path, pairs, [f"annotation {number}" for number in range(1, len(pairs) + 1)], "COCO's captions")


def _flickr(path: Path) -> Rows | None:
    """Flickr8k's captions (Hodosh et al. 2013): a row for each caption, five of one picture."""
    lines = [(number, line) for number, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    matches = [TOKEN.fullmatch(line) for _, line in lines]
    if not matches or matches[0] is None:
        return None
    bad = next((number for (number, _), match in zip(lines, matches, strict=True) if match is None), None)
    if bad is not None:
        raise DataError(f"{path}, line {bad}: not like name.jpg#0<TAB>caption; correct or delete the line")
    pairs = [(match[1], match[2].strip()) for match in matches if match]
    return _captions(path, pairs, [f"line {number}" for number, _ in lines], "Flickr8k's captions")


def _captions(path: Path, pairs: list[tuple[str, str]], places: list[str], layout: str) -> Rows:
    if not pairs:
        raise DataError(f"{path}: holds no captions; fetch it again")
    files, notes = located([name for name, _ in pairs], path.parent, (), above=True)
    columns = {"image": [name for name, _ in pairs], "caption": [caption for _, caption in pairs]}
    where = lambda row: f"{path}, {places[row]} ({pairs[row][0]})"  # noqa: E731
    told = f"{layout}: {len(pairs):,} of {len(set(files)):,} pictures"
    return Rows(columns, str(path), where, (told, *notes), files)
