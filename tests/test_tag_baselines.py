"""The baselines of tags: as defined, at rules that are planted for them, bounded, the same in every run."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from gatework.runtime.tags.schemes import allowed
from gatework.runtime.tags.weights import LOW
from gatework.runtime.texts.windows import features
from gatework.tasks.tag import Tag, TagOptions, linear
from gatework.tasks.tag.baselines import fit_labels, most_frequent
from gatework.tasks.tag.linear import fit_crf, fit_linear, fit_sentences

NAMES = ["B-X", "E-X", "I-X", "O", "S-X"]


def drawn(count: int, seed: int, clear: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [N, F], tags [N] of a chain that mostly keeps its tag, offsets; a share of the words tells the tag."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 30, count)
    total = int(lengths.sum())
    change = generator.random(total) < 0.05
    change[np.cumsum(lengths) - lengths] = generator.random(count) < 0.5
    tags = np.cumsum(change) % 2
    told = np.where(generator.random(total) < clear, tags, generator.integers(0, 2, total))
    words = [f"w{tag}{number}" for tag, number in zip(told, generator.integers(0, 20, total), strict=True)]
    return features(words, lengths), tags, np.append(0, np.cumsum(lengths))


def test_most_frequent_tags() -> None:
    words = ["a", "a", "a", "b", "b", "c", "d"]
    tagged = most_frequent(words, np.array([2, 1, 2, 1, 0, -1, 2]))
    assert tagged(["a", "b", "c", "new", "d"]).tolist() == [2, 0, 2, 2, 2]  # of a tie the first


def test_most_frequent_tags_of_nothing() -> None:
    assert most_frequent(["a"], np.array([-1]))(["a", "b"]).tolist() == [0, 0]


def test_linear_model_is_adagrad_on_a_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside `torch.optim.Adagrad` on one weight for each feature and tag."""
    monkeypatch.setattr(linear, "EPOCHS", 2)
    monkeypatch.setattr(linear, "BATCH", 1_000)  # all sentences in each step
    made, tags, offsets = drawn(20, seed=0, clear=0.7)
    tags[::5] = -1
    model = fit_linear(made, tags, offsets, 2)
    different, rows = np.unique(made & LOW, return_inverse=True)
    weight = torch.zeros(len(different), 2, requires_grad=True)
    optimizer = torch.optim.Adagrad([weight], 1.0, initial_accumulator_value=linear.START, eps=0)
    for rate in (linear.RATE, linear.RATE / 2):
        optimizer.param_groups[0]["lr"] = rate
        scores = functional.embedding_bag(torch.from_numpy(rows.reshape(made.shape)), weight, mode="sum")
        loss = functional.cross_entropy(scores, torch.from_numpy(tags), ignore_index=-1, reduction="sum") / len(tags)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scores = functional.embedding_bag(torch.from_numpy(rows.reshape(made.shape)), weight, mode="sum")
    torch.testing.assert_close(model.scores(made), scores.detach(), rtol=1e-3, atol=1e-3)
    assert scores.detach().std() > 1


def test_unknown_features_say_nothing() -> None:
    made, tags, offsets = drawn(50, seed=0)
    assert not fit_linear(made, tags, offsets, 2).scores(made[:3] ^ 12345).any()


def test_labels_of_sentences_are_learned_by_the_mean_of_their_tokens() -> None:
    """A sentence is of the class that most of its words are of; empty ones say nothing, masked ones teach nothing."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(0, 9, 300)
    offsets = np.append(0, np.cumsum(lengths))
    words = draw.integers(0, 40, (offsets[-1], 1)).astype(np.int32)
    votes = np.add.reduceat(np.append(words[:, 0] % 2 * 2 - 1, 0), offsets[:-1])
    clear = (lengths > 0) & (votes != 0)
    labels = np.where(clear, votes > 0, -1)
    labels[::7] = -1
    model = fit_sentences(words, labels, offsets, 2)
    means, scores = model.means(words, offsets), model.scores(words)
    for row, (first, end) in enumerate(pairwise(offsets.tolist())):
        torch.testing.assert_close(means[row], scores[first:end].mean(0) if end > first else torch.zeros(2))
    assert (means.argmax(1).numpy() == (votes > 0))[clear].mean() > 0.95


def test_crf_learns_what_follows_what() -> None:
    """Where only some words tell the tag and windows hold one word, the rest lies in what tags follow each other."""
    (made, tags, offsets), (others, truth, ends) = (drawn(300, seed, clear=0.4) for seed in (1, 2))
    alone, around = made[:, 2:3], others[:, 2:3]
    plain = (fit_linear(alone, tags, offsets, 2).predict(around, ends) == truth).mean()
    model = fit_crf(alone, tags, offsets, 2)
    assert 0.65 < plain < 0.75
    assert (model.predict(around, ends) == truth).mean() > plain + 0.06
    assert (model.crf.transitions.diagonal() > model.crf.transitions.flip(0).diagonal()).all()


@pytest.mark.parametrize("spans", [False, True])
def test_answers_are_most_probable_tags_or_best_paths(spans: bool) -> None:
    """Beside all 2^5 paths of each sentence; the two differ in some."""
    made, tags, offsets = drawn(200, seed=1, clear=0.5)
    model = fit_crf(made[:, 2:3], tags, offsets, 2)
    model.spans = spans
    scores, moves = model.scores(made[:500, 2:3]).view(100, 5, 2), model.crf.transitions
    paths = torch.cartesian_prod(*[torch.arange(2)] * 5)
    along = model.crf.start[paths[:, 0]] + moves[paths[:, :-1], paths[:, 1:]].sum(1) + model.crf.end[paths[:, -1]]
    totals = scores[:, torch.arange(5), paths].sum(2) + along
    sure = (totals.softmax(1) @ paths.float() > 0.5).long().flatten()
    best = paths[totals.argmax(1)].flatten()
    assert (sure != best).any()
    found = model.predict(made[:500, 2:3], np.arange(0, 501, 5))
    assert found.tolist() == (best if spans else sure).tolist()


@pytest.mark.parametrize("fit", [fit_linear, fit_crf])
def test_answers_are_allowed_sequences(fit) -> None:
    generator = np.random.default_rng(0)
    pieces = [generator.choice(["S-X", "O", "B-X E-X", "B-X I-X E-X"], size) for size in generator.integers(1, 8, 60)]
    sentences = [" ".join(piece).split() for piece in pieces]
    lengths = np.array([len(each) for each in sentences])
    tags = np.array([NAMES.index(tag) for each in sentences for tag in each])
    words = [f"w{generator.integers(0, 5)}" for _ in tags]  # tell nothing
    offsets = np.append(0, np.cumsum(lengths))
    start, follow, end = allowed(NAMES, "BIOES")
    found = fit(features(words, lengths), tags, offsets, 5, (start, follow, end)).predict(
        features(words[::-1], lengths), offsets
    )
    inside = np.setdiff1d(np.arange(len(found) - 1), offsets[1:] - 1)
    assert follow[found[inside], found[inside + 1]].all()
    assert start[found[offsets[:-1]]].all() and end[found[offsets[1:] - 1]].all()


@pytest.mark.parametrize("fit", [fit_linear, fit_crf])
def test_same_seed_same_bits(fit) -> None:
    made, tags, offsets = drawn(100, seed=3, clear=0.6)
    first, again, other = (fit(made, tags, offsets, 2, seed=seed).scores(made) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("fit", [fit_linear, fit_crf])
def test_tags_that_do_not_count(fit) -> None:
    made, tags, offsets = drawn(100, seed=4)
    hidden = np.where(np.random.default_rng(0).random(len(tags)) < 0.8, -1, tags)
    assert (fit(made, hidden, offsets, 2).predict(made, offsets) == tags).mean() > 0.95


def test_long_trainings_are_cut_by_work(monkeypatch: pytest.MonkeyPatch) -> None:
    made, tags, offsets = drawn(200, seed=5)
    assert fit_linear(made, tags, offsets, 2).note.endswith(" features, 4 passes over 200 sentences")
    work = len(tags) * made.shape[1] * 18
    monkeypatch.setattr(linear, "MOST_WORK", 2.5 * work)
    assert "2 passes over 200 sentences" in fit_linear(made, tags, offsets, 2).note
    monkeypatch.setattr(linear, "MOST_WORK", work / 2)
    model = fit_linear(made, tags, offsets, 2)
    learned = int(model.note.split("1 passes over ")[1].split()[0])
    assert 80 < learned < 120 and model.note.endswith("of 200, so that it takes seconds")
    assert (model.predict(made, offsets) == tags).mean() > 0.9


def test_rare_features_are_left_out_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    made, tags, offsets = drawn(200, seed=6)
    _, counts = np.unique(made & LOW, return_counts=True)
    monkeypatch.setattr(linear, "MOST_WEIGHTS", 2 * int((counts > 1).sum()))
    model = fit_linear(made, tags, offsets, 2)
    assert len(model.weight) - 1 == (counts > 1).sum() and not model.weight[0].any()


def test_a_sentence_longer_than_a_batch() -> None:
    made, tags, _ = drawn(2_800, seed=7)
    assert len(tags) > 2 * linear.AT_ONCE
    model = fit_linear(made, tags, np.array([0, len(tags) - 1, len(tags)]), 2)
    assert (model.predict(made, np.array([0, len(tags)])) == tags).mean() > 0.95


def test_labels_of_sentences() -> None:
    texts = ["play a song", "play jazz", "rain in Rome ?", "will it rain ?", "no label"] * 3
    labels = np.array([2, 2, 0, 0, -1] * 3)
    assert fit_labels(texts, labels)(["play it", "rain"]).tolist() == [2, 0]


@pytest.mark.parametrize(("labels", "expected"), [([1, 1], 1), ([-1, -1], 0)])
def test_a_single_label(labels: list[int], expected: int) -> None:
    assert fit_labels(["a", "b"], np.array(labels))(["c"]).tolist() == [expected]


def rows(count: int, seed: int) -> list[dict]:
    """ "to" is followed by a place, "by" by a person, both of the same words; the verb tells the label."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        first, second = generator.choice(["Ada", "Paris", "Kim"], 2)
        verb = str(generator.choice(["goes", "comes"]))
        tokens = [verb, "to", str(first), "city", "by", str(second)]
        tags = ["O", "O", "B-PLACE", "I-PLACE", "O", "B-PERSON"]
        made.append({"tokens": tokens, "tags": tags, "kind": verb})
    return made


@pytest.mark.parametrize("windows", [True, False])
def test_baselines_of_the_job(windows: bool) -> None:
    task = Tag(TagOptions.of({"label": "kind", "windows": windows, "test_share": 0.0}))
    parts = task.prepare(rows(200, seed=0), valid=rows(30, seed=1))
    usual, linear, crf = task.baselines(parts)
    assert usual.metrics["f1"] < 0.9 < linear.metrics["f1"] == crf.metrics["f1"] == 1
    assert usual.metrics["label_accuracy"] < 0.8 < linear.metrics["both_right"] == crf.metrics["label_accuracy"] == 1
    for each in (usual, linear, crf):
        assert each.role == "baseline" and each.sums is not None and len(each.sums) == 30
        assert float(task.score(each.sums.sum(0), "f1")) == each.metrics["f1"]
    assert crf.note.endswith("4 passes over 200 sentences")
