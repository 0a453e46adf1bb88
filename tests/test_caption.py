"""Describing pictures and films: what is read, how parts are made, laws of the network, faults of data in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import described
from gatework.data.codecs import UNKNOWN
from gatework.errors import DataError, FileFormatError, MissingExtraError, OptionError
from gatework.runtime.answers.asked import How
from gatework.tasks import jobs
from gatework.tasks.base import Shard
from gatework.tasks.caption import Caption, CaptionOptions, decoding, measures, reading
from gatework.tasks.caption.codecs import Captions
from gatework.tasks.caption.examples import make_batch
from gatework.tasks.caption.model import before_beside


def task(**changes: Any) -> Caption:
    return Caption(CaptionOptions(**{**described.SMALL, "epochs": 2, **changes}))


def prepared(source: Any, **changes: Any) -> tuple[Caption, Any]:
    made = task(**changes)
    return made, made.prepare(source)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    made = task(epochs=40, learning_rate=0.01, test_share=0.2)
    return jobs.train(made, described.pictures(), out=tmp_path_factory.mktemp("run") / "run", quiet=True)


# -- what is read -------------------------------------------------------------------------------------------


def test_captions_of_new_pictures_are_composed(learned: jobs.Trained) -> None:
    shown, said = described.pictures(40, seed=5)
    rows = learned.predict(shown)
    assert np.mean([row["caption"] == true for row, true in zip(rows, said, strict=True)]) > 0.9
    assert set(rows[0]) == {"file", "caption", "score", "log_p"}


def test_a_run_answers_the_same_when_it_is_loaded(learned: jobs.Trained, tmp_path: Path) -> None:
    table = described.written(tmp_path)
    again = jobs.load(learned.run.path)
    assert again.predict(table, n_best=3) == learned.predict(table, n_best=3)
    assert again.evaluate(table) == learned.evaluate(table)
    assert again.predict(tmp_path / "3.png")[0] == {**learned.predict(table)[3], "file": "3.png"}


@pytest.mark.parametrize("form", ["csv", "folder", "rows", "arrays"])
def test_every_form_holds_the_same(form: str, tmp_path: Path) -> None:
    shown, said = described.pictures(30)
    if form == "csv":
        source: Any = described.written(tmp_path)
    elif form == "folder":
        described.written(tmp_path).unlink()
        for number, text in enumerate(said):
            (tmp_path / f"{number}.txt").write_text(text)
        source = tmp_path
    else:
        source = described.rows(30) if form == "rows" else (np.stack(shown), said)
    read = reading.read(source, task().options)
    assert read.medium == "image" and len(read) == 30
    order = [int(Path(name).stem) for name in read.listing.names] if form in ("csv", "folder") else range(30)
    assert read.captions == [said[number] for number in order]
    for row, number in enumerate(order):
        np.testing.assert_array_equal(read.array(row), shown[number])


@pytest.mark.parametrize("given", ["arrays", "files", "column"])
def test_films_are_told_from_pictures(given: str, tmp_path: Path) -> None:
    shown, said = described.films(12)
    if given == "arrays":
        made, parts = prepared((shown, said))
    else:
        lines = ["film,caption"]
        for number, film in enumerate(shown):
            np.save(tmp_path / f"{number}.npy", film)
            lines.append(f"{number}.npy,{said[number]}")
        (tmp_path / "films.csv").write_text("\n".join(lines))
        made, parts = prepared(tmp_path / "films.csv", video="film", test_share=0.0)
    assert made.medium == "video" and parts.train.channels == 1
    assert parts.train.array(0).shape[1:] == (16, 16, 1)


def test_vectors_of_a_pretrained_network_are_read(tmp_path: Path) -> None:
    draw, lines = np.random.default_rng(0), ["features,caption"]
    for number in range(40):
        kind = number % 2
        np.save(tmp_path / f"{number}.npy", draw.normal(kind * 2 - 1, 0.5, (2, 2, 6)).astype(np.float32))
        lines.append(f"{number}.npy,{'one dog' if kind else 'a cat'}")
    (tmp_path / "all.csv").write_text("\n".join(lines))
    made = task(vectors="features", epochs=60, learning_rate=0.01)
    trained = jobs.train(made, tmp_path / "all.csv", out=tmp_path / "run", quiet=True)
    assert made.width == 6
    assert trained.evaluate(tmp_path / "all.csv")["exact"] == 1.0
    np.save(tmp_path / "odd.npy", np.zeros((3, 5), np.float32))
    with pytest.raises(DataError, match="vectors of 5 numbers; the model reads 6"):
        trained.predict(tmp_path / "odd.npy")


WIDE: dict[str, Any] = {"medium": "vectors", "channels": 25_088, "metric": "exact"}  # a last map of VGG in one row


def test_wide_vectors_are_read_again_and_sizes_of_strangers_are_refused() -> None:
    options = task().options
    captions = Captions(options)
    captions.fit(["a dog", "one cat"], "made")
    again, kept = Captions.restored(options, captions.assets(**WIDE))
    assert kept["channels"] == 25_088 and again.assets(**WIDE) == captions.assets(**WIDE)
    for medium, channels in (("sound", 3), ("image", 0), ("vectors", 10_000_000)):
        with pytest.raises(FileFormatError, match="no medium"):
            Captions.restored(options, captions.assets(medium, channels, "exact"))


def test_grey_pictures_are_read_in_one_channel() -> None:
    shown, said = described.pictures(40)
    grey = [picture.mean(2).astype(np.uint8) for picture in shown]
    assert prepared((grey, said))[1].train.channels == 1
    assert prepared((shown, said))[1].train.channels == 3
    assert prepared((shown, said), colour=False)[1].train.channels == 1


def test_a_grey_model_reads_colours_as_grey(tmp_path: Path) -> None:
    shown, said = described.pictures(40)
    grey = [np.repeat(picture.mean(2, keepdims=True), 3, 2).astype(np.uint8) for picture in shown]
    made, _ = prepared((grey, said))
    read = made.examples(([shown[0]], ["red"]))
    weights = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(read.array(0)[..., 0], shown[0] @ weights, atol=1)


def test_places_are_told_apart() -> None:
    """A picture that is the same everywhere looks different at each place."""
    made, parts = prepared(described.pictures(30))
    model = made.build().eval()
    with torch.no_grad():
        model.where.copy_(torch.arange(16.0)[:, None].expand(16, 12))
        batch = make_batch(parts.train, np.arange(3))
        plain = batch._replace(shown=torch.full_like(batch.shown, 99))
        values, lengths = model.looked_at(plain)
        inner = values.view(3, 4, 4, 12)[:, 1:3, 1:3]  # edges see the frame around a picture
    assert lengths.tolist() == [16, 16, 16]
    gaps = inner - inner[:, :1, :1]
    np.testing.assert_allclose(gaps[0, :, :, 0], [[0, 1], [4, 5]], atol=1e-4)


# -- parts --------------------------------------------------------------------------------------------------


def test_equal_pictures_stay_together() -> None:
    shown, said = described.pictures(40)
    _, parts = prepared((shown * 2, said * 2), valid_share=0.3, test_share=0.2)
    digests = [set(part.shown.digests) for part in (parts.train, parts.valid, parts.test)]
    assert not digests[0] & digests[1] and not digests[0] & digests[2] and not digests[1] & digests[2]


def test_pictures_of_another_part_that_were_learned_are_told() -> None:
    shown, said = described.pictures(30)
    made = task()
    made.prepare((shown, said), valid=(shown[:4] + described.pictures(6, seed=9)[0], said[:4] + ["red"] * 6))
    assert [each.message for each in made.found if each.level == "warning"] == [
        "4 of the 10 valid pictures are training pictures, too"
    ]


def test_several_captions_of_a_picture_are_learned_and_count_once(tmp_path: Path) -> None:
    table = described.written(tmp_path)
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, *(f"{line} square" for line in lines[1:])]))
    made, parts = prepared(table, valid_share=0.3, test_share=0.0)
    assert len(parts.valid) == 2 * len(parts.valid.pictures)
    first = parts.valid.references[0]
    assert first[1] == f"{first[0]} square" and len(first) == 2
    torch.manual_seed(0)
    model = made.build().eval()
    contender = made.contenders(model, parts.valid)[0]
    assert contender.sums is not None and len(contender.sums) == len(parts.valid.pictures)
    own = [made._likelihood(model, parts.valid.take(rows))["loss"] for rows in parts.valid.pictures]
    sizes = [(parts.valid.units.take(rows).lengths + 1).sum() for rows in parts.valid.pictures]
    assert made.measure(model, parts.valid)["loss"] == pytest.approx(np.average(own, weights=sizes), rel=1e-5)


# -- laws of the network ------------------------------------------------------------------------------------


def test_a_film_is_read_the_same_beside_longer_ones() -> None:
    made, parts = prepared(described.films(20))
    torch.manual_seed(0)
    model = made.build().eval()
    together = decoding.log_p(model, parts.train)
    alone = [decoding.log_p(model, parts.train.take(np.array([row])))[0] for row in range(len(parts.train))]
    assert len(set(parts.train.shown.lengths.tolist())) > 1
    np.testing.assert_allclose(together, alone, rtol=1e-4)


def test_each_frame_stands_beside_the_one_before() -> None:
    shown, said = described.films(6)
    _, parts = prepared((shown, said), valid_share=0.2)
    batch = make_batch(parts.train, np.arange(len(parts.train)))
    both = before_beside(batch.shown, batch.counts)
    starts = np.cumsum([0, *batch.counts.tolist()[:-1]])
    for place, row in enumerate(batch.rows.tolist()):
        film = parts.train.array(row)
        for step in range(len(film)):
            found = both[starts[step] + place].numpy()
            np.testing.assert_array_equal(found[..., :1], film[step])
            np.testing.assert_array_equal(found[..., 1:], film[max(step - 1, 0)])


def test_the_score_of_a_caption_is_that_of_forced_decoding(learned: jobs.Trained) -> None:
    model, made = learned.model, learned.task
    assert isinstance(made, Caption)
    shown, _ = described.pictures(6, seed=3)
    rows, compared = learned.predict(shown, n_best=4, beam=8), 0
    for number, row in enumerate(rows):
        for each in row["n_best"]:
            examples = made.examples(([shown[number]], [each["caption"]]))
            if examples.units is not None and UNKNOWN not in examples.units.values:  # such as "redred", which is one
                assert decoding.log_p(model, examples)[0] == pytest.approx(each["log_p"], abs=1e-3)
                compared += 1
    assert compared > 15


def test_rules_of_the_search_hold(learned: jobs.Trained) -> None:
    shown, _ = described.pictures(10, seed=4)
    assert all("blue" in row["caption"] for row in learned.predict(shown, must=("blue",)))
    assert not any("red" in row["caption"] for row in learned.predict(shown, must_not=("red",)))
    drawn = [learned.predict(shown, sample=True, temperature=3.0, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    row = learned.predict(shown[:1], attention=True)[0]
    weights = np.array(row["attention"])
    assert weights.shape == (len(row["units"]), 16)
    np.testing.assert_allclose(weights.sum(1), 1, atol=0.01)


def test_answers_keep_their_order_over_several_searches(learned: jobs.Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, _ = described.pictures(12, seed=6)
    whole = learned.predict(shown)
    monkeypatch.setattr(decoding, "AT_ONCE", 5)
    assert [row["caption"] for row in learned.predict(shown)] == [row["caption"] for row in whole]


def test_batches_of_an_epoch_hold_every_caption_once() -> None:
    made, parts = prepared(described.pictures(50))
    one, other = (made.batches(parts.train, epoch, Shard()) for epoch in (0, 1))
    rows = [np.sort(np.concatenate([batch.rows for batch in each])) for each in (one, other)]
    np.testing.assert_array_equal(rows[0], np.arange(len(parts.train)))
    np.testing.assert_array_equal(rows[1], rows[0])
    assert one[0].rows.tolist() != other[0].rows.tolist()
    shares = [made.batches(parts.train, 0, Shard(rank, 2)) for rank in (0, 1)]
    assert sum(len(batch.rows) for share in shares for batch in share) == len(parts.train)


# -- faults -------------------------------------------------------------------------------------------------


def test_every_broken_file_is_named_or_left_out(tmp_path: Path) -> None:
    table = described.written(tmp_path)
    (tmp_path / "2.png").write_bytes(b"")
    (tmp_path / "5.png").write_bytes((tmp_path / "6.png").read_bytes()[:60])
    with pytest.raises(DataError) as error:
        prepared(table)
    assert "2.png" in str(error.value) and "5.png" in str(error.value)
    found = task().check(table)
    assert [each.level for each in found if ".png" in each.message] == ["error", "error"]
    made, parts = prepared(table, bad_files="skip")
    assert sum(len(part) for part in vars(parts).values()) == 28
    assert any("2.png" in each.message for each in made.found)


def test_rows_without_a_caption_are_left_out_and_told(tmp_path: Path) -> None:
    table = described.written(tmp_path)
    lines = table.read_text().splitlines()
    lines[4] = "3.png,"
    table.write_text("\n".join(lines))
    made, parts = prepared(table)
    assert sum(len(part) for part in vars(parts).values()) == 29
    assert any("1 rows without a caption are left out (first: " in each.message for each in made.found)


FAULTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "two media": (None, {"image": "a", "video": "b"}, "image and video are named"),
    "no column": (described.rows(20), {"text": "words"}, "no column 'words'"),
    "no pictures": ([{"caption": "a"}, {"caption": "b"}], {}, "no column names files of pictures"),
    "equal captions": ((described.pictures(20)[0], ["a dog"] * 20), {}, "all captions are the same"),
    "empty captions": ((described.pictures(3)[0], ["", " ", ""]), {}, "holds no caption"),
    "too few": ((described.pictures(1)[0] * 4, list("abcd")), {}, "1 different file"),
    "no widths": (None, {"widths": ()}, "widths are one or more"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault: str) -> None:
    source, changes, told = FAULTS[fault]
    with pytest.raises((DataError, OptionError), match=told):
        task(**changes).prepare(source)


def test_a_library_that_counts_is_missed_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(MissingExtraError, match="sacrebleu"):
        prepared(described.pictures(20))


def test_options_of_the_search_are_checked() -> None:
    with pytest.raises(OptionError, match="needs a beam"):
        Caption.Predicting.of({"sample": True, "must": ("a",)})
    assert Caption.Predicting.of({"beam": 3}).how == How(beam=3)


def test_names_are_watched_as_wholes_and_sentences_by_bleu() -> None:
    assert measures.watched(["red left", "a dog"]).name == "exact"
    assert measures.watched(["a man in a red shirt walks along a street"] * 3).name == "bleu4"
