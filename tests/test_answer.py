"""The job `answer`: laws of its network and of what it writes, then the whole job from files and in memory."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score
from typer.testing import CliRunner

import gatework
import hostile
from gatework import cli, report
from gatework.data.codecs import NOTHING, UNKNOWN
from gatework.errors import DataError, GateworkError, OptionError
from gatework.explanation import opened, subject_of
from gatework.runtime.answers.stories import spoken
from gatework.tasks import jobs
from gatework.tasks.answer import Answer, Answerer, AnswerOptions, measures, reading, sections
from gatework.tasks.answer.baselines import by_question, most_frequent, regression
from gatework.tasks.answer.decoding import answers, forced, looks
from gatework.tasks.answer.examples import UNCOUNTED, Batches, make_batch
from gatework.tasks.answer.model import Answering, SentenceVectors
from gatework.training.learner import Shard
from test_report import EVIL, Page

SMALL: dict[str, Any] = {"hidden_size": 24, "epochs": 60, "batch_size": 16, "learning_rate": 0.01}
PEOPLE, PLACES = ("Mary", "Bo", "Ada", "Tom"), ("kitchen", "garden", "office", "hall")
Rows = list[dict[str, Any]]


def walks(count: int = 240, seed: int = 0) -> Rows:
    """Who is where is told by the last sentence about them; who is together is a list of two."""
    draw, rows = random.Random(seed), []
    for _ in range(count):
        told = [(draw.choice(PEOPLE), draw.choice(PLACES)) for _ in range(draw.randint(2, 5))]
        who = draw.choice(told)[0]
        last = max(place for place, (name, _) in enumerate(told) if name == who)
        both = draw.random() < 0.3
        rows.append({
            "story": [f"{name} went to the {place}." for name, place in told],
            "question": f"Who and where is {who}?" if both else f"Where is {who}?",
            "answer": f"{who},{told[last][1]}" if both else told[last][1],
            "kind": "both" if both else "where",
            "facts": [last + 1],
        })  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    task = Answer(AnswerOptions.of({**SMALL, "test_share": 0.2}))
    return jobs.train(task, walks(), out=tmp_path_factory.mktemp("answer") / "run", quiet=True)


def parts_of(run: jobs.Trained, rows: Rows | None = None) -> tuple[Answer, Answering, Any]:
    assert isinstance(run.task, Answer)
    assert isinstance(run.model, Answering)
    return run.task, run.model, run.task.examples(walks(40, seed=9) if rows is None else rows)


# -- batches ------------------------------------------------------------------------------------------------


def test_batches_hold_every_question_once_with_its_own_story(run: jobs.Trained) -> None:
    task, _, examples = parts_of(run)
    batches = Batches(examples, 8, 1, 0, Shard())
    rows = np.concatenate(batches.rows)
    assert np.array_equal(np.sort(rows), np.arange(40))
    for numbers, batch in zip(batches.rows, batches, strict=True):
        texts = [[] for _ in range(len(batch.texts.sizes))]
        for word, text in zip(batch.texts.words.tolist(), batch.texts.text.tolist(), strict=True):
            texts[text].append(word)
        for place, row in enumerate(numbers.tolist()):
            told = [task.codecs.words.text(texts[k]) for k in batch.story[place, : batch.lengths[place]]]
            assert told == [
                task.codecs.words.text(task.codecs.words.encode([s])[0]) for s in examples.stories.story(row)
            ]
            asked = task.codecs.words.text(texts[batch.questions[place]])
            assert asked == task.codecs.words.text(task.codecs.words.encode([examples.stories.questions[row]])[0])
            assert (batch.story[place, batch.lengths[place] :] == len(texts)).all()


def test_what_is_written_is_what_is_read_a_step_later(run: jobs.Trained) -> None:
    task, _, examples = parts_of(run)
    batch = make_batch(examples, np.arange(40))
    assert (batch.read[0] == NOTHING).all()
    for column, true in enumerate(examples.stories.answers or []):
        targets = batch.targets[:, column]
        length = int((targets == NOTHING).nonzero()[0, 0])
        assert spoken(task.codecs.answers, targets[:length].tolist()) == true
        assert (targets[length + 1 :] == UNCOUNTED).all()
        assert torch.equal(batch.read[1 : length + 1, column], targets[:length])


def test_long_stories_are_read_from_behind(run: jobs.Trained) -> None:
    task = Answer(AnswerOptions.of({**SMALL, "memory": 3, "test_share": 0.2}))
    parts = task.prepare(walks())
    assert int(parts.train.lengths.max()) == 3
    row = int(parts.train.stories.lengths.argmax())
    batch = make_batch(parts.train, np.array([row]))
    assert int(batch.lengths[0]) == 3
    assert any("the last ones are read" in each.message for each in task.found)


# -- the network --------------------------------------------------------------------------------------------


def test_positions_are_the_weights_of_the_paper() -> None:
    torch.manual_seed(0)
    task = Answer(AnswerOptions.of(SMALL))
    examples = task.prepare(walks(20)).train
    vectors = SentenceVectors(task.options, len(task.codecs.words)).requires_grad_(False)
    batch = make_batch(examples, np.array([0]))
    found = vectors(batch.texts)[batch.questions[0]]
    words = examples.texts[int(examples.questions[0])].tolist()
    count, size = len(words), task.options.hidden_size
    for unit in range(size):
        expected = sum(
            ((1 - j / count) - (unit + 1) / size * (1 - 2 * j / count)) * float(vectors.words.weight[word, unit])
            for j, word in enumerate(words, 1)
        )
        assert float(found[unit]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("sentences", ["positions", "recurrent"])
@pytest.mark.parametrize("cell", ["gru", "lstm", "slstm", "indrnn"])
def test_answers_hang_on_neither_order_nor_company(cell: str, sentences: str) -> None:
    torch.manual_seed(1)
    task = Answer(AnswerOptions.of({**SMALL, "cell": cell, "sentences": sentences, "layers": 2}))
    examples = task.prepare(walks(60)).train
    model = task.build().eval()
    with torch.no_grad():
        whole = model(make_batch(examples, np.arange(20)))
        turned = model(make_batch(examples, np.arange(20)[::-1].copy())).flip(1)
        torch.testing.assert_close(whole, turned, atol=1e-5, rtol=1e-4)
        for row in range(20):
            alone = model(make_batch(examples, np.array([row])))
            torch.testing.assert_close(whole[: len(alone), row], alone[:, 0], atol=1e-5, rtol=1e-4)


def test_empty_sentences_move_places_in_training_alone() -> None:
    torch.manual_seed(0)
    task = Answer(AnswerOptions.of({**SMALL, "empty": 0.5}))
    task.prepare(walks(60))
    model = task.build()
    lengths = torch.tensor([5, 3])
    steady = torch.tensor([[4, 3, 2, 1, 0], [2, 1, 0, 0, 0]])
    assert torch.equal(model.eval().placed(lengths, 5), steady)
    moved = torch.stack([model.train().placed(lengths, 5) for _ in range(50)])
    assert (moved >= steady).all() and bool((moved > steady).any())
    assert (moved[:, 0, :-1] > moved[:, 0, 1:]).all()  # the order stays


def test_readings_look_at_the_story_alone(run: jobs.Trained) -> None:
    _, model, examples = parts_of(run)
    with torch.no_grad():
        batch = make_batch(examples, np.arange(40))
        looked = model.read(batch).looked
    assert looked.shape == (40, 3, int(batch.lengths.max()))
    torch.testing.assert_close(looked.sum(2), torch.ones(40, 3))
    for row, length in enumerate(batch.lengths.tolist()):
        assert (looked[row, :, length:] == 0).all()


@pytest.mark.parametrize("option", [{"cell": "lstm"}, {"hops": 1}, {"sentences": "recurrent"}, {"layers": 2}])
def test_options_of_the_network_act(option: dict[str, Any]) -> None:
    def first(**options: Any) -> torch.Tensor:
        torch.manual_seed(0)
        task = Answer(AnswerOptions.of({**SMALL, **options}))
        examples = task.prepare(walks(30)).train
        return task.build().eval()(make_batch(examples, np.arange(4)))

    assert not torch.allclose(first(), first(**option))


# -- answers ------------------------------------------------------------------------------------------------


def test_it_learns_what_a_sentence_says(run: jobs.Trained) -> None:
    results = run.run.results()
    assert results["test"]["accuracy"] > 0.85
    assert results["comparison"]["earned"] == "network", results["verdict"]


def test_right_answers_are_those_that_are_written(run: jobs.Trained) -> None:
    """No search is needed to know whether greedy search finds the true answer."""
    task, model, examples = parts_of(run, walks(150, seed=4))
    written = [each[0].text for each in answers(model, task.codecs, examples)]
    right = np.array([one == other for one, other in zip(written, examples.stories.answers, strict=True)])
    assert np.array_equal(right, forced(model, examples).right)


def test_probabilities_are_those_of_the_forced_answers(run: jobs.Trained) -> None:
    task, model, examples = parts_of(run)
    for row, some in enumerate(answers(model, task.codecs, examples, beam=4, count=4)):
        assert [each.probability for each in some] == sorted((each.probability for each in some), reverse=True)
        told = examples.stories.take(np.array([row] * len(some)))
        again = task.codecs.encode(replace(told, answers=[each.text for each in some]))
        same = [UNKNOWN not in again.answers[place] for place in range(len(some))]
        assert same[0]
        nats = forced(model, again).nats[same]
        assert np.allclose(np.array([each.probability for each in some])[same], np.exp(-nats), rtol=1e-3, atol=1e-5)


def test_a_word_that_no_answer_has_is_never_right(run: jobs.Trained) -> None:
    row = {**walks(1)[0], "answer": "nowhere"}
    with pytest.warns(UserWarning, match="hold words that no answer of the training has"):
        _, model, examples = parts_of(run, [row])
    assert not forced(model, examples).right[0]


def test_a_run_folder_gives_the_same_answers(run: jobs.Trained) -> None:
    rows = walks(20, seed=6)
    assert jobs.load(run.run.path).predict(rows, looks=True) == run.predict(rows, looks=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda config, assets, weights: assets.update({"inputs.json": '{"longest": 0}'}),
        lambda config, assets, weights: assets.update({"inputs.json": '{"longest": 999999999}'}),
        lambda config, assets, weights: assets.update({"inputs.json": '{"longest": "3"}'}),
        lambda config, assets, weights: assets.update({"inputs.json": "{}"}),
        lambda config, assets, weights: assets.pop("words.json") and config["assets"].pop("words.json"),
        lambda config, assets, weights: assets.update({"answers.json": '{"kind": "labels", "classes": ["a"]}'}),
        lambda config, assets, weights: config["options"].update({"hidden_size": 7}),
        lambda config, assets, weights: config["options"].update({"memory": 7}),
        lambda config, assets, weights: weights.pop("bridge.weight"),
    ],
)
def test_damaged_runs_are_refused(run: jobs.Trained, tmp_path: Path, change: Any) -> None:
    with pytest.raises(GateworkError):
        jobs.load(hostile.changed(hostile.copied(run.run.path, tmp_path / "run"), change))


def test_predictions_hold_what_was_asked_for(run: jobs.Trained) -> None:
    rows = [{name: row[name] for name in ("story", "question")} for row in walks(3, seed=7)]
    plain = run.predict(rows)
    assert [set(row) for row in plain] == [{"question", "answer", "probability"}] * 3
    many = run.predict(rows, beam=3, n_best=2, looks=True)
    assert [(row["question_number"], row["rank"]) for row in many] == [(k, r) for k in (1, 2, 3) for r in (1, 2)]
    assert np.array(many[0]["looks"]).shape == (3, len(rows[0]["story"]))
    assert [row["answer"] for row in many[::2]] == [row["answer"] for row in plain]


def test_questions_of_unknown_words_are_told(run: jobs.Trained) -> None:
    rows = [{"story": ["Mary went to the hall."], "question": text} for text in ("Где Мария", "Where is Mary?")]
    with pytest.warns(UserWarning, match="question 1: 1 of 2 questions hold no word that the training has"):
        assert len(run.predict(rows)) == 2


@pytest.mark.filterwarnings("ignore:.*hold no word that the training has")
def test_a_question_without_a_story(run: jobs.Trained) -> None:
    found = run.predict([{"story": [], "question": "Where is Mary?"}, {"question": "Where?", "story": ["Bo sat."]}])
    assert all(row["answer"] for row in found)
    words = " ".join(["long"] * 10_000)
    assert run.predict([{"story": [words], "question": words}])[0]["answer"]


# -- measures and baselines ---------------------------------------------------------------------------------


def test_measures_by_hand() -> None:
    found = measures.accuracies(np.array([True, False, True, True]), ["a", "a", "b", "a"])
    assert found == {"accuracy": 0.75, "mean_accuracy": pytest.approx((2 / 3 + 1) / 2)}
    assert measures.by_kind(np.array([True, False]), ["b", "a"]) == [
        {"kind": "b", "count": 1, "right": 1, "accuracy": 1.0},
        {"kind": "a", "count": 1, "right": 0, "accuracy": 0.0},
    ]
    forced_ = measures.Forced(np.log([2.0, 8.0]), np.array([1, 3]), np.array([True, False]))
    values = measures.measures(forced_)
    assert values["loss"] == pytest.approx(np.log(16) / 2)
    assert values["perplexity"] == pytest.approx(2.0)


def test_baselines_by_hand() -> None:
    rows = [
        {"story": ["a."], "question": "one?", "answer": "x", "kind": "k"},
        {"story": ["b."], "question": "one?", "answer": "x", "kind": "k"},
        {"story": ["c."], "question": "two?", "answer": "y", "kind": "l"},
        {"story": ["d."], "question": "three?", "answer": "y", "kind": "l"},
        {"story": ["e."], "question": "four?", "answer": "y", "kind": "k"},
    ]
    train = reading.read(rows, AnswerOptions())
    asked = [{**rows[0], "question": text, "kind": kind} for text, kind in (("one?", "l"), ("new?", "k"), ("?", "z"))]
    stories = reading.read(asked, AnswerOptions())
    assert most_frequent(train)(stories) == ["y"] * 3
    assert by_question(train)(stories) == ["x", "x", "y"]


def test_regression_reads_story_and_question() -> None:
    draw = random.Random(3)
    rows = []
    for _ in range(300):
        told, asked = draw.choice("pq"), draw.choice("rs")
        story = [f"it is {told} here.", "nothing else."]
        rows.append({"story": story, "question": f"{asked}?", "answer": f"{told}{asked}"})
    train, stories = (reading.read(some, AnswerOptions()) for some in (rows[:250], rows[250:]))
    said = regression(train, 1)(stories)
    assert np.mean([one == other for one, other in zip(said, stories.answers or [], strict=True)]) > 0.9


# -- pages and explanations ---------------------------------------------------------------------------------


def test_sentences_that_hold_the_answer_are_looked_at(run: jobs.Trained) -> None:
    _, model, examples = parts_of(run)
    seen = sections.facts_seen(examples, looks(model, examples))
    assert seen.mean() > 0.8
    assert np.isnan(sections.facts_seen(examples.take(np.array([0])), [np.zeros((3, 0))])).all()


def test_the_page_shows_what_was_looked_at_and_escapes_it(tmp_path: Path) -> None:
    rows = [{**row, "story": [*row["story"], EVIL], "kind": EVIL, "question": f"{row['question']} {EVIL}"}
            for row in walks(40)]  # fmt: skip
    task = Answer(AnswerOptions.of({**SMALL, "epochs": 2, "test_share": 0.2}))
    trained = jobs.train(task, rows, out=tmp_path / "run", quiet=True)
    text = report.write(trained.run, tmp_path / "page.html").read_text()
    page = Page(text)
    assert "<script" not in text and EVIL in page.text
    for story in trained.run.results()["sections"]["stories"]:
        assert story["question"] in page.text
        assert np.array(story["looks"]).shape == (3, len(story["sentences"]))


def test_explained_outputs_are_what_the_model_says(run: jobs.Trained) -> None:
    story = "Mary went to the hall. Bo went to the garden. Where is Bo?"
    subject = subject_of(opened(run), None, {"text": story})
    (said,) = run.predict([{"story": ["Mary went to the hall.", "Bo went to the garden."], "question": "Where is Bo?"}])
    assert subject.answer == said["answer"] == "garden"
    assert subject.shown(subject.whole()[None])[0] == pytest.approx(said["probability"], abs=2e-4)
    found = gatework.explain(run, text=story)
    assert int(np.argmax(found.attribution.steps[:2])) == 1
    assert found.occlusion.effect[1] > max(found.occlusion.effect[0], 0)
    assert found.layers == []
    assert len(found.steps) == 3
    other = subject_of(opened(run), None, {"text": story, "target": "hall"})
    assert other.spoken == "hall"
    assert found.write(run.run.path / "explain.html").exists()


def test_what_cannot_be_explained_is_said(run: jobs.Trained) -> None:
    with pytest.raises(OptionError, match="give either a text or a question of a file"):
        subject_of(opened(run), None, {})
    with pytest.raises(DataError, match="no question 900"):
        subject_of(opened(run), walks(3), {"row": 900})
    with pytest.raises(DataError, match="holds a word that no answer of the training has"):
        subject_of(opened(run), walks(3), {"row": 1, "target": "nowhere"})


# -- estimator and commands ---------------------------------------------------------------------------------


def test_the_estimator(tmp_path: Path) -> None:
    rows = walks(120)
    asked, true = [{k: row[k] for k in ("story", "question")} for row in rows], [row["answer"] for row in rows]
    model = Answerer(**{**SMALL, "epochs": 3}).fit(asked, true)
    said = model.predict(asked)
    assert said.shape == (120,)
    assert model.score(asked, true) == pytest.approx(np.mean(said == np.array(true, object)))
    assert model.score(rows) == model.score(asked, true)
    assert model.looks(asked)[0].shape == (3, len(asked[0]["story"]))
    with pytest.raises(DataError, match="120 questions, but 1 answers"):
        model.fit(asked, ["a"])
    with pytest.raises(DataError, match="X is a list of objects"):
        model.fit(["a"], ["a"])
    scores = cross_val_score(Answerer(**{**SMALL, "epochs": 1}), asked, true, cv=2)
    assert scores.shape == (2,) and np.isfinite(scores).all()
    model.save(tmp_path / "kept")
    assert Answerer.load(tmp_path / "kept").predict(asked).tolist() == said.tolist()


def test_the_commands_from_file_to_page(tmp_path: Path) -> None:
    def done(*words: Any, given: str | None = None) -> str:
        result = CliRunner().invoke(cli.app, [str(word) for word in words], input=given)
        assert result.exit_code == 0, result.output
        return result.output

    for name in ("train", "test"):
        lines = []
        for row in walks(40, seed=len(name)):
            told = [f"{k} {sentence}\n" for k, sentence in enumerate(row["story"], 1)]
            lines += [*told, f"{len(told) + 1} {row['question']}\t{row['answer']}\t{row['facts'][0]}\n"]
        (tmp_path / f"walks_{name}.txt").write_text("".join(lines))
    out = tmp_path / "run"
    assert "would split" in done("check", "answer", tmp_path)
    assert "accuracy" in done("train", "answer", tmp_path, "--out", out, "--epochs", 2, "--hidden-size", 8)
    assert "accuracy" in done("evaluate", out, tmp_path / "walks_test.txt")
    story = "1 Mary went to the hall.\n2 Where is Mary?\n"
    assert len(done("predict", out, given=story).splitlines()) == 2
    (row,) = map(json.loads, done("predict", out, "--json", "--looks", given=story).splitlines())
    assert np.array(row["looks"]).shape == (3, 1)
    assert "page:" in done("explain", out, "--text", "Mary went to the hall. Where is Mary?")
