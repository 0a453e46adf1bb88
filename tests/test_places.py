"""Letters at their places: their keys, when a classifier takes them, and what it saves, explains and warns of."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from gatework.data.ngrams import Bag, place_grams
from gatework.errors import OptionError
from gatework.explanation import opened, subject_of
from gatework.tasks import jobs
from gatework.tasks.classify import Classify, ClassifyOptions
from gatework.tasks.classify.baselines import linear_baseline
from gatework.tasks.classify.explained import Text
from gatework.tasks.classify.shares import NGrams
from gatework.tasks.classify.units import units_of

SMALL: dict[str, Any] = {"hidden_size": 6, "embedding_size": 5, "epochs": 2, "batch_size": 16, "test_share": 0.2}
LENGTH = 24


def letters(count: int) -> dict[str, list[str]]:
    """Rows of letters that all hold "gt" once and "ag" once; the label says which of them stands at place 10."""
    generator, texts, labels = np.random.default_rng(0), [], []
    for row in range(count):
        text = generator.choice(list("cat"), LENGTH)
        first, second = ("gt", "ag") if row % 2 else ("ag", "gt")
        text[10:12], text[18:20] = list(first), list(second)
        texts.append("".join(text))
        labels.append(first)
    return {"text": texts, "label": labels}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    return jobs.train(Classify(ClassifyOptions(**SMALL)), letters(200), out=tmp_path_factory.mktemp("run"), quiet=True)


def test_keys_tell_n_grams_apart_by_their_places() -> None:
    """Two texts share the n-grams that stand in both at one place, counted one by one."""
    texts = ["abcabc", "abcab", "cabcab", "xbcx", "", "éa"]
    keys = place_grams(texts, 3)
    spelled = [{(i, text[i : i + n]) for n in (1, 2, 3) for i in range(len(text) - n + 1)} for text in texts]
    for one, mine in enumerate(spelled):
        assert len(set(keys[one].tolist())) == len(keys[one]) == len(mine)
        for other, theirs in enumerate(spelled):
            assert len(np.intersect1d(keys[one], keys[other])) == len(mine & theirs)
    assert keys[5].tolist() == place_grams(["éa"], 3).values.tolist()


@pytest.mark.parametrize("lower", [True, False])
def test_letters_at_places_stand_in_a_block_of_length_1(lower: bool) -> None:
    bag = Bag(words=1, places=2, lower=lower)
    found = bag.fit_transform(["ab", "AB", "b"]).toarray()
    assert bag.sizes == (2, 4 if lower else 7)  # a, b, ab at 0, 1, 0; b at 0
    np.testing.assert_allclose(np.linalg.norm(found[:, 2:], axis=1), 1, rtol=1e-6)
    assert (found[0] == found[1]).all() == lower
    assert not bag.transform(["", "xxb"]).toarray()[:, 2:].any()  # no b was at place 2


def settled(rows: list[str], **options: Any) -> tuple[str, Classify]:
    task = Classify(ClassifyOptions(**{**SMALL, **options}))
    task.prepare({"text": rows, "label": ["x", "y"] * (len(rows) // 2)})
    return task.options.ngrams, task


def test_letters_of_one_length_get_n_grams_by_place_and_a_note() -> None:
    rows = letters(40)["text"]
    spaced = [" " * (i % 3) + row for i, row in enumerate(rows)]
    kind, task = settled(spaced)
    checked = Classify(ClassifyOptions(**SMALL)).check({"text": rows, "label": rows})
    assert kind == "places" and len(task.codecs.grams) == 2 and task.codecs.letters == LENGTH
    assert any("all texts have 24 letters" in finding.message for finding in task.found)
    assert task.codecs.tokenizer is not None and " " not in task.codecs.tokenizer.vocabulary
    assert any("all texts have 24 letters" in finding.message for finding in checked)


@pytest.mark.parametrize(
    ("change", "options", "kind"),
    [
        (lambda row: row, {"ngrams": "characters"}, "characters"),
        (lambda row: row, {"tokenizer": "words"}, "auto"),
        (lambda row: row[: 20 + row.count("c") % 4], {}, "auto"),  # of other lengths
        (lambda row: row[8:15], {"tokenizer": "characters"}, "auto"),  # too short
        (lambda row: row[8:16], {"tokenizer": "characters"}, "places"),
        (lambda row: row[: 20 + row.count("c") % 4], {"ngrams": "places"}, "places"),
    ],
)
def test_other_texts_and_named_n_grams_stay(change: Any, options: dict[str, str], kind: str) -> None:
    chosen, task = settled([change(row) for row in letters(40)["text"]], **options)
    assert chosen == kind
    assert any("told apart by their places" in finding.message for finding in task.found) == (
        kind == "places" and "ngrams" not in options
    )


@pytest.mark.parametrize(
    ("rows", "tokenizer", "epochs"), [(100, None, 60), (3_200, None, 25), (9_000, None, 10), (100, "words", 10)]
)
def test_few_short_rows_of_letters_are_read_as_often_as_it_takes(rows: int, tokenizer: str | None, epochs: int) -> None:
    table = letters(100)
    many = {name: [values[i % 100] for i in range(rows)] for name, values in table.items()}
    task = Classify(ClassifyOptions(tokenizer=tokenizer))
    task.check(many)
    assert task.options.epochs == epochs
    long = {"text": [text * 9 for text in table["text"]], "label": table["label"]}
    task = Classify(ClassifyOptions(tokenizer="characters"))
    task.check(long)
    assert task.options.epochs == 10


def test_words_have_no_places() -> None:
    with pytest.raises(OptionError, match="ngrams=places is about letters; add tokenizer=characters"):
        settled(["good film here", "bad film there"] * 20, ngrams="places")


def test_places_are_learned_saved_and_loaded(trained: jobs.Trained) -> None:
    """What n-grams without places cannot tell; and white space around the letters changes nothing."""
    rows = letters(60)
    answers = trained.predict(rows["text"])
    assert [answer["label"] for answer in answers] == rows["label"]
    loaded = jobs.load(trained.run.path)
    assert cast(ClassifyOptions, loaded.task.options).ngrams == "places"
    assert loaded.predict([f" {text} \t" for text in rows["text"]]) == answers


def test_texts_of_another_length_are_answered_and_told_of(trained: jobs.Trained) -> None:
    """Letters at places that were never learned change only what is known of characters anywhere."""
    rows = letters(10)["text"]
    with pytest.warns(UserWarning, match="2 of 10 texts do not have the 24 letters of those that were learned"):
        trained.predict([rows[0] + "acca", rows[1][:20], *rows[2:]])
    task, model = cast(Any, trained.task), cast(Any, trained.model)
    model.wide.logits(task.bag, pl.Series(rows))  # gives the bag its keys
    size = task.bag.sizes[-1]
    one, longer = task.bag.transform([rows[0], rows[0] + "acca"]).toarray()[:, -size:]
    np.testing.assert_allclose(one, longer)


def test_shares_of_letters_add_up_to_the_logits_and_show_the_place(trained: jobs.Trained) -> None:
    text, label = letters(2)["text"][1], "gt"
    task: Any = trained.task
    units = units_of(task.codecs.tokenizer, text, 1_000)
    found = NGrams.of(trained, units)
    assert found is not None and found.steps.shape == (LENGTH, 2)
    np.testing.assert_allclose(found.steps.sum(0) + found.rest, found.logits([text])[0], atol=1e-5)
    mine = task.codecs.classes.index(label)
    contrast = found.steps[:, mine] - found.steps[:, 1 - mine]
    assert set(np.argsort(-contrast)[:4]) == {10, 11, 18, 19}


def test_explained_letters_keep_their_places(trained: jobs.Trained) -> None:
    """Blanked letters and those before the last few leave the others where they are."""
    text = letters(2)["text"][1]
    made = subject_of(opened(trained), None, {"text": f"  {text}"})
    assert isinstance(made, Text) and made.text == text
    shown, labels = made.last([6, 14, LENGTH])
    whole = made.shown(made.whole()[None])[0]
    assert shown[2] == pytest.approx(whole, abs=1e-6) and labels[1:] == ["gt", "gt"]


def test_the_baseline_reads_letters_at_their_places() -> None:
    task = Classify(ClassifyOptions(**SMALL, ngrams="none"))
    found = linear_baseline(task.prepare(letters(200)), 2, task.options, "accuracy")
    assert "letters at their places" in found.name and found.metrics["accuracy"] == 1
    assert "best of 6 on validation rows" in found.note
