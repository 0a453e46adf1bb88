"""The kinds of media: which files belong to one, what its columns are called, and what else a file may be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from gatework.errors import DataError, OptionError

Kind = Literal["sound", "picture", "film", "vectors"]


@dataclass(frozen=True)
class Medium:
    """One kind: the ends of its files' names, and names of columns that hold such files or arrays."""

    suffixes: tuple[str, ...]
    columns: tuple[str, ...]
    plural: str


FILES = ("file", "file_name", "filename", "path", "filepath", "file_path", "name", "id")
MEDIA: dict[Kind, Medium] = {
    "sound": Medium(
        (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".sph", ".caf"),
        ("audio", "sound", "wav", "recording", "clip", "speech", "wav_filename", "audio_path", "audio_file", *FILES),
        "sounds",
    ),
    "picture": Medium(
        (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".pgm", ".pbm"),
        ("image", "picture", "img", "photo", "image_path", "image_file", *FILES),
        "pictures",
    ),
    "film": Medium(
        (".mp4", ".webm", ".gif", ".mov", ".avi", ".mkv", ".m4v", ".mpg", ".mpeg", ".webp", ".apng", ".npy"),
        ("video", "film", "movie", "clip", "frames", "video_path", "video_file", *FILES),
        "films",
    ),
    "vectors": Medium((".npy",), ("features", "vectors", "image", "video", "audio", *FILES), "arrays of vectors"),
}

ANY = tuple(suffix for each in MEDIA.values() for suffix in each.suffixes)

# What the first bytes of a file say that it is, for the message of a reader that cannot read it.
BRANDS = {  # of files that begin like an MP4
    b"avif": "a picture (AVIF)",
    b"avis": "a picture (AVIF)",
    b"heic": "a picture (HEIC)",
    b"mif1": "a picture (HEIC)",
    b"M4A ": "a sound (AAC)",
    b"M4B ": "a sound (AAC)",
}
RIFF = {b"WAVE": "a sound (WAV)", b"WEBP": "a picture (WebP)", b"AVI ": "a film (AVI)"}
STARTS = {
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive or an Office file",
    b"\x1f\x8b": "a compressed file (gzip)",
    b"\x1aE\xdf\xa3": "a film (WebM, Matroska)",
    b"RIFX": "a sound (WAV, the high byte first)",
    b"fLaC": "a sound (FLAC)",
    b"OggS": "a sound (Ogg)",
    b"FORM": "a sound (AIFF)",
    b"ID3": "a sound (MP3)",
    b"\xff\xfb": "a sound (MP3)",
    b"BM": "a picture (BMP)",
    b"II*\0": "a picture (TIFF)",
    b"MM\0*": "a picture (TIFF)",
    b"\x93NUMPY": "an array (.npy)",
    b"<svg": "a drawing (SVG)",
    b"<?xml": "XML, perhaps a drawing (SVG)",
    b"<!DOC": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
}


def must_be_kind(kind: str) -> None:
    if kind not in get_args(Kind):
        raise OptionError(f"kind cannot be {kind!r}; there are: {', '.join(get_args(Kind))}")


def sniffed(path: Path) -> str:
    """What a file is by its first bytes: "a picture (PNG)"; "" where they say nothing."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError:
        return ""
    return told_by(start)


def told_by(start: bytes, least: int = 0) -> str:
    """What bytes begin, by marks of at least so many of them."""
    if start[:4] == b"RIFF":
        return RIFF.get(start[8:12], "")
    if start[4:8] == b"ftyp":
        return BRANDS.get(start[8:12], "a film (MP4)")
    what = next((what for mark, what in STARTS.items() if start.startswith(mark) and len(mark) >= least), "")
    if not what and start and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start):
        return f"text, beginning {start[:20].decode().strip()!r}"
    return what


def unreadable(path: Path, noun: str, advice: str, why: str = "") -> DataError:
    """The error for a file that is none of its kind, or one that is damaged: "not a sound that can be read: it is a
    picture (PNG)", "a sound (WAV) that cannot be read"."""
    what = sniffed(path)
    reason = f" ({why})" if why else ""
    if what.startswith(f"a {noun}"):
        return DataError(f"{path}: {what} that cannot be read{reason}: fetch or save it again, or {advice}")
    return DataError(f"{path}: not a {noun} that can be read{reason}{f': it is {what}' if what else ''}; {advice}")
