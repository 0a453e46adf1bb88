"""Many files decoded once, in the background, into arrays on disk; every broken one named."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from gatework.data.media import sounds
from gatework.data.media.listing import read
from gatework.data.media.store import Store
from gatework.errors import DataError


def tone(seconds: float = 0.2, rate: int = 8000) -> np.ndarray:
    return (0.5 * np.sin(np.arange(int(seconds * rate)) / 5)).astype(np.float32)


@pytest.fixture
def clips(tmp_path) -> Path:
    """Five rows, of which two name one file, and two are broken."""
    for number in range(2):
        sounds.write(tmp_path / f"{number}.wav", tone(0.2 + 0.1 * number), 8000)
    (tmp_path / "empty.wav").write_bytes(b"")
    table = tmp_path / "clips.csv"
    table.write_text("file,text\n0.wav,a\n1.wav,b\n0.wav,c\nempty.wav,d\ngone.wav,e\n")
    return table


def loaded(item, tell):
    return sounds.load(item, 8000, tell)


def test_arrays_come_back_as_they_were_decoded(clips) -> None:
    listing = read(clips).take([0, 1, 2])
    store = Store.of(listing, loaded)
    for row, item in enumerate(listing.items):
        assert np.array_equal(store[row], sounds.load(item, 8000))
    assert store.lengths.tolist() == [1600, 2400, 1600] and not store[0].flags.writeable
    assert store.digests[0] == store.digests[2] != store.digests[1]


def test_a_file_of_several_rows_is_decoded_once(clips) -> None:
    seen: list = []
    Store.of(read(clips).take([0, 1, 2]), lambda item, tell: seen.append(item.name) or np.zeros(3))
    assert sorted(seen) == ["0.wav", "1.wav"]


def test_every_broken_file_is_named(clips) -> None:
    with pytest.raises(DataError) as refused:
        Store.of(read(clips), loaded)
    assert str(refused.value).splitlines() == [
        f"{clips}, line 5 (empty.wav) is empty (0 bytes); record or fetch it again",
        f"{clips}, line 6 (gone.wav): no such file; to leave broken files out pass bad_files='skip' "
        "(in a command: --set bad_files=skip)",
    ]


def test_a_wrong_column_of_files_is_told_as_such(clips) -> None:
    with pytest.raises(
        DataError, match=r"line 2 \(a\): no such file\n(.*\n)*.*; none of them can be read: is the column of"
    ):
        Store.of(read(clips, "text"), loaded)


def test_thousands_of_broken_files_are_all_named(tmp_path) -> None:
    table = tmp_path / "t.csv"
    sounds.write(tmp_path / "x.wav", tone(), 8000)
    table.write_text("file,text\nx.wav,a\n" + "".join(f"{number}.wav,a\n" for number in range(2000)))
    with pytest.raises(DataError) as refused:
        Store.of(read(table), loaded)
    said = str(refused.value)
    assert len(said.splitlines()) == 51 and "and 1950 more: " in said
    assert all(f"({number}.wav)" in said for number in range(2000))


def test_broken_files_can_be_left_out(clips) -> None:
    listing = read(clips)
    store = Store.of(listing, loaded, bad_files="skip")
    assert store.rows.tolist() == [0, 1, 2] and listing.take(store.rows).columns["text"] == ["a", "b", "c"]
    assert [found.message[:9] for found in store.findings] == ["left out:"] * 2


def test_some_of_the_arrays(clips) -> None:
    store = Store.of(read(clips).take([0, 1]), loaded)
    some = store.take([1])
    assert len(some) == 1 and np.array_equal(some[0], store[1]) and some.rows.tolist() == [1]


def test_the_folder_goes_with_its_last_user(clips) -> None:
    store = Store.of(read(clips).take([0, 1]), loaded)
    folder = store.folder.path
    some = store.take([1])
    del store
    gc.collect()
    assert folder.exists() and some[0].any()
    del some
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_order_is_that_of_the_listing_whatever_the_threads(workers) -> None:
    listing = read([np.full(50, n, np.float32) for n in range(40)])
    store = Store.of(listing, lambda item, tell: item, workers=workers)
    assert [array[0] for array in store] == list(range(40))


def test_copies_are_told_by_their_first_row_whatever_the_arrays_hold(tmp_path) -> None:
    for scale in (1, 7):
        arrays = [np.full(3, scale * each, np.float32) for each in (5, 2, 5, 9, 2)]
        store = Store.of(read(arrays, None, kind="sound"), lambda item, tell: item)
        assert store.copies == [0, 1, 0, 3, 1]
