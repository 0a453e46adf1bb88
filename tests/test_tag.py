"""The job `tag`: laws of its network and answers, then the whole job from files and in memory."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from typer.testing import CliRunner

import hostile
from gatework import cli
from gatework.errors import DataError, GateworkError, OptionError
from gatework.runtime.tags.stretches import stretches
from gatework.tasks import jobs
from gatework.tasks.base import Contender
from gatework.tasks.tag import SequenceTagger, Tag, TagOptions, measures
from gatework.tasks.tag.answers import SHARES, Order, scored
from gatework.tasks.tag.examples import Batches, make_batch, within
from gatework.tasks.tag.model import Tagger
from gatework.tasks.verdict import Contest
from gatework.training.learner import Shard

SMALL: dict[str, Any] = {
    "hidden_size": 16, "embedding_size": 12, "characters": 8, "epochs": 8, "batch_size": 8,
    "learning_rate": 0.01,
}  # fmt: skip
NAMES = ("Ada", "Alan", "Grace", "Edsger", "Barbara", "Tony", "Niklaus", "Frances")
CITIES = ("London", "New York", "Zurich", "San Francisco", "Amsterdam", "Rio de Janeiro")
Rows = list[dict[str, Any]]


def travels(count: int = 120, seed: int = 0) -> Rows:
    """Sentences whose spans hang on the words around them: a name may be of a person, or of the place "X hall"."""
    draw = np.random.default_rng(seed)
    rows: Rows = []
    for _ in range(count):
        who, where, hall = draw.choice(NAMES), str(draw.choice(CITIES)).split(), draw.choice(NAMES)
        place = ["B-LOC", *["I-LOC"] * (len(where) - 1)]
        tokens = [str(who), str(draw.choice(["saw", "left"])), *where, "by", str(hall), "hall"]
        rows.append({"tokens": tokens, "tags": ["B-PER", "O", *place, "O", "B-LOC", "I-LOC"], "kind": tokens[1]})
    return rows


def trained(tmp_path: Path, rows: Any = None, **options: Any) -> jobs.Trained:
    task = Tag(TagOptions.of({**SMALL, "test_share": 0.2, **options}))
    return jobs.train(task, travels() if rows is None else rows, out=tmp_path / "run", quiet=True)


# -- stretches and batches ----------------------------------------------------------------------------------


def test_stretches_own_every_token_once_and_overlap() -> None:
    offsets = np.array([0, 5, 105, 106])
    found = stretches(offsets, 20)
    owned = np.concatenate([np.arange(begin, end) for begin, end in zip(found.begin, found.end, strict=True)])
    assert owned.tolist() == list(range(106))
    assert (found.last - found.first).max() <= 20
    inner = (found.sentence == 1) & (found.begin > 5)
    assert (found.begin - found.first)[inner].min() == 2  # an eighth of 20 on each side
    assert found.first[0] == found.begin[0] == 0
    assert (found.first >= offsets[found.sentence]).all()
    assert (found.last <= offsets[found.sentence + 1]).all()


def test_batches_of_long_sentences_hold_fewer() -> None:
    lengths = np.array([10, 10, 10, 90, 90])
    assert [len(rows) for rows in within(np.arange(5), lengths, 105)] == [3, 2]
    assert [len(rows) for rows in within(np.arange(3, 5), lengths, 50)] == [1, 1]


def test_tokens_around_a_stretch_have_no_tag() -> None:
    task = Tag(TagOptions.of({**SMALL, "max_length": 20, "test_share": 0.0}))
    tokens = [str(draw) for draw in np.random.default_rng(0).integers(0, 30, 200)]
    parts = task.prepare(
        [{"tokens": tokens, "tags": ["B-X" if word < "2" else "O" for word in tokens]}] * 1 + travels(20)
    )
    examples = parts.train
    pieces = stretches(examples.inputs.offsets, 20)
    batches = Batches(examples, pieces, 8, 60, 0, 0, Shard())
    seen = np.concatenate([batch.places[batch.tags >= 0].numpy() for batch in batches])
    assert np.array_equal(np.sort(seen), np.flatnonzero(examples.tags >= 0))
    assert any(not bool(batch.own.all()) for batch in batches)


# -- answers ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    return trained(tmp_path_factory.mktemp("tag"), label="kind")


def test_it_learns_what_words_around_decide(run: jobs.Trained) -> None:
    found = run.run.results()["test"]
    assert found["f1"] > 0.9
    assert found["label_accuracy"] > 0.9
    assert found["both_right"] <= min(found["label_accuracy"], 1.0)


def test_answers_hang_on_neither_order_nor_company(run: jobs.Trained) -> None:
    rows = [row["tokens"] for row in travels(30, seed=5)]
    together = run.predict(rows)
    alone = [run.predict([row])[0] for row in rows]
    turned = run.predict(rows[::-1])[::-1]
    for one, other, third in zip(together, alone, turned, strict=True):
        assert one["tags"] == other["tags"] == third["tags"]
        assert np.allclose(one["confidence"], other["confidence"], atol=2e-4)
        assert one["label"] == other["label"]


def test_a_run_folder_gives_the_same_answers(run: jobs.Trained) -> None:
    rows = [row["tokens"] for row in travels(10, seed=6)]
    assert jobs.load(run.run.path).predict(rows) == run.predict(rows)


def test_a_sentence_longer_than_what_is_read_at_once(run: jobs.Trained) -> None:
    """Of a long sentence, what lies further than a stretch does not count; the CRF goes over all of it."""
    sentences = travels(300, seed=7)
    tokens = [word for row in sentences for word in row["tokens"]]
    true = [tag for row in sentences for tag in row["tags"]]
    said = run.predict([tokens])[0]["tags"]
    assert len(said) == len(true) > 5 * run.task.options.max_length  # type: ignore[attr-defined]
    assert np.mean([one == other for one, other in zip(said, true, strict=True)]) > 0.9


def test_loss_is_the_mean_of_what_training_makes_small(run: jobs.Trained) -> None:
    task, model = run.task, run.model
    assert isinstance(task, Tag)
    assert isinstance(model, Tagger)
    examples = task.examples(travels(40, seed=8))
    alone = task.answered(model, examples, "network")["network"]
    batch = make_batch(examples, stretches(examples.inputs.offsets, 300), np.arange(40))
    with torch.no_grad():
        loss = task.loss(replaced(model, label=None), batch, {}).loss
    assert alone.counted == len(examples.tags)
    assert alone.nats / alone.counted == pytest.approx(float(loss), rel=1e-4)
    assert task.watched(model, examples)["network_loss"] == pytest.approx(float(loss), rel=1e-4)


def replaced(model: Tagger, **changes: Any) -> Tagger:
    other = copy.deepcopy(model)
    for name, value in changes.items():
        setattr(other, name, value)
    return other


def test_the_share_is_the_one_with_the_fewest_nats(run: jobs.Trained) -> None:
    """By the definition: the scores of both parts, and their moves, averaged by hand for each share."""
    task, model = run.task, copy.deepcopy(run.model)
    assert isinstance(task, Tag)
    assert isinstance(model, Tagger)
    examples = task.examples(travels(30, seed=11))
    task.settle(model, examples)
    with torch.no_grad():
        (group,) = scored(model, examples, 300)
    order = Order.of(examples, group.rows)
    assert model.windows is not None
    assert model.crf is not None
    assert group.windows is not None
    nats = []
    for share in SHARES.tolist():
        crf = copy.deepcopy(model.crf)
        for name, move in crf.named_parameters():
            move.data = (1 - share) * move.detach() + share * model.windows.crf.get_parameter(name)
        mean = (1 - share) * group.network + share * group.windows
        nats.append(crf.loss(mean[order.packed], order.tags, order.counts).sum().item())
    assert float(model.share) == pytest.approx(SHARES[int(np.argmin(nats))])
    assert task.answered(model, examples)["model"].nats == pytest.approx(min(nats), rel=1e-4)
    assert min(nats) < nats[0]


def test_the_share_of_labels_is_the_one_with_the_fewest_nats(run: jobs.Trained) -> None:
    task, model = run.task, copy.deepcopy(run.model)
    assert isinstance(task, Tag)
    assert isinstance(model, Tagger)
    examples = task.examples(travels(30, seed=11))
    assert model.label_windows is not None and examples.windows is not None and examples.labels is not None
    assert model.label is not None
    model.label.weight.data *= 0.1  # so that both parts know something
    task.settle(model, examples)
    with torch.no_grad():
        (group,) = scored(model, examples, 300)
    assert group.labels is not None
    windows = model.label_windows.means(examples.windows, examples.inputs.offsets)[group.rows]
    true = torch.from_numpy(examples.labels[group.rows])
    mixed = [(1 - share) * group.labels + share * windows for share in SHARES.tolist()]
    nats = [float(functional.cross_entropy(each, true)) for each in mixed]
    assert float(model.label_share) == pytest.approx(SHARES[int(np.argmin(nats))])
    said = task.answered(model, examples, "model", "simple", "network")
    for role, logits in (("model", mixed[int(np.argmin(nats))]), ("simple", windows), ("network", group.labels)):
        labels = said[role].labels
        assert labels is not None
        np.testing.assert_allclose(labels[group.rows], torch.softmax(logits, 1), atol=1e-5)


def test_parts_add_up(run: jobs.Trained) -> None:
    rows = run.run.results()["contenders"]
    assert [row["role"] for row in rows][:3] == ["model", "simple", "network"]


# -- forms --------------------------------------------------------------------------------------------------


def columns(rows: Rows) -> str:
    return "\n".join("".join(f"{w}\t{t}\n" for w, t in zip(r["tokens"], r["tags"], strict=True)) for r in rows)


def test_commands_from_columns_to_spans(tmp_path: Path) -> None:
    file, text, out = tmp_path / "names.conll", tmp_path / "new.txt", str(tmp_path / "run")
    file.write_text(columns(travels()), encoding="utf-8")
    text.write_text("Ada saw New York by Alan hall .\n", encoding="utf-8")
    small = [part for key, value in SMALL.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    done = CliRunner().invoke(cli.app, ["train", "tag", str(file), "--out", out, *small])
    assert done.exit_code == 0, done.output
    said = CliRunner().invoke(cli.app, ["predict", out, str(text)])
    spans = json.loads(said.stdout)["spans"]
    assert {"start": 8, "end": 16, "label": "LOC", "text": "New York"}.items() <= spans[1].items()
    said = CliRunner().invoke(cli.app, ["predict", out, str(file)])
    assert said.stdout.split("\n")[0].split("\t") in (["Ada", "B-PER"], *([name, "B-PER"] for name in NAMES))
    assert said.stdout.count("\n\n") == 119
    said = CliRunner().invoke(cli.app, ["predict", out, "--format", "conll"], input="Ada left Zurich by Tony hall\n")
    assert said.stdout.startswith("Ada\tB-PER\n")
    assert CliRunner().invoke(cli.app, ["evaluate", out, str(file)]).exit_code == 0


def test_other_schemes_give_the_same_answers_as_they_came(tmp_path: Path) -> None:
    rows = [{**row, "tags": [tag.replace("B-", "I-") for tag in row["tags"]]} for row in travels()]
    found = trained(tmp_path, rows)
    assert found.task.codecs.scheme == "IOB1"  # type: ignore[attr-defined]
    assert set(found.task.codecs.tags.classes) == {"O", "S-PER", "S-LOC", "B-LOC", "I-LOC", "E-LOC"}  # type: ignore[attr-defined]
    assert set(found.predict([rows[0]["tokens"]])[0]["tags"]) <= {"O", "I-PER", "I-LOC", "B-LOC"}


def test_plain_tags_are_judged_by_tokens_and_need_no_crf(tmp_path: Path) -> None:
    rows = [
        {**row, "tags": [tag[:1].replace("B", "noun").replace("I", "rest") for tag in row["tags"]]} for row in travels()
    ]
    found = trained(tmp_path, rows)
    assert found.task.metric.name == "accuracy"
    assert found.task.options.output == "softmax"  # type: ignore[attr-defined]
    assert "f1" not in found.run.results()["test"]


@pytest.mark.parametrize(
    "options", [{"output": "softmax"}, {"subwords": 50, "windows": False}, {"layers": 2, "cell": "gru"}]
)
def test_other_networks_learn_too_and_their_spans_are_whole(tmp_path: Path, options: dict[str, Any]) -> None:
    found = trained(tmp_path, **options)
    assert found.run.results()["test"]["f1"] > 0.8
    for row in found.predict([row["tokens"] for row in travels(50, seed=4)]):
        before = ["O", *row["tags"]]
        assert all(tag[0] != "I" or last[1:] == tag[1:] for last, tag in zip(before, row["tags"], strict=False))


def test_letters_with_masked_positions(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    chains = ["".join(draw.choice(list("ACDE"), 60)) for _ in range(40)]
    tags = ["".join("H" if "A" in chain[max(k - 1, 0) : k + 2] else "C" for k in range(60)) for chain in chains]
    for name, rows in (("chains", chains), ("tags", tags), ("mask", ["0" * 10 + "1" * 50] * 40)):
        text = "".join(f">p{k}\n{row}\n" for k, row in enumerate(rows))
        (tmp_path / f"{name}.fasta").write_text(text, encoding="utf-8")
    files = {name: str(tmp_path / f"{name}.fasta") for name in ("tags", "mask")}
    options = {key: value for key, value in SMALL.items() if key != "characters"}
    task = Tag(TagOptions.of({**options, **files, "epochs": 12}))
    found = jobs.train(task, tmp_path / "chains.fasta", out=tmp_path / "run", quiet=True)
    assert found.task.options.characters == 0  # type: ignore[attr-defined]
    assert found.run.results()["test"]["accuracy"] > 0.95
    said = jobs.load(found.run.path).written(tmp_path / "chains.fasta")
    assert said is not None
    assert said.startswith(">p0\n")
    assert set(said.split("\n")[1]) <= {"H", "C"}


# -- honest -------------------------------------------------------------------------------------------------


def test_spans_invented_where_there_are_none_count_in_a_comparison(run: jobs.Trained) -> None:
    """The verdict's F1 is that of the tables, also where only one of two methods says a span in a sentence."""
    true = ["B-X", "E-X", "O", "O"] * 20
    said = {"model": true, "baseline": ["B-X", "E-X", "S-X", "O"] * 20}
    lengths = np.array([2, 2] * 20)
    rows = [
        Contender(role, measures.measures(true, tags, lengths), role=role, sums=measures.sums(true, tags, lengths))
        for role, tags in said.items()
    ]
    best = Contest.of(run.task, rows, lengths, "test").best
    assert best is not None
    assert (best.value, best.other) == (1.0, pytest.approx(rows[1].metrics["f1"]))
    assert best.other == pytest.approx(2 / 3)
    assert best.blocks == 40


def test_a_model_that_learned_nothing_earns_nothing(tmp_path: Path) -> None:
    found = trained(tmp_path, learning_rate=0.0, epochs=1)
    assert found.run.results()["comparison"]["earned"] not in ("network", "both")


def test_tags_never_learned_count_as_errors(tmp_path: Path) -> None:
    test = travels(20, seed=9)
    test[0]["tags"][0] = "B-WHO"
    task = Tag(TagOptions.of(SMALL))
    jobs.train(task, travels(), test=test, out=tmp_path / "run", quiet=True)
    assert any("BIOES S-WHO" in finding.message and "count as errors" in finding.message for finding in task.found)
    with pytest.warns(UserWarning, match="1 tokens have tags that training lacks"):
        row = jobs.load(tmp_path / "run").evaluate(test)
    assert row["recall"] < 1
    assert np.isfinite(row["loss"])


def test_other_data_may_have_longer_spans_another_scheme_or_no_labels(run: jobs.Trained, tmp_path: Path) -> None:
    longer = [{"tokens": ["Ada", "saw", "Rio", "de", "Ada"], "tags": ["B-PER", "O", "B-LOC", "I-LOC", "I-LOC"]}]
    short = [row for row in travels(60) if len(row["tokens"]) == 6]
    task = Tag(TagOptions.of({**SMALL, "epochs": 1}))
    jobs.train(task, short, test=longer, out=tmp_path / "short", quiet=True)
    with pytest.warns(UserWarning, match="BIOES I-LOC"):
        assert np.isfinite(jobs.load(tmp_path / "short").evaluate(longer)["loss"])
    file = tmp_path / "other.conll"
    file.write_text(columns(travels(20)).replace("B-", "I-"), encoding="utf-8")
    found = jobs.load(run.run.path)
    assert found.evaluate(file)["f1"] > 0.9
    assert len(found.predict(file)) == 20 and "label" in found.predict(file)[0]


def test_sentences_of_one_token_where_all_that_was_learned_is_longer(tmp_path: Path) -> None:
    places = [{"tokens": ["new", f"town{k}"], "tags": ["B-LOC", "I-LOC"]} for k in range(20)]
    people = [{"tokens": ["old", f"man{k}"], "tags": ["B-PER", "I-PER"]} for k in range(20)]
    found = trained(tmp_path, places + people, epochs=1)
    assert len(found.predict([["new"]])[0]["tags"]) == 1


def test_empty_sentences_keep_their_places(tmp_path: Path) -> None:
    rows = travels(30)
    model = SequenceTagger(**{**SMALL, "epochs": 1}).fit([row["tokens"] for row in rows], [row["tags"] for row in rows])
    assert [len(tags) for tags in model.predict([["Ada"], [], ["Ada", "saw"]])] == [1, 0, 2]
    assert model.predict([[]]) == [[]]


def test_a_refit_learns_the_parts_that_headers_name(tmp_path: Path) -> None:
    marks = ["SET=train"] * 8 + ["SET=train VALIDATION=True"] * 3 + ["SET=test"] * 2
    for name, letters in (("chains", "ACAC"), ("tags", "HCHH")):
        text = "".join(f">p{k} {mark}\n{letters}\n" for k, mark in enumerate(marks))
        (tmp_path / f"{name}.fasta").write_text(text, encoding="utf-8")
    files = {"tags": str(tmp_path / "tags.fasta")}
    for how, count in (({}, 8), ({"refit": True, "keep": "last"}, 11)):
        parts = Tag(TagOptions.of({**SMALL, **files, **how})).prepare(tmp_path / "chains.fasta")
        assert parts.test is not None
        assert (len(parts.train), len(parts.valid), len(parts.test)) == (count, 3, 2)
    parts = Tag(TagOptions.of({**SMALL, **files})).prepare(tmp_path / "chains.fasta", test=([[*"ACAC"]], [[*"HCHH"]]))
    assert parts.test is not None
    assert (len(parts.train), len(parts.valid), len(parts.test)) == (8, 3, 1), "what is called test is not learned"
    text = (tmp_path / "tags.fasta").read_text(encoding="utf-8")
    (tmp_path / "tags.fasta").write_text(text.replace("SET=train", "SET=test"), encoding="utf-8")
    with pytest.raises(DataError, match="no sequence to learn from"):
        Tag(TagOptions.of({**SMALL, **files})).prepare(tmp_path / "chains.fasta")


def test_so_many_tags_that_a_table_of_moves_has_no_room_are_refused(run: jobs.Trained, tmp_path: Path) -> None:
    rows = [{"tokens": [str(k)] * 6, "tags": ["O", *[f"B-{k}"] * 5]} for k in range(5_001)]
    with pytest.raises(DataError, match="5,002 different tags are too many"):
        Tag(TagOptions.of(SMALL)).prepare(rows, valid=rows[:2], test=rows[:2])

    def change(config: dict[str, Any], assets: dict[str, str], weights: dict[str, Any]) -> None:
        kept = json.loads(assets["tags.json"])
        assets["tags.json"] = json.dumps({**kept, "classes": [f"B-{k}" for k in range(200_000)]})

    with pytest.raises(GateworkError, match="200,000 different tags"):
        jobs.load(hostile.changed(hostile.copied(run.run.path, tmp_path / "run"), change))


@pytest.mark.parametrize("options", [{"epochs": 4}, {"epochs": 4, "refit": True, "keep": "last"}])
def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, options: dict[str, Any]) -> None:
    def weights(folder: str, epochs: int, resume: bool) -> dict[str, torch.Tensor]:
        task = Tag(
            TagOptions.of(
                {**SMALL, **options, "epochs": epochs, "schedule": "constant", "warmup": 0.0, "keep_state": True}
            )
        )
        found = jobs.train(task, travels(), out=tmp_path / folder, resume=resume, quiet=True)
        return {name: value.clone() for name, value in found.model.state_dict().items()}

    whole = weights("whole", 4, False)
    weights("parts", 2, False)
    again = weights("parts", 4, True)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few to hold out"):
        jobs.train(Tag(TagOptions.of(SMALL)), travels(1), out=tmp_path / "a", quiet=True)
    with pytest.raises(DataError, match="no field 'pos'"):
        jobs.train(Tag(TagOptions.of({**SMALL, "features": ("pos",)})), travels(), out=tmp_path / "b", quiet=True)
    with pytest.raises(OptionError, match="keep=last"):
        Tag(TagOptions.of({**SMALL, "refit": True}))
