"""The job `classify`: its pieces against their definitions, then the whole job from files and as estimators."""

from __future__ import annotations

import dataclasses
import gc
import io
import itertools
import json
import pickle
import warnings
from copy import deepcopy
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from torch.nn import functional
from typer.testing import CliRunner

from gatework import cli
from gatework.data import batching, seen
from gatework.data.codecs import Words
from gatework.data.ragged import Ragged
from gatework.errors import DataError, OptionError
from gatework.tasks import jobs
from gatework.tasks.classify import (
    Classify,
    ClassifyOptions,
    SequenceClassifier,
    TextClassifier,
    baselines,
    measures,
    wide,
)
from gatework.tasks.classify.examples import Examples, make_batch
from gatework.tasks.classify.loss import class_weights, cross_entropy, tuned_decision
from gatework.tasks.classify.measures import softmax
from gatework.tasks.classify.mixture import best_share, helpful_temperature
from gatework.tasks.classify.model import Classifier
from gatework.training.learner import Shard

SMALL: dict[str, Any] = {"hidden_size": 6, "embedding_size": 5, "epochs": 2, "batch_size": 8}
WORDS = ("film", "plot", "cast", "music", "story", "scene")


def corpus(count: int = 80) -> tuple[list[str], list[str]]:
    """Texts whose mood is the order of two words, which no bag of single words shows."""
    generator = np.random.default_rng(0)
    texts, labels = [], []
    for i in range(count):
        first, second = ("good", "bad") if i % 2 else ("bad", "good")
        rest = " ".join(generator.choice(WORDS, generator.integers(1, 6)))
        texts.append(f"{rest} {first} not {second} {i}")
        labels.append("pos" if i % 2 else "neg")
    return texts, labels


def waves(count: int) -> tuple[list[np.ndarray], list[int]]:
    """Two channels, one ahead of the other: the label says which."""
    generator = np.random.default_rng(1)
    rows, labels = [], []
    for i in range(count):
        time = np.arange(generator.integers(8, 20)) / 3 + generator.uniform(0, 6)
        lag = 0.9 if i % 2 else -0.9
        rows.append(np.stack([np.sin(time), np.sin(time + lag)], axis=1) + generator.normal(0, 0.05, (len(time), 2)))
        labels.append(i % 2)
    return rows, labels


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    path.write_text("review,mood\n" + "".join(f"{text},{label}\n" for text, label in zip(*corpus(), strict=True)))
    return path


@pytest.fixture(scope="module")
def trained(reviews, tmp_path_factory):
    task = Classify(ClassifyOptions(**SMALL))
    return jobs.train(task, reviews, out=tmp_path_factory.mktemp("run") / "run", quiet=True)


# -- the network ----------------------------------------------------------------------------------------------


def sequences(lengths: list[int], channels: int = 3) -> Examples:
    generator = np.random.default_rng(5)
    rows = [generator.normal(size=(length, channels)).astype(np.float32) for length in lengths]
    return Examples(Ragged.of(rows), np.zeros(len(lengths), np.int64), str)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_batch_gives_what_each_sequence_gives_alone(pooling, bidirectional):
    torch.manual_seed(0)
    options = ClassifyOptions(**SMALL, pooling=pooling, bidirectional=bidirectional, kind="sequences", layers=2)
    model = Classifier(options, 4, None, 3).eval()
    examples = sequences([3, 9, 1, 9, 4])
    batch, order = make_batch(examples, np.arange(5))
    together = torch.zeros(5, 4)
    together[torch.from_numpy(order)] = model(batch)
    for i in range(5):
        torch.testing.assert_close(together[i], model(make_batch(examples, np.array([i]))[0])[0])


def test_word_dropout_acts_in_training_alone():
    model = Classifier(ClassifyOptions(**SMALL, word_dropout=0.5, dropout=0.0), 2, 20, 0)
    texts = Examples(Ragged.of([np.arange(2, 18)] * 2, np.int32), np.zeros(2, np.int64), str)
    batch, _ = make_batch(texts, np.arange(2))
    assert not torch.equal(model.train()(batch), model(batch))
    assert torch.equal(model.eval()(batch), model(batch))


@pytest.mark.parametrize("cell", ["gru", "mgu"])
def test_any_cell_can_be_used(cell):
    batch, _ = make_batch(sequences([4, 2]), np.arange(2))
    assert Classifier(ClassifyOptions(**SMALL, cell=cell), 2, None, 3)(batch).shape == (2, 2)


# -- loss and decision ----------------------------------------------------------------------------------------


def test_losses_are_their_formulas():
    logits, labels = torch.randn(7, 3), torch.tensor([0, 1, 2, 2, 1, 0, 0])
    torch.testing.assert_close(cross_entropy(logits, labels, None, 0.0, 0.0), functional.cross_entropy(logits, labels))
    p = torch.softmax(logits, 1)[torch.arange(7), labels]
    torch.testing.assert_close(cross_entropy(logits, labels, None, 0.0, 2.0), (-((1 - p) ** 2) * p.log()).mean())
    weights = class_weights(np.array([0, 0, 0, 1]), 2)
    torch.testing.assert_close(weights, torch.tensor([4 / 6, 2.0]))


def test_classes_that_are_hardly_found_get_a_hint():
    labels = np.repeat([0, 1, 2], [60, 30, 4])
    table = measures.class_table(np.where(np.arange(94) == 61, 1, 0), labels, ["a", "b", "c"])
    (hint,) = measures.missed_hint(table, weighed=False)
    assert hint["what"] == "Hardly found (recall): 'b' 3.3% of 30 rows"  # of four rows nothing is said
    assert hint["setting"] == "--set class_weights=balanced" and "tune_threshold" in hint["advice"]
    ClassifyOptions().with_settings([hint["setting"].removeprefix("--set ")])
    assert measures.missed_hint(table, weighed=True)[0]["setting"] == ""
    assert not measures.missed_hint(measures.class_table(labels, labels, ["a", "b", "c"]), weighed=False)


def test_texts_that_are_cut_and_texts_that_were_learned_are_counted(tmp_path):
    rows = {"text": [f"t{i} {'up' if i % 2 else 'down'}" + " x" * (i % 3) for i in range(60)], "label": [0, 1] * 30}
    options = ClassifyOptions(epochs=1, hidden_size=2, embedding_size=2, max_length=4, subwords=0, threads=1)
    trained = jobs.train(Classify(options), rows, out=tmp_path / "run", quiet=True)
    assert not trained.run.config["data"]["warnings"]
    long = {"text": [*rows["text"][:20], "a b c d e"], "label": [0, 1] * 10 + [1]}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trained.evaluate(long)
    cut, known = (str(each.message) for each in told)
    assert cut.startswith("1 of 21 texts are longer than max_length (4 units): the network reads the first 3 and the ")
    learned = int(np.isin(seen.numbers(pl.Series(long["text"])), trained.task.seen).sum())
    assert known.startswith(f"{learned} of 21 rows") and 0 < learned < 21
    with pytest.warns(UserWarning, match="1 of 21 texts are longer"):
        jobs.load(tmp_path / "run").predict(long["text"])
    again = jobs.load(tmp_path / "run").task.seen
    assert again.tolist() == trained.task.seen.tolist()
    found = Classify(options).check({**rows, "text": [f"{text} a b" for text in rows["text"]]})
    assert any(each.level == "warning" and "texts are longer than max_length" in each.message for each in found)


def test_parts_of_one_file_are_checked_once(tmp_path):
    rows = {"text": [f"t{i} {i % 2}" for i in range(60)], "label": [0, 1] * 30}
    task = Classify(ClassifyOptions(epochs=0, hidden_size=2))
    task.prepare({**rows, "text": ["", *rows["text"][1:]]})
    told = [each.message for each in task.found]
    assert len(set(told)) == len(told) and sum("the text is empty" in each for each in told) == 1


def test_the_decision_finds_rare_classes():
    generator = np.random.default_rng(0)
    labels = (generator.random(400) < 0.1).astype(int)
    rare = generator.normal(labels * 1.5 - 3, 0.5)  # right in order, yet never above zero
    logits = np.stack([np.zeros(400), rare], axis=1)
    before = measures.hard_measures(logits.argmax(1), labels, 2)["macro_f1"]
    after = measures.hard_measures((logits + tuned_decision(logits, labels)).argmax(1), labels, 2)["macro_f1"]
    assert before < 0.55
    assert after > 0.85
    three = np.concatenate([logits, np.full((400, 1), -9.0)], axis=1)
    assert measures.hard_measures((three + tuned_decision(three, labels)).argmax(1), labels, 3)["macro_f1"] > 0.55


def test_measures_are_scikit_learns():
    from sklearn.metrics import f1_score, log_loss, precision_score

    generator = np.random.default_rng(2)
    logits, labels = generator.normal(size=(200, 4)), generator.integers(0, 4, 200)
    probabilities = measures.softmax(logits)
    found = measures.measures(probabilities, logits.argmax(1), labels)
    assert found["macro_f1"] == pytest.approx(f1_score(labels, logits.argmax(1), average="macro"))
    assert found["loss"] == pytest.approx(log_loss(labels, probabilities))
    table = measures.class_table(logits.argmax(1), labels, list("abcd"))
    assert table[2]["precision"] == pytest.approx(
        precision_score(labels, logits.argmax(1), labels=[2], average="macro")
    )
    sure = measures.calibration(np.eye(4)[labels], labels, labels)
    assert sure["error"] == 0
    assert sure["bins"] == [{"confidence": 1.0, "accuracy": 1.0, "rows": 200}]


def test_the_n_gram_model_weighs_by_naive_bayes_ratios():
    from scipy import sparse

    features = sparse.csr_matrix(np.array([[1, 1, 0], [0.5, 0, 0], [0, 1, 1], [0, 0.5, 0]], np.float32))
    mine = np.array([True, True, False, False])
    p, q = np.array([3, 2, 1]) / 6, np.array([1, 3, 2]) / 6  # rows with the feature, plus one
    np.testing.assert_allclose(wide.log_ratios(features, mine), np.log(p / q), rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_n_gram_model_tells_classes_by_their_words(classes):
    names = ("red", "green", "blue")
    texts = [f"{names[i % classes]} thing {i // 7}" for i in range(60)]
    labels = np.arange(60) % classes
    options = ClassifyOptions(ngrams="words")
    bag = wide.make_bag(options, 10)
    assert bag is not None
    features = bag.fit_transform(texts)
    coefficients, intercept = wide.fit_linear(features, labels, 4, options)  # a class more than there is
    model = wide.Wide(bag.sizes, 4)
    model.take(bag, coefficients, intercept)
    assert (model.scores(features).argmax(1) == labels).all()
    assert model.logits(bag, pl.Series(["a blue thing" if classes == 3 else "a green one"])).argmax(1) == classes - 1


def test_network_and_n_gram_model_decide_by_their_shares_and_learn_apart():
    model = Classifier(ClassifyOptions(**SMALL, dropout=0.0, ngram_share=0.25), 2, None, 3)
    examples = sequences([4, 4])
    alone = make_batch(examples, np.arange(2))[0]
    both = make_batch(examples.with_offsets(np.array([[3.0, -1.0], [0.0, 9.0]], np.float32)), np.arange(2))[0]
    torch.testing.assert_close(model.train()(both), model(alone))
    torch.testing.assert_close(model.eval()(both), 0.75 * model(alone) + 0.25 * both.offsets)


def test_pieces_change_no_answer_and_hold_every_row_once(trained, reviews, monkeypatch):
    texts = pl.Series(["a" * length for length in (3, 0, 9, 30, 1, 1, 1, 12)] + [None], dtype=pl.String)
    whole = trained.predict(reviews)
    metrics = trained.evaluate(reviews)
    monkeypatch.setattr(batching, "PIECE", 10)
    found = batching.pieces(texts)
    assert np.concatenate(found).tolist() == list(range(9)) and len(found) > 3
    for one, other in zip(whole, trained.predict(reviews), strict=True):
        assert one["label"] == other["label"] and one["confidence"] == pytest.approx(other["confidence"], abs=1e-5)
    assert trained.evaluate(reviews) == pytest.approx(metrics, abs=1e-5)


def planted(share, rows=2000, classes=3, seed=0):
    """Logits of two sources, of which the second knows the labels as well as `share` says, the first the rest."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    noise = generator.normal(size=(2, rows, classes))
    noise[0, np.arange(rows), labels] += 3 * (1 - share)
    noise[1, np.arange(rows), labels] += 3 * share
    return noise[0], noise[1], labels


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0])
def test_validation_rows_find_a_share_that_was_planted(share):
    network, grams, labels = planted(share)
    assert best_share(network, grams, labels) == pytest.approx(share, abs=0.15)


def test_the_usual_share_stays_where_rows_are_few_or_parts_alike():
    assert all(best_share(*planted(1.0, rows=49, seed=seed)) == 0.6 for seed in range(5))
    network, _, labels = planted(0.3)
    assert best_share(network, network, labels) == 0.6


def test_the_share_heeds_how_much_rows_weigh():
    """The n-grams know the rare class alone, the network the frequent one."""
    generator = np.random.default_rng(0)
    labels = (np.arange(2000) % 20 == 0).astype(int)
    network, grams = np.tile([2.0, 0.0], (2000, 1)), generator.normal(size=(2000, 2)) * 0.9
    grams[np.arange(2000), labels] += 1.5
    weights = np.where(labels, 10.0, 0.5)
    assert best_share(network, grams, labels, weights) > best_share(network, grams, labels)


def test_a_temperature_is_found_where_it_helps_and_left_out_where_not():
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(4000, 3))
    labels = (softmax(logits).cumsum(1) < generator.random((4000, 1))).sum(1)
    assert helpful_temperature(logits, labels) == 1
    assert helpful_temperature(3 * logits, labels) == pytest.approx(3, rel=0.1)
    assert helpful_temperature(logits / 2, labels) == pytest.approx(0.5, rel=0.1)


def test_the_temperature_changes_how_sure_a_model_is_not_what_it_says(trained, reviews):
    model, task = trained.model, trained.task
    examples, kept = task.examples(reviews), model.temperatures.clone()
    with torch.no_grad():
        before = [each.metrics for each in task.contenders(model, examples)]
        model.temperatures.copy_(kept * 2)
        after = [each.metrics for each in task.contenders(model, examples)]
        model.temperatures.copy_(kept)
    for one, other in zip(before, after, strict=True):
        assert one["accuracy"] == other["accuracy"] and one["loss"] != other["loss"]


def chinese(rows=300):
    """Clauses of syllables; one of a few signs in a clause tells the label."""
    generator = np.random.default_rng(0)
    fill = [chr(0x4E00 + i) for i in range(40)]
    telling = ["好", "净", "快"], ["差", "脏", "慢"]
    texts = ["".join([*generator.choice(fill, 6), generator.choice(telling[k % 2]), *generator.choice(fill, 3)])
             for k in range(rows)]  # fmt: skip
    return {"text": texts, "label": ["good", "bad"] * (rows // 2)}


def best_linear(source, test, **options):
    task = Classify(ClassifyOptions(**{**SMALL, "ngrams": "none", **options}))
    parts = task.prepare(source, test=test)
    return task.baselines(parts)[-1]


def test_the_baseline_reads_scripts_without_spaces_by_character():
    table = chinese()
    train, test = ({name: values[part] for name, values in table.items()} for part in (slice(200), slice(200, 300)))
    assert best_linear(train, test).metrics["accuracy"] > 0.95


def test_the_baseline_is_chosen_on_validation_and_weighed_as_the_model_is():
    """Endings tell the label, at no fixed place, and no word repeats: character n-grams must be found."""
    generator = np.random.default_rng(0)
    stems = ["".join(generator.choice(list("bdfgklmnprst"), 5 + k % 3)) for k in range(400)]
    labels = ["one" if k % 4 == 0 else "two" for k in range(400)]
    texts = [stem + ("ella" if label == "one" else "ovic") for stem, label in zip(stems, labels, strict=True)]
    table = {"text": texts, "label": labels}
    train, test = ({name: values[part] for name, values in table.items()} for part in (slice(300), slice(300, 400)))
    for options in ({}, {"refit": True, "keep": "last"}):
        found = best_linear(train, test, **options)
        assert found.name.startswith("TF-IDF of words and characters + ") and found.metrics["accuracy"] == 1
        assert "best of 4 on validation" in found.note and "balanced" not in found.note
    assert "balanced classes" in best_linear(train, test, class_weights="balanced").note


def test_linear_models_that_would_take_long_are_left_out_and_told(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_CHARACTERS", 10)
    monkeypatch.setattr(baselines, "METHODS", {name: (make, 0) for name, (make, _) in baselines.METHODS.items()})
    table = chinese(100)
    found = best_linear(table, table)
    assert found.name == "TF-IDF of words + linear SVM" and "best of 1" in found.note
    assert "5 left out" in found.note  # all texts have one length, so letters at their places count among them


def test_the_network_loss_is_that_of_training_with_dropout_off(reviews):
    """Told in the history alone, and only where the model's loss is another."""
    still = {**SMALL, "dropout": 0.0, "word_dropout": 0.0, "valid_share": 0.3}
    loss = {"label_smoothing": 0.2, "class_weights": "balanced", "focal": 1.0}
    for options in (loss, {"ngrams": "words"}):
        task = Classify(ClassifyOptions(**{"ngrams": "none", **still, **options}))
        parts = task.prepare(reviews)
        model = task.build()
        with torch.no_grad():
            steps = [task.loss(model, batch, {}) for batch in task.batches(parts.valid, 0, Shard())]
            found = task.watched(model.eval(), parts.valid)
            others = task.measure(model, parts.valid)
        wanted = sum(float(step.loss) * step.count for step in steps) / len(parts.valid)
        assert found["network_loss"] == pytest.approx(wanted, rel=1e-5) != found["loss"]
        assert "network_loss" not in others
    task = Classify(ClassifyOptions(**still, ngrams="none"))
    valid = task.prepare(reviews).valid
    with torch.no_grad():
        assert "network_loss" not in task.watched(task.build().eval(), valid)


def test_words_with_pieces_are_read_once_and_numbered_the_same():
    texts = ["the cat sat", "", "The dog, the cat"]
    at_once, apart = Words(), Words()
    numbers, words = at_once.fit_distinct(texts)
    ids = apart.fit_encode(texts)
    again, same = apart.distinct(texts)
    assert at_once.vocabulary == apart.vocabulary
    assert (words, numbers.values.tolist()) == (same, again.values.tolist())
    assert at_once.numbers(words)[numbers.values].tolist() == ids.values.tolist()


# -- the whole job --------------------------------------------------------------------------------------------


def test_a_run_holds_everything_and_moves(trained, reviews, tmp_path):
    results = trained.run.results()
    assert {"accuracy", "macro_f1", "mcc", "loss", "calibration_error"} <= set(results["test"])
    rows = [(each["name"], each["role"]) for each in results["contenders"]]
    assert rows[:3] == [("model", "model"), ("n-grams alone", "simple"), ("network alone", "network")]
    assert [role for _, role in rows[3:]] == ["baseline", "baseline"] and rows[4][0].startswith("TF-IDF of words")
    assert results["contenders"][0]["metrics"].items() <= results["test"].items()
    assert results["data"]["rows"] == {"train": 64, "valid": 8, "test": 8}
    assert {"classes", "confusion", "most_confused", "calibration", "worst"} <= set(results["sections"])
    options = trained.run.options
    assert (options["text"], options["label"], options["kind"], options["test_share"]) == (
        "review",
        "mood",
        "texts",
        0.1,
    )
    trained.run.path.rename(tmp_path / "elsewhere")
    try:
        again = jobs.load(tmp_path / "elsewhere")
        assert again.evaluate(reviews) == trained.evaluate(reviews)
        with pytest.warns(UserWarning, match="text 2 without text"):
            assert again.predict(["good not bad", ""]) == trained.predict(["good not bad", ""])
    finally:
        (tmp_path / "elsewhere").rename(trained.run.path)


def test_predictions_need_no_labels_and_ignore_them(trained, reviews):
    texts, _ = corpus()
    rows = trained.predict(reviews)
    assert [row["label"] for row in rows] == [row["label"] for row in trained.predict(texts)]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5) for row in rows)
    assert rows[0]["confidence"] == max(rows[0]["probabilities"].values())


def test_new_labels_and_columns_are_refused_by_line(trained, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("review,mood\nfine,pos\nso so,neutral\n")
    with pytest.raises(DataError, match="line 3, column 'mood': the label 'neutral' was not in the training data"):
        trained.evaluate(path)
    path.write_text("reviews,mood\nfine,pos\n")
    with pytest.raises(DataError, match=r"no column 'review'.*did you mean 'reviews'"):
        trained.predict(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,x\n", "has one row"),
        ("a,x\nb,x\n", "every row has the label 'x'"),
        ("a,x\nb,y\n", "too few to hold out"),
        ("a,x\nb,\nc,y\n", "line 3, column 'label': the label is empty"),
    ],
)
def test_hopeless_data_is_refused_before_training(tmp_path, rows, message):
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + rows)
    with pytest.raises(DataError, match=message):
        Classify(ClassifyOptions(**SMALL)).prepare(path)


def test_options_that_do_not_fit_are_refused():
    for options, message in (
        ({"split": "group"}, "needs the column that holds the group"),
        ({"tokenizer": "bpe", "stem": "english"}, "work on words"),
        ({"valid_share": 0.5, "test_share": 0.5}, "leave nothing"),
        ({"pooling": "min"}, "pooling"),
        ({"refit": True}, "add keep=last"),
    ):
        with pytest.raises(OptionError, match=message):
            ClassifyOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"tokenizer": "characters", "ngrams": "none", "pooling": "attention"},
        {"tokenizer": "bpe", "vocabulary": 300, "ngrams": "characters"},
        {"stop": ("en",), "stem": "english", "class_weights": "balanced", "focal": 1.0, "tune_threshold": True},
        {"layers": 2, "recurrent_dropout": 0.2, "label_smoothing": 0.1, "max_length": 4},
    ],
)
@pytest.mark.filterwarnings("ignore:.* texts are longer than max_length")
def test_every_option_trains_and_comes_back(reviews, tmp_path, options):
    run = jobs.train(Classify(ClassifyOptions(**SMALL, **options)), reviews, out=tmp_path / "run", quiet=True)
    results = run.run.results()
    assert jobs.load(tmp_path / "run").evaluate(reviews) == run.evaluate(reviews)
    assert ("valid_macro_f1" in results["history"][0]) and np.isfinite(results["test"]["loss"])


def test_refit_learns_the_rows_held_out_for_choosing(reviews):
    options = ClassifyOptions(**SMALL, refit=True, keep="last", ngrams="none")
    parts = Classify(options).prepare(reviews)
    assert {name: len(part) for name, part in vars(parts).items()} == {"train": 72, "valid": 8, "test": 8}
    assert not {parts.train.where(i) for i in range(72)} & {parts.test.where(i) for i in range(8)}
    with pytest.raises(OptionError, match="leave valid= out"):
        Classify(options).prepare(reviews, valid=reviews)


def test_groups_and_time_decide_splits(tmp_path):
    texts, labels = corpus(60)
    path = tmp_path / "data.csv"
    lines = "".join(
        f"{text},{label},g{i // 6},{i}\n" for i, (text, label) in enumerate(zip(texts, labels, strict=True))
    )
    path.write_text("text,label,author,day\n" + lines)
    by_time = Classify(ClassifyOptions(**SMALL, split="time", time="day", ngrams="none")).prepare(path)
    assert [by_time.test.where(i) for i in range(6)] == [f"{path}, line {i}" for i in range(56, 62)]
    by_group = Classify(ClassifyOptions(**SMALL, split="group", group="author", ngrams="none")).prepare(path)
    lines_of = [{int(part.where(i).split()[-1]) for i in range(len(part))} for part in vars(by_group).values()]
    groups = [{(line - 2) // 6 for line in part} for part in lines_of]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]


def test_batches_depend_on_seed_and_epoch_and_are_shared_out():
    task = Classify(ClassifyOptions(**SMALL))
    examples = sequences([3, 4, 5, 6, 7, 8, 9, 2, 1, 3, 4, 5, 6, 7, 8, 9, 2, 4])
    whole = task.batches(examples, 0, Shard())
    halves = [task.batches(examples, 0, Shard(rank, 2)) for rank in range(2)]
    assert len(halves[0]) == len(halves[1])
    assert sum(len(batch.labels) for batch in whole) == 18
    assert {tuple(rows) for rows in task.batches(examples, 1, Shard()).rows} != {tuple(rows) for rows in whole.rows}


@pytest.mark.parametrize(
    ("options", "level", "words"),
    [
        ({"stop": ("xx",)}, "error", "xx"),
        ({"stem": "klingon"}, "error", "klingon"),
        ({"vectors": "none.txt"}, "error", "none.txt"),
        ({"vectors": "v.txt", "embedding_size": 4}, "error", "vectors of 5 numbers, but embedding_size=4"),
        ({"vectors": "v.txt"}, "note", "2 of 10 words have a pretrained vector"),
        ({"stop": ("en",)}, "warning", " training texts are stop words alone (first: "),
        ({"stem": "english"}, "note", "the vocabulary has 9 units"),
        ({}, "note", "the vocabulary has 10 units"),
    ],
)
def test_check_tries_what_the_options_make_of_words(tmp_path, monkeypatch, options, level, words):
    """An option acts in a check too; what it would refuse in a training is an error beside the other findings."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v.txt").write_text("film 1 2 3 4 5\nsinger -1 -2 -3 -4 -5\n")
    pairs = itertools.product(("the", "of", "film", "films", "singer", "song", "red", "blue"), repeat=2)
    rows = [f"{' '.join(pair)},{'ab'[n % 2]}" for n, pair in enumerate(pairs)]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows]))
    task = Classify(ClassifyOptions(**{"embedding_size": 5, **options}))
    found = jobs.check(task, tmp_path / "a.csv")
    assert any(each.level == level and words in each.message for each in found), found
    assert any("would split into" in each.message for each in found)


def test_options_of_words_are_refused_for_numbers(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("id,t,x,label\n" + "".join(f"{n},0,{n},{'ab'[n % 2]}\n" for n in range(40)))
    task = Classify(ClassifyOptions(id="id", time="t", stop=("en",), stem="english"))
    with pytest.raises(OptionError, match="stop and stem works on texts"):
        task.prepare(path)
    assert [each.level for each in jobs.check(task, path)] == ["error"]


def test_pretrained_vectors_are_used_and_can_stay(reviews, tmp_path):
    vectors = tmp_path / "v.txt"
    vectors.write_text("good 1 2 3 4 5\nbad -1 -2 -3 -4 -5\n")
    task = Classify(ClassifyOptions(**SMALL, vectors=str(vectors), freeze_vectors=True, ngrams="none"))
    run = jobs.train(task, reviews, out=tmp_path / "run", quiet=True)
    row = task.codecs.tokenizer.vocabulary.index("good")  # type: ignore[union-attr]
    assert run.model.embedding.weight[row].tolist() == [1, 2, 3, 4, 5]  # type: ignore[union-attr, index]
    assert "2 of" in " ".join(run.run.results()["data"]["notes"])


# -- estimators -----------------------------------------------------------------------------------------------


def test_the_text_classifier_is_an_estimator(tmp_path):
    texts, labels = corpus(60)
    model = TextClassifier(**SMALL)
    copy = clone(model.set_params(hidden_size=7))
    assert copy.get_params()["hidden_size"] == 7
    copy.fit(np.array(texts), np.array(labels))
    assert copy.classes_.tolist() == ["neg", "pos"]
    assert copy.predict_proba(texts).shape == (60, 2)
    assert set(copy.predict(texts)) <= {"neg", "pos"}
    assert 0 <= copy.score(texts, labels) <= 1
    copy.save(tmp_path / "saved")
    assert (TextClassifier.load(tmp_path / "saved").predict_proba(texts) == copy.predict_proba(texts)).all()
    with pytest.raises(DataError, match="X has 60 rows and y has 1"):
        copy.fit(texts, ["a"])


def test_sequences_of_any_length_and_labels_of_any_type_are_learned():
    rows, labels = waves(120)
    model = SequenceClassifier(hidden_size=12, epochs=20, batch_size=8, learning_rate=0.01, dropout=0.0, seed=2)
    scores = cross_val_score(model, rows, np.array(labels), cv=2)
    assert scores.min() > 0.8  # both channels look alike; only their order in time tells
    model.fit(rows, labels)
    assert model.predict(rows).dtype.kind == "i"
    with pytest.raises(DataError, match="sequence 1, step 2, 'channel 2': NaN"):
        model.predict([np.array([[0.0, 1.0], [1.0, np.nan]])])
    with pytest.raises(DataError, match="trained on channel 1, channel 2"):
        model.predict([np.zeros((4, 3))])


@pytest.mark.parametrize("kind", [TextClassifier, SequenceClassifier])
def test_fitted_estimators_are_pickled_and_copied(kind, tmp_path):
    rows, labels = corpus(60) if kind is TextClassifier else waves(60)
    model = kind(**SMALL).fit(rows, labels)
    expected, folder = model.predict_proba(rows), model.trained_.run.path
    pickled, copied = pickle.loads(pickle.dumps(model)), deepcopy(model)
    del model
    gc.collect()
    copied.save(tmp_path / "saved")  # the temporary folder goes with the last copy
    for other in (pickled, copied, kind.load(tmp_path / "saved")):
        assert (other.predict_proba(rows) == expected).all()
    del copied, other
    gc.collect()
    assert not folder.exists()
    with pytest.raises(OptionError, match="save before pickling"):
        pickled.save(tmp_path / "again")


# -- the command line -----------------------------------------------------------------------------------------


def called(*arguments: Any, text: str | None = None) -> Any:
    return CliRunner().invoke(cli.app, [str(each) for each in arguments], input=text)


def test_the_command_line_checks_trains_predicts_and_refuses(reviews, tmp_path):
    checked = called("check", "classify", reviews)
    assert checked.exit_code == 0
    assert "text is column 'review', label is column 'mood'" in checked.stdout
    assert checked.stdout.splitlines()[-1] == "nothing stands in the way of training"
    bad = tmp_path / "bad.csv"
    bad.write_bytes("review,mood\ncafé,pos\n".encode("latin-1"))
    refused = called("check", "classify", bad)
    assert refused.exit_code == 2
    assert "line 2, character 4: byte 0xe9" in refused.output
    assert refused.stdout.splitlines()[-1] == "1 error: correct the error, then train"
    run = tmp_path / "run"
    settings = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    assert called("train", "classify", reviews, "--out", run, "--quiet", *settings).exit_code == 0
    assert called("evaluate", run, bad).exit_code == 2
    (answer,) = map(json.loads, called("predict", run, "--json", text="good not bad\n").stdout.splitlines())
    (row,) = pl.read_csv(io.StringIO(called("predict", run, text="good not bad\n").stdout)).to_dicts()
    shares = {f"p_{label}": pytest.approx(value) for label, value in answer["probabilities"].items()}
    assert row == {"label": answer["label"], "confidence": pytest.approx(answer["confidence"]), **shares}
    assert list(row) == ["label", "confidence", "p_neg", "p_pos"]
    with pytest.raises(OptionError, match="is a run of 'classify', not of 'generate'"):
        jobs.load(run, "generate")


@pytest.mark.filterwarnings("ignore:.* hold a text that the model learned from")
def test_answers_stand_beside_the_columns_of_the_file(trained, tmp_path, capsys):
    path, out = tmp_path / "new.csv", tmp_path / "answers.csv"
    path.write_bytes("id,Text,label\n7,café good,x\n8,,y\n".encode("cp1252"))
    reading = ("--set", "text=Text", "--set", "encoding=cp1252")
    for command in ("predict", "evaluate"):
        asked = called(command, trained.run.path, path, "--set", "encoding=cp1252")
        assert asked.exit_code == 2
        assert "it has id, Text, label; name the one that is meant: text='Text' (in a command: --set" in asked.stderr
    done = called("predict", trained.run.path, path, *reading, "--keep", "id,label", "--out", out)
    assert done.exit_code == 0, done.output
    assert "line 3 without text" in done.output
    rows = pl.read_csv(out).to_dicts()
    assert [list(row)[:3] for row in rows] == [["id", "label_given", "label"]] * 2
    assert [(row["id"], row["label_given"]) for row in rows] == [(7, "x"), (8, "y")]
    assert rows[0]["label"] == trained.predict(["café good"])[0]["label"]
    same = called("predict", trained.run.path, path, *reading, "--out", path)
    assert (same.exit_code, path.read_bytes()[:7]) == (2, b"id,Text")
    assert "so that nothing is lost" in same.output
    assert called("predict", trained.run.path, path, *reading, "--out", tmp_path / "new" / "a.csv").exit_code == 0
    refused = called("predict", trained.run.path, path, *reading, "--set", "epochs=3")
    assert refused.exit_code == 2
    assert "'epochs' says nothing of how a file is read" in refused.output
    assert "no column 'Id'" in called("predict", trained.run.path, path, *reading, "--keep", "Id").output
    refused = called("predict", trained.run.path, path, "--horizon", "3")
    assert "--horizon works for runs of 'forecast'" in refused.output and refused.exit_code == 2


def test_an_evaluation_on_what_was_learned_says_so(trained, reviews, tmp_path):
    known = called("evaluate", trained.run.path, reviews, "--page", tmp_path / "known.html")
    assert jobs.LEARNED in known.output
    assert jobs.LEARNED in (tmp_path / "known.html").read_text()
    other = tmp_path / "other.csv"
    other.write_text(reviews.read_text() + "fine and good,pos\n")
    new = called("evaluate", trained.run.path, other, "--page", tmp_path / "new.html")
    assert new.exit_code == 0
    assert jobs.LEARNED not in new.output + (tmp_path / "new.html").read_text()


@pytest.mark.filterwarnings("ignore:.* hold a text that the model learned from")
def test_rows_with_bad_labels_are_left_out_when_asked(trained, reviews, tmp_path):
    path = tmp_path / "some.csv"
    path.write_text(reviews.read_text() + "no label,\nof another,neutral\n")
    kept = ClassifyOptions(**SMALL, bad_labels="skip")
    notes = [finding.message for finding in jobs.check(Classify(kept), path)]
    assert any("1 of" in note and "have no label, and are left out" in note for note in notes)
    with pytest.raises(DataError, match="the label is empty"):
        jobs.train(Classify(ClassifyOptions(**SMALL)), path, out=tmp_path / "none")
    lenient = jobs.load(trained.run.path, reading=["bad_labels=skip"])
    with pytest.warns(UserWarning, match="2 of .* rows have no label, or one that was never learned, and are left out"):
        assert lenient.evaluate(path) == trained.evaluate(reviews)


def test_two_runs_are_the_same(reviews):
    def history() -> list[dict]:
        return jobs.train(
            Classify(dataclasses.replace(ClassifyOptions(**SMALL))), reviews, out=out, quiet=True
        ).run.history()

    import tempfile
    from pathlib import Path

    found = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            found.append([{k: v for k, v in row.items() if k != "seconds"} for row in history()])
    assert found[0] == found[1]
