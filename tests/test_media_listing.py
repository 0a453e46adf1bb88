"""Which files there are and what stands beside each: tables, layouts of folders, data in memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gatework.data.media import sounds
from gatework.data.media.listing import read, text_column
from gatework.errors import DataError, OptionError

SAMPLES = np.sin(np.arange(800) / 3).astype(np.float32)
PIXELS = np.zeros((8, 8, 3), np.uint8)


def lay(folder: Path, **files: str) -> Path:
    """Text files and empty ones by their names, `__` for a dot and `___` for a slash."""
    for name, text in files.items():
        path = folder / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def names(listing) -> list[str]:
    return [item.name for item in listing.items]


# -- tables -----------------------------------------------------------------------------------------------------


def test_a_table_names_files_beside_it(tmp_path) -> None:
    lay(tmp_path, clips__csv="file,words,who\na.wav,one two,kim\nb.wav,three,lee\n", a__wav="", b__wav="")
    listing = read(tmp_path / "clips.csv")
    assert listing.items == [tmp_path / "a.wav", tmp_path / "b.wav"]
    assert listing.columns["who"] == ["kim", "lee"] and listing.notes[-1] == "audio is column 'file'"
    assert listing.where(1) == f"{tmp_path / 'clips.csv'}, line 3 (b.wav)"
    assert listing.take([1]).where(0) == listing.where(1) and listing.take([1]).columns["words"] == ["three"]
    told, name = text_column(listing)
    assert name == "words" and told.notes[-1] == "text is column 'words'"


@pytest.mark.parametrize("name", ["clips.tsv", "clips.jsonl", "clips.parquet"])
def test_tables_of_any_form(tmp_path, name) -> None:
    frame = pl.DataFrame({"path": ["a.mp3", "b.mp3"], "sentence": ["x, y", "z"]})
    write = {"jsonl": frame.write_ndjson, "parquet": frame.write_parquet}
    write["tsv"] = lambda to: frame.write_csv(to, separator="\t")
    write[name.rpartition(".")[2]](tmp_path / name)
    listing = read(tmp_path / name)
    assert names(listing) == ["a.mp3", "b.mp3"] and text_column(listing)[1] == "sentence"


@pytest.mark.parametrize(
    ("header", "row", "column"),
    [
        ("id,sentence,clip_path", "7,a long sentence,x.wav", "clip_path"),  # by its content
        ("file,other", "a.wav,b.wav", "file"),  # of two that fit by its name
        ("name,audio", "Kim,sub/a.wav", "audio"),  # a name that fits, of what are no files
    ],
)
def test_the_column_of_files_is_found(tmp_path, header, row, column) -> None:
    listing = read(lay(tmp_path, t__csv=f"{header}\n{row}\n") / "t.csv")
    assert column in listing.notes[-1] and listing.names[0].endswith(".wav")


def test_a_column_called_as_another_kind_is_taken_by_its_option_alone(tmp_path) -> None:
    table = lay(tmp_path, t__csv="video,caption\na.gif,goes left\n") / "t.csv"
    with pytest.raises(DataError, match="no column names files of pictures"):
        read(table, None, kind="picture")
    assert "video is column 'video'" in read(table, None, kind="film").notes[-1]
    assert len(read(table, "video", kind="picture")) == 1


def test_files_in_a_folder_beside_the_table_and_without_their_ends(tmp_path) -> None:
    lay(tmp_path, validated__tsv="path\tsentence\nc1\thello\nc2\tbye\n", clips___c1__mp3="", clips___c2__mp3="")
    listing = read(tmp_path / "validated.tsv", "path")
    assert listing.items == [tmp_path / "clips" / "c1.mp3", tmp_path / "clips" / "c2.mp3"]
    assert listing.notes[-1] == f"the files were found in {tmp_path / 'clips'} with .mp3 at their names' end"


def test_names_with_commas_quotes_blanks_and_letters_of_any_script(tmp_path) -> None:
    odd = ['a, "b" c.wav', "héé 中文.wav", "sub\\win.wav"]
    (tmp_path / "sub").mkdir()
    for name in (*odd[:2], "sub/win.wav"):
        sounds.write(tmp_path / name, SAMPLES, 8000)
    pl.DataFrame({"file": odd, "text": ["a", "b", "c"]}).write_csv(tmp_path / "t.csv")
    assert all(item.exists() for item in read(tmp_path / "t.csv").items)


def test_faults_of_tables(tmp_path) -> None:
    path = lay(tmp_path, t__csv="file,text\na.wav,x\n,y\n,z\n") / "t.csv"
    with pytest.raises(DataError, match=r"line 3, column 'file': names no file \(2 such rows\); name it or delete"):
        read(path)
    with pytest.raises(DataError, match="no column 'fiel': it has file, text; did you mean 'file'"):
        read(path, "fiel")
    with pytest.raises(DataError, match=r"no column names files of pictures .* it has file, text: .*image=COLUMN"):
        read(path, kind="picture")
    with pytest.raises(DataError, match=r"line 2, column 'file': 'https://x.org/a.wav' is an address; fetch"):
        read(lay(tmp_path, u__csv="file,text\nhttps://x.org/a.wav,x\n") / "u.csv")
    with pytest.raises(OptionError, match="kind cannot be 'smell'; there are: sound"):
        read(path, kind="smell")
    with pytest.raises(DataError, match=r"no column of texts beside its files; .*lay a.txt beside each file a"):
        text_column(read(lay(tmp_path, v__csv="file\na.wav\nb.wav\n") / "v.csv"))


def test_a_wrong_name_of_a_column_is_helped() -> None:
    listing = read({"audio": [SAMPLES], "text": ["a"]})
    with pytest.raises(DataError, match="no column 'txet': it has text; did you mean 'text'"):
        listing.column("txet", "text")
    with pytest.raises(DataError, match="name the one that is meant: speaker=COLUMN"):
        listing.column("qqqqq", "speaker")


def test_values_as_text() -> None:
    listing = read({"audio": [SAMPLES] * 4, "label": [7, 2.0, None, float("nan")]})
    assert listing.strings("label") == ["7", "2", None, None]


# -- folders ----------------------------------------------------------------------------------------------------


def test_a_text_beside_each_recording(tmp_path) -> None:
    lay(tmp_path, a__wav="", a__txt="one two\n", b__flac="", b__lab="three", c__wav="", x__pdf="")
    listing = read(tmp_path)
    assert names(listing) == ["a.wav", "b.flac", "c.wav"] and listing.columns["text"] == ["one two", "three", None]
    assert listing.where(0) == str(tmp_path / "a.wav")


def test_folders_as_classes(tmp_path) -> None:
    lay(tmp_path, cat___1__wav="", cat___2__wav="", dog___1__wav="")
    (tmp_path / "cat" / "._1.wav").touch()  # what one system leaves on a disk for another
    listing = read(tmp_path)
    assert listing.columns == {"folder": ["cat", "cat", "dog"]} and len(listing) == 3


def test_librispeech(tmp_path) -> None:
    lines = "84-121123-0000 GO DO YOU HEAR\n84-121123-0001 BUT\n"
    folder = tmp_path / "dev" / "84" / "121123"
    folder.mkdir(parents=True)
    (folder / "84-121123.trans.txt").write_text(lines)
    for number in range(2):
        (folder / f"84-121123-000{number}.flac").touch()
    listing = read(tmp_path)
    assert listing.columns == {"text": ["GO DO YOU HEAR", "BUT"], "speaker": ["84", "84"]}
    assert all(item.exists() for item in listing.items) and "line 2 (84-121123-0001.flac)" in listing.where(1)


def test_ljspeech(tmp_path) -> None:
    lines = 'LJ001-0001|in 1465, "so|in fourteen, "so\nLJ001-0002|as is|\n'
    lay(tmp_path, metadata__csv=lines)
    (tmp_path / "wavs").mkdir()
    for number in (1, 2):
        (tmp_path / "wavs" / f"LJ001-000{number}.wav").touch()
    listing = read(tmp_path)
    assert listing.columns["text"] == ['in fourteen, "so', "as is"] and listing.columns["raw"][0] == 'in 1465, "so'
    assert all(item.exists() for item in listing.items)
    lay(tmp_path, metadata__csv=lines + "LJ001-0003\n")
    with pytest.raises(DataError, match=r"metadata.csv, line 3: 1 fields, not name\|as written\|as read"):
        read(tmp_path)


def test_coco(tmp_path) -> None:
    found = {
        "images": [{"id": 4, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}],
        "annotations": [
            {"image_id": image, "caption": caption} for image, caption in ((3, "a cat "), (4, "dog"), (3, "one cat"))
        ],
    }
    lay(tmp_path, annotations___captions_val2017__json=json.dumps(found), val2017___a__jpg="", val2017___b__jpg="")
    listing = read(tmp_path / "annotations" / "captions_val2017.json", kind="picture")
    assert names(listing) == ["a.jpg", "b.jpg", "a.jpg"] and listing.items[0].exists()
    assert text_column(listing)[1] == "caption" and "3 of 2 pictures" in listing.notes[0]
    assert listing.where(2).endswith("annotation 3 (a.jpg)")
    found["annotations"][0]["image_id"] = 99
    lay(tmp_path, x__json=json.dumps(found))
    with pytest.raises(DataError, match="not COCO's captions"):
        read(tmp_path / "x.json", kind="picture")


def test_flickr8k(tmp_path) -> None:
    lay(tmp_path, F__token__txt="a.jpg#0\tA dog .\na.jpg#1\tOne dog\nb.jpg#0\tCat\n", Images___a__jpg="")
    listing = read(tmp_path / "F.token.txt", kind="picture")
    assert names(listing) == ["a.jpg", "a.jpg", "b.jpg"] and listing.items[0] == tmp_path / "Images" / "a.jpg"
    assert listing.columns["caption"] == ["A dog .", "One dog", "Cat"]
    lay(tmp_path, F__token__txt="a.jpg#0\tA dog .\nnonsense\n")
    with pytest.raises(DataError, match=r"line 2: not like name.jpg#0<TAB>caption"):
        read(tmp_path / "F.token.txt", kind="picture")


def test_a_table_within_a_folder(tmp_path) -> None:
    lay(tmp_path, captions__csv="image,caption\npics/a.png,x\n", pics___a__png="", pics___b__png="")
    listing = read(tmp_path, kind="picture")
    assert names(listing) == ["a.png"] and listing.notes[-1] == "captions.csv lists the files"
    lay(tmp_path, test__csv="image,caption\n")
    with pytest.raises(DataError, match=r"several tables \(captions.csv, test.csv\); name the one"):
        read(tmp_path, kind="picture")


def test_films_are_files_or_folders_of_pictures(tmp_path) -> None:
    lay(
        tmp_path, run___1___f1__png="", run___1___f2__png="", run___2__mp4="", sit___3___f1__jpg="", sit___3__txt="sits"
    )
    listing = read(tmp_path, kind="film")
    assert [str(item.relative_to(tmp_path)) for item in listing.items] == ["run/1", "run/2.mp4", "sit/3"]
    assert listing.columns == {"text": [None, None, "sits"], "folder": ["run", "run", "sit"]}
    assert read(tmp_path / "run" / "1", kind="film").items == [tmp_path / "run" / "1"]


def test_links_in_circles_end(tmp_path) -> None:
    lay(tmp_path, a___1__wav="")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert sum(name == "1.wav" for name in names(read(tmp_path))) == 1


def test_folders_without_anything(tmp_path) -> None:
    with pytest.raises(DataError, match=r"holds no sounds \(\.wav, .*nor a table that lists them"):
        read(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "gone")


# -- files and memory -------------------------------------------------------------------------------------------


def test_single_files_and_lists_of_them(tmp_path) -> None:
    lay(tmp_path, a__wav="", b="")
    (tmp_path / "b").write_bytes(bytes(20))
    assert read(tmp_path / "a.wav").items == [tmp_path / "a.wav"] and not read(tmp_path / "a.wav").columns
    assert read(str(tmp_path / "b")).items == [tmp_path / "b"]
    assert read([tmp_path / "a.wav", str(tmp_path / "b")]).items == [tmp_path / "a.wav", tmp_path / "b"]


def test_a_single_number_is_one_item_for_its_reader_to_refuse() -> None:
    (item,) = read(np.array(7.0)).items
    with pytest.raises(DataError, match=r"samples are numbers \(n,\)"):
        sounds.load(item, 8000)


def test_equal_samples_of_another_rate_are_other_data() -> None:
    assert read([(SAMPLES, 8000)]).fingerprint() == read([(SAMPLES.copy(), 8000)]).fingerprint()
    assert read([(SAMPLES, 8000)]).fingerprint() != read([(SAMPLES, 16000)]).fingerprint()


RECORDS = [{"audio": SAMPLES, "rate": 8000, "text": "one"}, {"audio": SAMPLES, "rate": 16000, "text": "two"}]


@pytest.mark.parametrize(
    ("source", "rates"),
    [
        ([SAMPLES, SAMPLES], None),
        (np.stack([SAMPLES, SAMPLES]), None),
        ([(SAMPLES, 8000), (SAMPLES, 16000)], [8000, 16000]),
        (([SAMPLES, SAMPLES], ["one", "two"]), None),
        ((np.stack([SAMPLES, SAMPLES]), np.array(["one", "two"])), None),
        (RECORDS, [8000, 16000]),
        (pd.DataFrame(RECORDS), [8000, 16000]),
        (pl.DataFrame({"audio": [SAMPLES.tolist()] * 2, "sampling_rate": [8000, 16000]}), [8000, 16000]),
        ({"audio": [{"array": SAMPLES, "sampling_rate": 8000}] * 2, "text": ["one", "two"]}, [8000, 8000]),
    ],
    ids=str,
)
def test_sounds_in_memory(source, rates) -> None:
    listing = read(source)
    assert len(listing) == 2 and listing.where(1).endswith(("row 2", "row 2 (index 1)"))
    arrays = [item[0] if rates else item for item in listing.items]
    assert all(np.allclose(array, SAMPLES) for array in arrays)
    assert not rates or [item[1] for item in listing.items] == rates
    assert listing.columns.get("text", ["one", "two"]) == ["one", "two"]


@pytest.mark.parametrize(
    ("source", "count", "shape"),
    [
        (np.zeros((4, 8, 8), np.uint8), 4, (8, 8)),
        (np.zeros((4, 8, 8, 3), np.uint8), 4, (8, 8, 3)),
        (PIXELS, 1, (8, 8, 3)),
        (np.zeros((8, 8)), 1, (8, 8)),
        ({"image": np.zeros((2, 8, 8, 3)), "caption": ["a", "b"]}, 2, (8, 8, 3)),
        (pd.DataFrame({"image": [PIXELS], "caption": ["a"]}), 1, (8, 8, 3)),
    ],
    ids=["grey", "colour", "one in colour", "one in grey", "columns", "frame"],
)
def test_pictures_in_memory(source, count, shape) -> None:
    listing = read(source, kind="picture")
    assert len(listing) == count and listing.items[0].shape == shape


@pytest.mark.parametrize(
    ("source", "count", "shape"),
    [
        (np.zeros((5, 8, 8)), 1, (5, 8, 8)),
        (np.zeros((5, 8, 8, 3)), 1, (5, 8, 8, 3)),
        (np.zeros((2, 5, 8, 8)), 2, (5, 8, 8)),
        (np.zeros((2, 5, 8, 8, 3)), 2, (5, 8, 8, 3)),
    ],
)
def test_films_in_memory(source, count, shape) -> None:
    listing = read(source, kind="film")
    assert len(listing) == count and listing.items[0].shape == shape


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (7, "cannot read sounds from int: give a path"),
        ([], "hold no rows; give at least one"),
        ([1.5, 2.5], "row 1: 1.5 is neither the name of a file nor an array"),
        ({"audio": [SAMPLES], "text": ["a", "b"]}, r"different lengths \(audio 1, text 2\)"),
        ([SAMPLES, None], "row 2, column 'audio': names no file"),
        ({"text": ["a"]}, "no column names files of sounds"),
    ],
    ids=str,
)
def test_what_in_memory_is_refused(source, said) -> None:
    with pytest.raises(DataError, match=said):
        read(source)
