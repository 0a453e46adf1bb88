"""What is told of a tagger: its page, why a token got its tag, and `SequenceTagger`."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import base
from sklearn.model_selection import cross_val_score

import gatework
from gatework import SequenceTagger, report
from gatework.errors import DataError, OptionError
from gatework.explanation import opened, subject_of
from gatework.explanation.attribution import integrated_gradients
from gatework.pages import words
from gatework.runtime.texts import windows
from gatework.tasks import jobs
from gatework.tasks.tag.answers import scored
from gatework.tasks.tag.page import coloured, marks
from gatework.tasks.tag.sections import MOST_CHAINS, MOST_TAGS
from test_report import EVIL, Page

SMALL: dict[str, Any] = {
    "hidden_size": 8, "embedding_size": 6, "characters": 4, "epochs": 4, "learning_rate": 0.02, "test_share": 0.2,
    "max_length": 20,
}  # fmt: skip
KIND = "P<b>'"
clone: Callable[..., Any] = base.clone


def sentences(count: int = 60) -> tuple[list[list[str]], list[list[str]], list[str]]:
    """Names behind "by" and "in", some with markup; a tenth of them is tagged wrong, so that there are errors."""
    draw, tokens, tags, labels = random.Random(1), [], [], []
    for number in range(count):
        name = draw.choice([["Ada", "Berg"], ["Bo"], [EVIL, "Falk"]])
        town = draw.choice(["Porto", "Graz", EVIL])
        mine = [f"B-{KIND}", *[f"I-{KIND}"] * (len(name) - 1)]
        tokens.append([*draw.choices(["a", "film", "play", "of"], k=draw.randint(1, 4)), "by", *name, "in", town])
        tags.append(["O"] * (len(tokens[-1]) - len(name) - 2) + mine + ["O", "O" if number % 10 == 0 else "B-LOC"])
        labels.append(f"{EVIL} {len(name)}")
    return tokens, tags, labels


@pytest.fixture(scope="module")
def names() -> SequenceTagger:
    tokens, tags, labels = sentences()
    return SequenceTagger(**SMALL).fit(tokens, tags, labels=labels)


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    """Letters with plain tags, which hang on the letter before; half of them are vowels."""
    draw, folder = random.Random(2), tmp_path_factory.mktemp("chains")
    letters = ["".join(draw.choices("AEGL", k=draw.randint(10, 200))) for _ in range(40)]
    tags = ["C" + "".join("H" if before in "AE" else "C" for before in chain[:-1]) for chain in letters]
    for name, rows in (("chains", letters), ("tags", tags)):
        (folder / f"{name}.fasta").write_text("".join(f">{i}\n{row}\n" for i, row in enumerate(rows)))
    made = SequenceTagger(**SMALL | {"max_length": 50}, tags=str(folder / "tags.fasta"), out=str(folder / "run"))
    return made.fit(folder / "chains.fasta").trained_


def sections(trained: jobs.Trained) -> dict[str, Any]:
    return trained.run.results()["sections"]


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_shows_what_was_measured_and_escapes_it(names: SequenceTagger, tmp_path: Path) -> None:
    text = report.write(names.trained_.run, tmp_path / "page.html").read_text()
    page = Page(text)
    assert "<script" not in text and EVIL in page.text
    assert not [attributes for _, attributes in page.tags if any(key.startswith("on") for key in attributes)]
    found = sections(names.trained_)
    for row in found["kinds"]:
        assert row["f1"] is None or f"{row['f1']:.1%}" in page.text
    for heading in ("Kind by kind", "Labels of whole sentences", "Sentences with truth", "Moves from tag to tag"):
        assert heading in page.text
    assert words.number(names.trained_.run.results()["test"]["f1"]) in page.text
    assert "how often training saw the word" in page.text and KIND in page.text


def test_sections_hold_the_errors_of_the_test_part(names: SequenceTagger) -> None:
    found, results = sections(names.trained_), names.trained_.run.results()
    assert found["scheme"] == "IOB2" and found["matrix"] is None
    assert sum(row["tokens"] for row in found["frequency"]) > 0
    wrong = sum(row["wrong"] for row in found["frequency"])
    tokens = sum(row["tokens"] for row in found["frequency"])
    assert 1 - wrong / tokens == pytest.approx(results["test"]["accuracy"])
    sure = [surest(row) for row in found["marked"]]
    errors = [value for value in sure if value > 0]
    assert errors == sorted(errors, reverse=True) == sure[: len(errors)], "the surest errors first, then those without"


def surest(row: dict[str, Any]) -> float:
    """How sure the model is of its surest error in a sentence."""
    triples = zip(row["true"], row["predicted"], row["confidence"], strict=True)
    return max((sure for true, said, sure in triples if true != said), default=0.0)


def test_moves_are_those_of_the_crf(names: SequenceTagger) -> None:
    moves, task = sections(names.trained_)["transitions"], names.trained_.task
    tags = task.codecs.tags.classes  # type: ignore[attr-defined]
    assert len(tags) <= MOST_TAGS and moves["rows"] == ["start", *tags] and moves["columns"] == [*tags, "end"]
    cell = {
        (row, column): value
        for row, values in zip(moves["rows"], moves["matrix"], strict=True)
        for column, value in zip(moves["columns"], values, strict=True)
    }
    learned: Any = names.trained_.model.moves().transitions.detach()  # type: ignore[union-attr]
    assert cell["O", "S-LOC"] == pytest.approx(float(learned[tags.index("O"), tags.index("S-LOC")]), abs=1e-3)
    assert cell["start", f"E-{KIND}"] is None and cell[f"B-{KIND}", "end"] is None and cell["O", "end"] is not None


def test_pieces_of_a_marked_sentence_are_its_words() -> None:
    row = {
        "where": "x",
        "tokens": ["a", "b", "c", "d", "e"],
        "true": ["B-X", "E-X", "O", "S-Y", "S-Y"],
        "predicted": ["O", "S-X", "O", "S-Y", "S-X"],
        "confidence": [0.9, 0.8, 1.0, 1.0, 0.7],
    }
    made = marks(row, False, {"X": "blue", "Y": "red"}, " ")
    pieces = made["pieces"]
    assert " ".join(piece["text"] for piece in pieces) == "a b c d e" and not made["right"]
    assert [(piece["true"], piece["said"]) for piece in pieces] == [
        ("blue", "transparent"), ("blue", "blue"), ("transparent", "transparent"), ("red", "red"), ("red", "blue"),
    ]  # fmt: skip
    assert [piece["right"] for piece in pieces] == [False, False, True, True, False]
    assert [piece["ends"] for piece in pieces] == [None, ["X", "X"], None, ["Y", "Y"], ["Y", "X"]]


def test_of_plain_tags_the_wrong_ones_are_marked() -> None:
    row = {"where": "x", "tokens": ["a", "b", "c"], "true": ["N", None, "V"], "predicted": ["N", "V", "N"]}
    made = marks(row | {"confidence": [1, 1, 1]}, True, {"N": "blue", "V": "red"}, " ")
    assert [(piece["text"], piece["ends"]) for piece in made["pieces"]] == [("a b", None), ("c", ["V", "N"])]


def test_chains_are_drawn_as_tracks(chains: jobs.Trained, tmp_path: Path) -> None:
    found, page = sections(chains), Page(report.write(chains.run, tmp_path / "page.html").read_text())
    assert found["lettered"] and not found["frequency"] and found["labels"] is None and found["transitions"] is None
    assert 1 < len(found["marked"]) <= MOST_CHAINS
    rates = [np.mean([a == b for a, b in zip(row["true"], row["predicted"], strict=True)]) for row in found["marked"]]
    assert rates == sorted(rates), "from the worst to the best"
    pictures = type(chains.task).pictures(found)
    assert sum(name.startswith("track") for name in pictures) == len(found["marked"])
    assert "Truth and answer over the positions" in page.text and "Sentences with truth" not in page.text
    matrix = np.array(found["matrix"]["matrix"])
    assert matrix.sum() == sum(row["count"] for row in found["kinds"])
    assert coloured(found).keys() == {"C", "H"}


def test_a_page_of_other_data(chains: jobs.Trained, names: SequenceTagger) -> None:
    tokens, tags, labels = sentences(12)
    rows = [{"tokens": a, "tags": b, "label": c} for a, b, c in zip(tokens, tags, labels, strict=True)]
    found = names.trained_.assessed(rows)
    assert found["sections"]["part"] == "test" and found["sections"]["labels"]
    assert type(names.trained_.task).page(found, {}).template == "page.html"


# -- explanations -----------------------------------------------------------------------------------------------------


def subject(trained: object, **given: Any) -> Any:
    source = given.pop("source", None)
    return subject_of(opened(trained), source, given)  # type: ignore[arg-type]


EXPLAINED: list[dict[str, Any]] = [
    {"text": "a film by Ada Berg in Graz"},
    {"text": "a play by Bo in Porto", "word": "Porto"},
    {"text": "of " * 30 + "by Bo in Graz", "word": "32", "target": "LOC"},
]


@pytest.mark.parametrize("given", EXPLAINED, ids=["surest", "word", "long"])
def test_attributions_add_up_to_the_whole_models_score(names: SequenceTagger, given: dict[str, Any]) -> None:
    made = subject(names, **given)
    model: Any = names.trained_.model
    with torch.no_grad():
        (group,) = scored(model, made.examples, SMALL["max_length"])
    assert group.windows is not None and float(model.share) > 0
    whole = torch.lerp(group.network, group.windows, model.share)
    np.testing.assert_allclose(made.whole(), whole[made.place].numpy(), atol=1e-5)
    found = integrated_gradients(made)
    assert found.error < 0.01 and found.steps.sum() == pytest.approx(found.difference, abs=0.02)
    own = float(model.share * group.windows[made.place].double() @ made.contrast)
    assert found.parts["windows"].sum() + made.constant == pytest.approx(own, abs=1e-5)


def test_letters_are_explained_with_what_filters_see_of_their_neighbours(chains: jobs.Trained) -> None:
    made = subject(chains, row=2, word="3")
    model: Any = chains.model
    assert model.neighbours is not None
    with torch.no_grad():
        (group,) = scored(model, made.examples, SMALL["max_length"])
    assert group.windows is not None
    whole = torch.lerp(group.network, group.windows, model.share)
    np.testing.assert_allclose(made.whole(), whole[made.place].numpy(), atol=1e-5)
    assert integrated_gradients(made).error < 0.01


def test_features_are_shared_equally_among_their_words(names: SequenceTagger) -> None:
    made = subject(names, text="a play by Bo in Porto", word="1")
    features = windows.features(["a", "play"], np.array([2]))
    assert len(made._touch) == features.shape[1] == len(windows.places_of(0, False))
    shares = dict(zip(windows.places_of(0, False), made._touch.tolist(), strict=True))
    assert shares[0, 1][:3] == [0.5, 0.5, 0] and shares[-1, 0][:2] == [0.5, 0] and shares[(2,)][:4] == [0, 0, 1, 0]
    assert not any(shares[(-1,)]), "what lies before the sentence is no word's"


def test_without_all_words_the_windows_say_what_they_owe_to_none(names: SequenceTagger) -> None:
    made = subject(names, text="a play by Bo in Porto")
    with torch.no_grad():
        empty = made.network(made.baseline[None])[0].numpy()
    alone = empty + made._weights[made._touch.sum(1) == 0].sum(0)
    np.testing.assert_allclose(made.without([(0, len(made))])[0], alone, atol=1e-5)


def test_a_long_sentence_is_explained_in_the_stretch_that_answers(names: SequenceTagger) -> None:
    made = subject(names, **EXPLAINED[2])
    assert len(made) <= SMALL["max_length"] and made.steps[made.number] == "Bo" and made.spoken == "S-LOC"
    assert "max_length=20" in " ".join(made.words.notes)
    shown, answers = made.last([1, len(made)])
    assert shown[-1] == pytest.approx(float(made.shown(made.whole()[None])[0]), abs=0.05) and len(answers) == 2


def test_explanations_of_words_letters_and_rows(names: SequenceTagger, chains: jobs.Trained, tmp_path: Path) -> None:
    found = gatework.explain(names, text=f"a film by {EVIL.split()[0]} in Graz", word="Graz")
    assert "The model tags 'Graz'" in found.sentences[0] and "nearest" in " ".join(found.sentences)
    assert "<script>alert" not in found.write(tmp_path / "a.html").read_text()
    found = gatework.explain(chains, row=2, word="3")
    assert found.steps[:3] != found.steps and "(letter 3)" in found.sentences[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give either a text or a sentence of a file"),
        ({"text": "a", "row": 1}, "give either a text or a sentence of a file"),
        ({"text": " "}, "the text is empty"),
        ({"text": "a film", "word": "play"}, "no word 'play'"),
        ({"text": "a film of a film", "word": "film"}, "'film' 2 times; name one by its number: 2, 5"),
        ({"text": "a film", "target": "ORG"}, "no tag 'ORG'"),
        ({"source": [["a", "film"]], "row": 2}, "sentences 1 to 1; there is no sentence 2"),
    ],
)
def test_what_cannot_be_explained_is_said(names: SequenceTagger, given: dict[str, Any], message: str) -> None:
    with pytest.raises((OptionError, DataError), match=message):
        subject(names, **given)


# -- the estimator ----------------------------------------------------------------------------------------------------


def test_tags_come_as_they_were_written(names: SequenceTagger) -> None:
    tokens, tags, _ = sentences()
    assert set(names.classes_) == {tag for row in tags for tag in row}
    answers = names.predict(tokens)
    assert [len(row) for row in answers] == [len(row) for row in tokens]
    assert {tag for row in answers for tag in row} <= set(names.classes_)
    rows = [{"tokens": a, "tags": b, "label": "?"} for a, b in zip(tokens, tags, strict=True)]
    assert names.score(tokens, tags) == pytest.approx(names.score(rows)) and names.score(tokens, answers) == 1


def test_spans_count_characters_of_raw_texts(names: SequenceTagger) -> None:
    texts = ["", "a film  by Ada\tBerg in Graz", " ", "a film by Bo in Porto", "a film by Bo in Porto"]
    found = names.predict_spans(texts)
    assert [bool(spans) for spans in found] == [False, True, False, True, True] and found[3] == found[4]
    for text, spans in zip(texts, found, strict=True):
        assert all(text[span["start"] : span["end"]] == span["text"] for span in spans)
        assert all(before["end"] <= after["start"] for before, after in pairwise(spans))
        assert all(0 < span["confidence"] <= 1 and span["label"] in (KIND, "LOC") for span in spans)
    assert names.predict_spans(["", " "]) == [[], []]


def test_a_tagger_is_cloned_scored_in_folds_kept_and_opened(names: SequenceTagger, tmp_path: Path) -> None:
    tokens, tags, _ = sentences(24)
    scores = cross_val_score(clone(names).set_params(epochs=1), tokens, tags, cv=2)
    assert scores.shape == (2,) and np.isfinite(scores).all()
    names.save(tmp_path / "kept")
    assert SequenceTagger.load(tmp_path / "kept").predict(tokens) == names.predict(tokens)


def test_a_file_alone_is_enough(tmp_path: Path) -> None:
    tokens, tags, _ = sentences(20)
    path = tmp_path / "a.tsv"
    rows = (
        "".join(f"{t.split()[0]}\t{tag}\n" for t, tag in zip(*row, strict=True))
        for row in zip(tokens, tags, strict=True)
    )
    path.write_text("\n".join(rows))
    fitted = SequenceTagger(**SMALL | {"epochs": 1}).fit(path)
    assert len(fitted.predict(path)) == 20


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([["a"]], None, "requires y to be passed, but the target y is None"),
        ([["a"], ["b"]], [["O"]], "2 tokens, 1 tags; give each sentence one of each"),
        ([["a", "b"]], [["O"]], "2 tokens, but 1 tags"),
    ],
)
def test_what_cannot_be_learned_is_said(X: Any, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        SequenceTagger(**SMALL).fit(X, y)


def test_texts_are_not_taken_for_tokens(names: SequenceTagger) -> None:
    with pytest.raises(DataError, match="predict reads lists of tokens"):
        names.predict(["a film by Ada"])
