"""The job "translate": batches, loss, network, answers."""

from __future__ import annotations

import io
import json
import random

import numpy as np
import pytest
import torch
from torch.nn import functional
from typer.testing import CliRunner

from gatework.cli import app
from gatework.commands.arriving import arriving
from gatework.data.codecs import NOTHING, UNKNOWN
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.runtime.answers.asked import Asked, How, copied
from gatework.runtime.search import Hypothesis
from gatework.tasks import jobs
from gatework.tasks.translate import Translate, TranslateOptions
from gatework.tasks.translate.codecs import Codecs, tokenizers
from gatework.tasks.translate.decoding import Decoding
from gatework.tasks.translate.examples import Batches, alike, make_batch
from gatework.tasks.translate.loss import AT_ONCE, smoothed
from gatework.tasks.translate.options import TranslatePredicting
from gatework.tasks.translate.pairs import Pairs
from gatework.training.learner import Shard

SMALL = {"embedding_size": 24, "encoder_size": 24, "hidden_size": 48, "batch_size": 32}


def pairs_of(sources: list[str], targets: list[str] | None) -> Pairs:
    return Pairs(sources, targets, lambda i: f"row {i + 1}", "rows", "rows")


def spelled(count: int, seed: int = 1) -> list[tuple[str, str]]:
    """Words of letters, and their sounds in capital letters from the end to the start."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(1, 6))) for _ in range(count)]
    return [(word, " ".join(word[::-1].upper())) for word in words]


@pytest.fixture(scope="module")
def speller(tmp_path_factory) -> jobs.Trained:
    """A model that spells backwards, and not by heart: most words of the test part are new."""
    options = TranslateOptions(**SMALL, epochs=30, dropout=0.0, learning_rate=1e-2)
    return jobs.train(Translate(options), spelled(2_000), out=tmp_path_factory.mktemp("run") / "run", quiet=True)


def small_task(pairs: list[tuple[str, str]], **options) -> tuple[Translate, jobs.Parts]:
    task = Translate(TranslateOptions(**{**SMALL, **options}))
    return task, task.prepare(pairs)


# -- loss ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("count", [1, AT_ONCE, AT_ONCE + 3])
def test_the_loss_is_torchs_cross_entropy(smoothing: float, count: int) -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(*shape, dtype=torch.float64) * 3 for shape in ((count, 7), (11, 7), (11,))]
    hidden, weight, bias = (each.requires_grad_() for each in inputs)
    targets = torch.randint(0, 11, (count,))
    ours = smoothed(hidden, weight, bias, targets, smoothing)
    logits = functional.linear(hidden, weight, bias)
    theirs = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)
    found, wanted = (torch.autograd.grad(5 * loss, (hidden, weight, bias)) for loss in (ours, theirs))
    torch.testing.assert_close(found, wanted)


def test_the_loss_of_scores_that_underflow_is_finite() -> None:
    hidden, weight = torch.tensor([[1.0]], requires_grad=True), torch.tensor([[0.0], [500.0]])
    loss = smoothed(hidden, weight, torch.zeros(2), torch.tensor([0]))
    loss.backward()
    assert float(loss.detach()) == 500.0
    assert float(hidden.grad) == 500.0


# -- codecs and batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "targets", "wanted"),
    [
        (["ein mann geht", "zwei hunde"], ["a man walks", "two dogs"], ("bpe", "bpe")),
        (["hello", "cat"], ["HH AH L OW", "K AE T"], ("characters", "spaces")),
        (["HH AH L OW", "K AE T"], ["hello", "cat"], ("spaces", "characters")),
        (["1984", "23"], ["84", "1923"], ("characters", "characters")),
    ],
)
def test_tokenizers_fit_the_data(sources: list[str], targets: list[str], wanted: tuple[str, str]) -> None:
    assert tokenizers(pairs_of(sources * 20, targets * 20)) == wanted


@pytest.mark.parametrize("tokenizer", ["words", "characters", "bpe", "spaces"])
@pytest.mark.parametrize("joint", [False, True])
def test_codecs_give_texts_back_and_are_kept(tokenizer: str, joint: bool) -> None:
    options = TranslateOptions(source_tokenizer=tokenizer, target_tokenizer=tokenizer, joint=joint)
    pairs = pairs_of(["ein Mann geht", "", "ein Hund"], ["a man walks", "it sleeps", "the Dog"])
    codecs = Codecs(options)
    examples = codecs.fit(pairs)
    assert examples.sources[1].tolist() == [NOTHING]
    assert [codecs.text(examples.targets[i].tolist()) for i in range(3)] == pairs.targets
    assert NOTHING not in examples.targets.values
    again = Codecs.restored(options, codecs.assets())
    assert again.assets() == codecs.assets()
    assert (again.encode(pairs).sources.values == examples.sources.values).all()
    assert (again.source is again.target) == joint


@pytest.mark.parametrize("text", ["[]", '{"kind": "sounds", "ratio": 1.0}', '{"kind": "text", "ratio": Infinity}'])
def test_codecs_of_strangers_are_refused(text: str) -> None:
    options = TranslateOptions(source_tokenizer="words", target_tokenizer="words")
    codecs = Codecs(options)
    codecs.fit(pairs_of(["a b", "c"], ["d e", "f"]))
    assets = codecs.assets()
    with pytest.raises(FileFormatError, match=r"codecs\.json"):
        Codecs.restored(options, assets | {"codecs.json": text})
    with pytest.raises(FileFormatError, match="not one of texts"):
        Codecs.restored(options, assets | {"source.json": '{"kind": "labels", "classes": ["a"]}'})


def test_lower_case_is_of_the_sides_that_are_named() -> None:
    pairs = pairs_of(["Ein Mann"], ["A Man"])
    for lower, wanted in (("none", "A Man"), ("source", "A Man"), ("both", "a man")):
        codecs = Codecs(TranslateOptions(source_tokenizer="characters", target_tokenizer="characters", lower=lower))
        examples = codecs.fit(pairs)
        assert codecs.text(examples.targets[0].tolist()) == wanted
        assert ("E" in codecs.source.vocabulary) == (lower == "none")


def test_empty_sides_alone_are_refused() -> None:
    with pytest.raises(DataError, match="nothing but empty texts"):
        Codecs(TranslateOptions()).fit(pairs_of(["", " "], ["a", "b"]))


def test_a_batch_reads_and_writes_what_its_pairs_hold() -> None:
    _, parts = small_task(spelled(60))
    rows = np.array([3, 0, 7])
    batch = make_batch(parts.train, rows)
    assert sorted(batch.rows.tolist()) == sorted(rows.tolist())
    for column, row in enumerate(batch.rows):
        target = parts.train.targets[row].tolist()
        assert batch.read[:, column].tolist()[: len(target) + 1] == [NOTHING, *target]
        mine = batch.places % len(rows) == column
        assert batch.written[mine].tolist() == [*target, NOTHING]
        assert int(batch.steps[column]) == len(target) + 1
    assert len(batch.written) == int(parts.train.written[rows].sum())


def test_an_epoch_has_every_pair_once_and_bounded_batches() -> None:
    _, parts = small_task(spelled(300))
    train = parts.train
    batches = Batches(train, 16, 50, 1, 0, Shard())
    assert sorted(np.concatenate(batches.rows).tolist()) == list(range(len(train)))
    assert all(len(rows) <= 16 and train.written[rows].sum() <= 50 for rows in batches.rows)
    halves = [Batches(train, 16, 50, 1, 0, Shard(rank, 2)) for rank in (0, 1)]
    assert len(halves[0]) == len(halves[1])
    assert sorted(np.concatenate([rows for half in halves for rows in half.rows]).tolist()) == list(range(len(train)))
    other = Batches(train, 16, 50, 1, 1, Shard())
    assert [rows.tolist() for rows in other.rows] != [rows.tolist() for rows in batches.rows]


def test_a_pair_longer_than_a_batch_stands_alone() -> None:
    _, parts = small_task([("abcdef", "A B C D E F")] * 3 + spelled(40))
    rows = alike(parts.train, np.arange(len(parts.train)), 16, 2)
    assert {len(each) for each in rows} == {1}


# -- network ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cell": "gru", "layers": 2},
        {"cell": "rnn", "attention": "additive", "joint": True, "target_tokenizer": "characters"},
        {"attention": "dot", "dropout": 0.0, "tied": False},
        {"cell": "mgu", "layers": 2, "dropout": 0.0},
    ],
    ids=str,
)
def test_a_batch_is_each_row_alone(options: dict) -> None:
    task, parts = small_task(spelled(80), **options)
    torch.manual_seed(0)
    model = task.build().eval()
    rows = np.arange(12)
    batch = make_batch(parts.train, rows)
    with torch.no_grad():
        whole = model(batch)
        for column, row in enumerate(batch.rows):
            alone = model(make_batch(parts.train, np.array([row])))
            torch.testing.assert_close(whole[batch.places % len(rows) == column], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"coverage": 1.0, "tied": False, "word_dropout": 0.1}], ids=str)
def test_every_weight_learns(options: dict) -> None:
    task, parts = small_task(spelled(80), **options)
    torch.manual_seed(0)
    model = task.build().train()
    task.loss(model, task.batches(parts.train, 0, Shard())[0], {}).loss.backward()
    silent = [name for name, each in model.named_parameters() if each.grad is None or not each.grad.any()]
    assert not silent


def test_it_learns_to_spell_backwards(speller) -> None:
    found = speller.task.measure(speller.model, speller.task.examples(spelled(300, seed=2)))
    assert found["symbol_error"] < 0.02
    assert found["loss"] == pytest.approx(np.log(found["perplexity"]))


# -- answers ------------------------------------------------------------------------------------------------


def test_a_blank_line_keeps_its_place(speller) -> None:
    text = "".join(speller.written(["abc", "", "  ", "gfe"]))
    assert text == "C B A\n\n\nE F G\n"
    rows = speller.predict(["abc", ""])
    assert rows[1] == {"source": "", "translation": "", "score": None, "log_p": None}


def test_groups_of_lines_are_answered_as_they_come(speller) -> None:
    taken = []

    def groups():
        for group in (["abc"], ["", "gfe"]):
            taken.append(group)
            yield group

    pieces = speller.written(groups(), TranslatePredicting(n_best=2))
    assert next(pieces).startswith("1 ||| C B A ||| -0.")
    assert taken == [["abc"]]
    assert [piece.partition(" |||")[0] for piece in pieces] == ["2", "3"]


def test_lines_of_standard_input(speller) -> None:
    run = str(speller.run.path)
    for words in (["predict", run], ["predict", run, "-"]):
        result = CliRunner().invoke(app, words, input="abc\n\ngfe\n")
        assert (result.exit_code, result.output) == (0, "C B A\n\nE F G\n")
    result = CliRunner().invoke(app, ["predict", run, "--json", "--attention"], input="ab\n")
    assert json.loads(result.output)["target_units"] == ["B", "A", ""]
    result = CliRunner().invoke(app, ["predict", run, "--attention"], input="ab\n")
    assert result.exit_code == 2
    assert "add --json" in result.output


def test_a_long_line_keeps_its_place(speller) -> None:
    with pytest.warns(UserWarning, match="text 2: only max_length=200 units are read"):
        rows = speller.predict(["abc", "abcd" * 10_000, "gfe"])
    assert [row["translation"] for row in rows[::2]] == ["C B A", "E F G"]


def test_long_texts_are_told() -> None:
    task, _ = small_task([("abcdefghab", "A B"), *spelled(60)], max_length=8)
    told = [each.message for each in task.found if "max_length=8" in each.message]
    assert len(told) == 1


def test_a_given_translation_has_the_score_of_the_search(speller) -> None:
    texts = [source for source, _ in spelled(20, seed=3)]
    said = speller.predict(texts, n_best=3)
    pairs = [(row["source"], each["translation"]) for row in said for each in row["n_best"]]
    scores = [each for row in said for each in row["n_best"]]
    for given, found in zip(speller.predict(pairs, score=True), scores, strict=True):
        assert given["log_p"] == pytest.approx(found["log_p"], abs=2e-3)
        assert given["score"] == pytest.approx(found["score"], abs=2e-3)


def test_each_given_pair_has_a_score_also_a_blank_one(speller) -> None:
    assert len(list(speller.predict([("ab", "BA"), ("", ""), ("cd", "DC")], score=True))) == 3


def test_attention_is_told_of_units(speller) -> None:
    (row,) = speller.predict(["abcd"], attention=True)
    assert row["source_units"] == ["a", "b", "c", "d", ""]
    assert row["target_units"] == ["D", "C", "B", "A", ""]
    weights = np.array(row["attention"])
    assert weights.shape == (5, 5)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-3)


def test_a_saved_run_says_the_same(speller) -> None:
    texts = [source for source, _ in spelled(10, seed=4)]
    assert jobs.load(speller.run.path).predict(texts) == speller.predict(texts)


def test_words_that_must_and_must_not_occur(speller) -> None:
    (plain,) = speller.predict(["abc"])
    (held,) = speller.predict(["abc"], must=("H",))
    (without,) = speller.predict(["abc"], must_not=("B",))
    assert plain["translation"] == "C B A"
    assert "H" in held["translation"].split()
    assert "B" not in without["translation"].split()
    with pytest.raises(OptionError, match="'Z'"):
        speller.predict(["abc"], must=("Z",))


def test_lengths_are_kept(speller) -> None:
    (short,) = speller.predict(["abcdef"], max_length=2, beam=1)
    (long,) = speller.predict(["ab"], min_length=40)  # longer than is usual
    assert short["translation"] == "F E"
    assert len(long["translation"].split()) >= 40


def test_forbidden_words_are_not_written_in_other_units() -> None:
    pairs = [("a b", "the man walks"), ("c d", "a man runs")] * 40
    task, parts = small_task(pairs, epochs=1, source_tokenizer="bpe", target_tokenizer="bpe")
    torch.manual_seed(0)
    model = task.build().eval()
    how = How(must_not=("man", "the"), beam=8, n_best=8)
    for found in Decoding(model, Asked(task.codecs, how))(parts.valid):
        assert not any({"man", "the"} & set(task.codecs.text(each.ids).split()) for each in found)


def test_an_unknown_unit_is_copied_from_where_attention_looked() -> None:
    pairs = [(word, word) for word in ("ab cd", "cd ab", "ab ab", "cd cd")] * 10
    codecs = small_task(pairs, source_tokenizer="words", target_tokenizer="words")[0].codecs
    attention = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]])
    found = Hypothesis([UNKNOWN, UNKNOWN, NOTHING], [0.0] * 3, 0.0, 0.0, True, attention)
    units = [*codecs.source_units("Ulm Rom"), ""]
    assert units == ["Ulm", " Rom", ""]
    assert codecs.text(found.ids, copied(found, units)) == "Ulm Rom"


def test_draws_are_those_of_the_seed(speller) -> None:
    draw = lambda seed: speller.predict(["abcdef"], sample=True, n_best=8, temperature=3.0, seed=seed)  # noqa: E731
    assert draw(1) == draw(1) != draw(2)


def test_draws_do_not_hang_on_the_other_lines(speller) -> None:
    how = {"sample": True, "n_best": 3, "temperature": 2.0}
    together = speller.predict(["ab", "abcdef", "gfedcb"], **how)
    for row in together:
        (alone,) = speller.predict([row["source"]], **how)
        assert [each["translation"] for each in alone["n_best"]] == [each["translation"] for each in row["n_best"]]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperature": 0.5}, "add sample=True"),
        ({"sample": True, "must": ("a",)}, "must needs a beam"),
        ({"score": True, "n_best": 2}, "n_best=2 is of a search"),
        ({"min_length": 3, "max_length": 2}, "below min_length"),
    ],
    ids=str,
)
def test_options_of_predicting_act_or_refuse(options: dict, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        TranslatePredicting(**options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"joint": True, "source_tokenizer": "bpe", "target_tokenizer": "words"}, "cuts both sides in one way"),
        ({"min_count": 2, "source_tokenizer": "bpe", "target_tokenizer": "bpe"}, "of words and characters"),
        ({"attention": "dot"}, "needs hidden_size"),
        ({"valid_share": 0.5, "test_share": 0.6}, "nothing to learn from"),
    ],
    ids=str,
)
def test_options_of_training_act_or_refuse(options: dict, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        TranslateOptions(**options)


# -- lines as they arrive -----------------------------------------------------------------------------------


def test_lines_arrive_in_order_and_whole() -> None:
    lines = [f"line {i}" for i in range(2_500)]
    groups = list(arriving(io.StringIO("\r\n".join(lines))))
    assert [line for group in groups for line in group] == lines
    assert not list(arriving(io.StringIO("")))


@pytest.mark.parametrize("text", [b"good\nb\xe4d\n", b"good\nb\xc3"])
def test_what_cannot_be_read_is_told_by_line_behind_those_before(text: bytes) -> None:
    arrived = arriving(io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))
    assert next(arrived) == ["good"]
    with pytest.raises(DataError, match=r"standard input, line 2, character 2: byte 0x.. is not UTF-8; write"):
        list(arrived)


def test_a_byte_order_mark_and_other_line_ends_are_no_text() -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfone\r\ntwo\rthree"), encoding="utf-8")
    assert [line for group in arriving(stream) for line in group] == ["one", "two", "three"]


def test_no_file_that_is_read_is_written_over(speller, tmp_path) -> None:
    texts, targets = tmp_path / "a.txt", tmp_path / "b.txt"
    for file in (texts, targets):
        file.write_text("a b\n")
    words = ["predict", str(speller.run.path), "--source", str(texts), "--target", str(targets), "--score", "--out"]
    for file in (texts, targets):
        result = CliRunner().invoke(app, [*words, str(file)])
        assert (result.exit_code, file.read_text()) == (2, "a b\n")
        assert "is a file to read; name another" in result.stderr


@pytest.mark.parametrize("count", [1, 40])
def test_too_few_sources_are_counted(count: int) -> None:
    with pytest.raises(DataError, match=r"the given pairs: 1 different source\(s\) are too few"):
        small_task([("x", f"y{i}") for i in range(count)], test_share=0.3)
