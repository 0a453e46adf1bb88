"""The job `generate`: units, streams, measures, baselines and sampling as they are defined; then the whole job."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import gatework
from gatework import cli
from gatework.data.codecs import TextCodec, from_json
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.networks.heads import cross_entropy
from gatework.runtime.texts import UNREADABLE
from gatework.runtime.texts.prompts import opening
from gatework.tasks import generate, jobs
from gatework.tasks.generate import Generate, GenerateOptions, baselines, dynamic, nats, sampling
from gatework.tasks.generate.counts import Counts, best_share, mixed
from gatework.tasks.generate.model import LanguageModel
from gatework.tasks.generate.spelling import Spelling
from gatework.tasks.generate.streams import IGNORED, Streams, encoded, reading, stream_count
from gatework.training.learner import Shard

ANIMALS, THINGS = ("cat", "dog", "hen"), ("mat", "hat", "log")
TEXT = "".join(f"{a} sat on the {b}, and the {b} sat on {a}.\n" for a in ANIMALS for b in THINGS)
SMALL: dict[str, Any] = {"hidden_size": 8, "sequence_length": 8, "batch_size": 4, "epochs": 2, "sample_length": 8}


def model_for(vocabulary: int, counts: Counts | None = None, **options: Any) -> LanguageModel:
    torch.manual_seed(3)
    return LanguageModel(vocabulary, GenerateOptions(**{"hidden_size": 6, "ngram_length": 0, **options}), counts)


# -- units ----------------------------------------------------------------------------------------------------


def units(kind: str, text: str, most: int = 400) -> TextCodec:
    return generate.fitted(GenerateOptions(tokenizer=kind, vocabulary=most), text)


@pytest.mark.parametrize("kind", ["characters", "bpe", "words"])
def test_units_go_there_and_back_also_through_json(kind: str) -> None:
    text = TEXT + "Zoë \U0001f98a  two  spaces\r\n\ttab 日本語 ภาษา"
    found = units(kind, text)
    again = from_json(found.to_json())
    assert isinstance(again, TextCodec)
    assert again.decode(again.encode([text])) == [text]
    assert encoded(again, text).tolist() == encoded(found, text).tolist()
    assert encoded(found, text).max() < len(found) == len(again)


def test_words_carry_the_space_before_them_and_scripts_without_spaces_are_cut_into_characters() -> None:
    assert units("words", TEXT).units("A cat,  日本\n") == ["A", " cat", ",", " ", " 日", "本", "\n"]


def test_one_kind_of_character_is_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="1 different characters"):
        units("characters", "aaaa")


def test_a_prompt_s_first_word_is_known_though_the_text_has_it_after_a_space_alone() -> None:
    task = Generate(GenerateOptions(**SMALL, tokenizer="words", vocabulary=300))
    task.prepare([TEXT * 3])
    assert task.unseen_note("the zebra") == "the model never saw ' zebra'; left out of the prompt"
    assert task.unseen_note("zebra") == "the model never saw 'zebra'; left out of the prompt"
    assert opening(units("characters", TEXT), "zebra") == "zebra"


# -- streams --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_streams_are_contiguous_and_targets_follow_inputs(epoch: int) -> None:
    ids = torch.arange(1000)
    chunks = list(Streams(ids, 4, 16, epoch, 1, Shard()))
    inputs = torch.cat([chunk.inputs for chunk in chunks])
    assert torch.equal(inputs[1:], inputs[:-1] + 1)
    assert all(torch.equal(chunk.targets, chunk.inputs + 1) for chunk in chunks)
    assert inputs.unique().numel() == inputs.numel() > 900


def test_epochs_cut_elsewhere_and_shards_share_the_streams() -> None:
    ids = torch.arange(1000)
    starts = {int(Streams(ids, 4, 16, epoch, 1, Shard())[0].inputs[0, 0]) for epoch in range(8)}
    assert len(starts) > 4
    whole = Streams(ids, 4, 16, 5, 1, Shard())[2].inputs
    halves = [Streams(ids, 4, 16, 5, 1, Shard(rank, 2))[2].inputs for rank in (0, 1)]
    assert torch.equal(torch.stack([halves[0], halves[1]], -1).flatten(1), whole)
    assert stream_count(100, 32, 16) == 6
    assert stream_count(100, 32, 16, 4) == 4


@pytest.mark.parametrize(("units", "streams"), [(100, 3), (101, 5), (99, 1)])
def test_reading_counts_every_unit_once(units: int, streams: int) -> None:
    ids = torch.arange(units)
    inputs, targets = reading(ids, streams, 7)
    counted = targets[targets != IGNORED]
    assert counted.sort().values.tolist() == list(range(1, units))
    assert torch.equal(inputs[targets != IGNORED] + 1, counted)


def test_measuring_in_streams_is_reading_in_one() -> None:
    """With a warm-up longer than what the small model remembers, up to the last digits."""
    ids = torch.randint(0, 5, (generate.WARM_UP * 3 + 20,), generator=torch.Generator().manual_seed(0))
    model = model_for(5).eval()
    with torch.no_grad():
        logits, _ = model(ids[:-1, None], {})
    whole = cross_entropy(logits, ids[1:, None], "none").double()
    torch.testing.assert_close(nats(model, ids), whole, rtol=1e-4, atol=1e-5)


# -- counts ---------------------------------------------------------------------------------------------------


def test_what_is_expected_step_by_step_is_the_mixture_that_is_measured() -> None:
    ids = torch.randint(0, 5, (600,), generator=torch.Generator().manual_seed(0))
    counts = Counts.of(ids[100:500].numpy(), 3, 5)
    model = model_for(5, counts, ngram_length=3, ngram_share=0.3).eval()
    (state, last), found = model.begin(ids[:1]), []
    for target in ids[1:].tolist():
        scores, _, state = model.step(state, last)
        assert np.exp(scores).sum() == pytest.approx(1)
        found.append(-scores[0, 0, target])
        last = np.array([[target]])
    assert model.expected(ids[:-1])[ids[-1]] == pytest.approx(-float(found[-1]), rel=1e-5)
    wanted = mixed(nats(model, ids), counts.nats(ids), 0.3)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_units_of_the_counted_text_do_not_count_for_themselves() -> None:
    ids = np.random.default_rng(0).choice(4, 60)
    found = Counts.of(ids, 3, 4).nats(torch.from_numpy(ids), own=True)
    for place in (5, 20, 59):
        likely = dict.fromkeys(range(4), 1 / 4)
        for n in range(3):
            here = ids[place - n : place]
            others = [k for k in range(n, 60) if k != place and (ids[k - n : k] == here).all()]
            if others:
                hits, kinds = ids[others], len(set(ids[others]))
                likely = {u: ((hits == u).sum() + kinds * likely[u]) / (len(others) + kinds) for u in range(4)}
        assert float(found[place - 1]) == pytest.approx(-math.log(likely[ids[place]]), rel=1e-9)


def test_the_share_of_the_counts_is_the_one_that_costs_least() -> None:
    network, counted = torch.rand(2, 500, dtype=torch.float64) * 3
    share = best_share(network, counted)
    costs = [float(mixed(network, counted, at).sum()) for at in (share - 0.02, share, share + 0.02)]
    assert 0.1 < share < 0.9
    assert min(costs) == costs[1] < min(float(network.sum()), float(counted.sum()))
    assert best_share(network, network + 5) < 0.01


def test_counts_are_saved_with_the_model_whatever_their_size() -> None:
    counts = Counts.of(np.random.default_rng(0).choice(4, 500), 3, 4)
    model, empty = model_for(4, counts, ngram_length=3, ngram_share=0.4), model_for(4, ngram_length=3)
    empty.load_state_dict(model.state_dict())
    text = torch.tensor([0, 1, 2, 3, 3, 2])
    assert torch.equal(empty.counts.nats(text), counts.nats(text))  # type: ignore[union-attr]
    assert float(empty.share) == pytest.approx(0.4)


# -- the model ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "mgu"])
def test_carried_states_make_two_halves_one(cell: str) -> None:
    model = model_for(9, cell=cell, layers=2).eval()
    units = torch.randint(0, 9, (10, 3))
    whole, last = model(units, {})
    first, states = model(units[:4], {})
    second, states = model(units[4:], states)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    assert states.keys() == last.keys()
    for name, state in states.items():
        torch.testing.assert_close(state, last[name])


def test_tied_weights_are_one_matrix() -> None:
    model = model_for(9, tied=True, embedding_size=4)
    assert model.decoder.head.output.weight is model.decoder.embedding.weight
    assert model(torch.zeros(2, 1, dtype=torch.long), {})[0].shape == (2, 1, 9)


@pytest.mark.parametrize("option", ["dropout", "recurrent_dropout", "weight_drop", "zoneout"])
@pytest.mark.parametrize("cell", ["lstm", "mgu"])
def test_noise_acts_in_training_alone(option: str, cell: str) -> None:
    plain, noisy = model_for(9, cell=cell, dropout=0.0), model_for(9, cell=cell, **{"dropout": 0.0, option: 0.5})
    noisy.load_state_dict(plain.state_dict())
    units = torch.randint(0, 9, (10, 3))
    wanted = plain(units, {})[0]
    assert not torch.allclose(noisy(units, {})[0], wanted)
    if option != "zoneout":  # which gives the expectation
        torch.testing.assert_close(noisy.eval()(units, {})[0], wanted)


# -- baselines ------------------------------------------------------------------------------------------------


def witten_bell(train: list[int], context: list[int], unit: int, size: int) -> float:
    """Straight from the definition, by recursion."""
    shorter = witten_bell(train, context[1:], unit, size) if context else 1 / size
    n = len(context)
    followed: dict[int, int] = defaultdict(int)
    for place in range(n, len(train)):
        if train[place - n : place] == context:
            followed[train[place]] += 1
    count, kinds = sum(followed.values()), len(followed)
    return (followed[unit] + kinds * shorter) / (count + kinds) if count else shorter


def test_the_ngram_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    joined = rng.choice(4, 120, p=[0.5, 0.3, 0.15, 0.05]).tolist()
    train, test = joined[:90], joined[90:]
    found = baselines.costs(np.array(train), np.array(test), 5)
    for order in (1, 2, 4):
        wanted = [-math.log(witten_bell(train, joined[k - order + 1 : k], joined[k], 5)) for k in range(91, 120)]
        np.testing.assert_allclose(found[order - 1], wanted, rtol=1e-12)


def test_the_ngram_probabilities_sum_to_one() -> None:
    train = np.array([0, 1, 2, 0, 1, 1, 0, 2] * 5)
    for order in range(baselines.HIGHEST_ORDER):
        each = [np.exp(-baselines.costs(train, np.array([0, 1, w]), 4)[order][-1]) for w in range(4)]
        assert sum(each) == pytest.approx(1)


def test_the_compressor_profits_from_what_it_has_read() -> None:
    noise = "".join(np.random.default_rng(0).choice(list("abcdefgh"), 2000))
    known, unknown = baselines.compressor(noise, noise[500:1500]), baselines.compressor("", noise[500:1500])
    assert known.metrics["bits_per_character"] < 0.1
    assert 3 < unknown.metrics["bits_per_character"] < 4.5  # 3 bits is the entropy; a short noise costs LZMA more


@pytest.mark.parametrize("orders", [0, 2])
def test_dynamic_evaluation_learns_from_the_text_and_leaves_the_model(orders: int) -> None:
    model = model_for(9, ngram_length=orders).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ids = torch.tensor([1, 2, 3, 4] * 100)
    still = dynamic.dynamic_nats(model, ids, 0.0)
    network = nats(model, ids)
    whole = network if model.counts is None else mixed(network, model.counts.nats(ids), float(model.share))
    assert still == pytest.approx(float(whole.sum()), rel=1e-4)
    assert dynamic.dynamic_nats(model, ids, 0.5) < 0.85 * still
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# -- sampling -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"temperature": -1}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_p": 0}, "top_p"),
        ({"length": -1}, "length"),
    ],
)
def test_senseless_sampling_is_refused(how: dict[str, Any], message: str) -> None:
    found = units("characters", TEXT)
    with pytest.raises(OptionError, match=message):
        list(sampling.stream(model_for(len(found)).eval(), found, "", **{"length": 1, **how}))


@pytest.mark.parametrize("kind", ["characters", "bpe", "words"])
def test_a_stream_is_reproducible_and_whole_characters(kind: str) -> None:
    text = TEXT + "äöü \U0001f98a" * 20
    found = units(kind, text, 300)
    model = model_for(len(found)).eval()
    pieces = list(sampling.stream(model, found, "cat €", 60, 2.0, seed=5))
    assert pieces == list(sampling.stream(model, found, "cat €", 60, 2.0, seed=5))
    assert pieces != list(sampling.stream(model, found, "cat €", 60, 2.0, seed=6))
    if kind != "bpe":
        assert len(pieces) == 60
        assert UNREADABLE not in "".join(pieces)
    assert list(sampling.stream(model, found, "", 3))


# -- the whole job --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(TEXT * 3)
    return path


@pytest.fixture(scope="module")
def run(book: Path) -> Path:
    out = book.parent / "run"
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items()]
    result = CliRunner().invoke(
        cli.app, ["train", "generate", str(book), "--out", str(out), *flags, "--set", "dynamic=yes", "--keep-state"]
    )
    assert result.exit_code == 0, result.output
    assert "dynamic_nats_per_character" in result.stdout.splitlines()[0], "a column of the table"
    assert "-gram" in result.stdout
    assert re.search(r"epoch 2/2  network: train loss \S+  valid \S+  model: valid loss", result.stderr)
    return out


def test_a_run_holds_its_results_beside_the_baselines(run: Path, book: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    assert results["valid"]["network_loss"] > results["valid"]["loss"], "the counts help"
    trained = jobs.load(run)
    trained.model.share.fill_(0)
    parts = trained.task.prepare(book)
    with torch.no_grad():
        alone = trained.task.measure(trained.model, parts.valid)
    assert alone["loss"] == pytest.approx(results["valid"]["network_loss"])
    *parts, best, letters, xz = [each["name"] for each in results["contenders"]]
    assert parts == ["model", "counts alone", "network alone"]
    assert (best[1:], letters, xz) == ("-gram", "1-gram", "xz")
    assert results["test"]["bits_per_character"] == pytest.approx(results["test"]["nats_per_character"] / math.log(2))
    assert results["test"]["loss"] == pytest.approx(results["test"]["nats_per_character"])  # units are characters
    assert results["test"]["perplexity"] == pytest.approx(math.exp(results["test"]["loss"]))
    moved = results["test"]["dynamic_nats_per_character"]
    assert moved != results["test"]["nats_per_character"] and "dynamic_nats_per_character" not in results["valid"]
    assert jobs.load(run).evaluate(book)["dynamic_bits_per_character"] > 0
    assert [sample["temperature"] for sample in results["sections"]["samples"]] == [0.5, 0.8, 1.0]
    assert all(len(sample["text"]) == 8 for sample in results["sections"]["samples"])
    assert results["verdict"].startswith("Too few to tell") and results["comparison"]["earned"] == "few"
    config = json.loads((run / "config.json").read_text())
    assert config["options"] == GenerateOptions(**SMALL, dynamic=True, keep_state=True).to_dict()


def invoke(*words: Any) -> Any:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def test_evaluate_predict_and_generate(run: Path, book: Path) -> None:
    measured = json.loads(invoke("evaluate", run, book, "--json").stdout)
    assert measured["nats_per_character"] == pytest.approx(jobs.load(run).evaluate(book)["nats_per_character"])
    assert json.loads(invoke("evaluate", run, "--json").stdout)["task"] == "generate"
    lines = CliRunner().invoke(cli.app, ["predict", str(run), "--json"], input="cat\ndog\n").stdout.splitlines()
    assert [json.loads(line)["prompt"] for line in lines] == ["cat", "dog"]
    table = CliRunner().invoke(cli.app, ["predict", str(run)], input="cat\n").stdout
    (row,) = csv.DictReader(io.StringIO(table))
    assert row == json.loads(lines[0]), "what is generated may hold line breaks, commas and quotes"
    written = invoke("generate", run, "--prompt", "the €at", "--length", "20", "--seed", "3")
    assert written.exit_code == 0
    assert written.stdout.startswith("the €at")
    assert len(written.stdout) == len("the €at") + 20 + 1
    assert "warning: the model never saw '€'" in written.stderr


def test_a_finished_run_is_not_overwritten_and_can_be_lengthened(run: Path, book: Path) -> None:
    again = ("train", "generate", book, "--out", run)
    assert invoke(*again).exit_code == 2
    assert "already holds a run" in invoke(*again).stderr
    refused = invoke(*again, "--resume", "--hidden-size", "9")
    assert (refused.exit_code, "hidden_size=8, not 9" in refused.stderr) == (2, True)
    longer = invoke(*again, "--resume", "--epochs", "3", "--quiet")
    assert longer.exit_code == 0, longer.output
    assert longer.stderr == ""
    assert len(jobs.load(run).run.history()) == 3
    book.write_text(TEXT * 3 + "more")
    assert "the data changed" in invoke(*again, "--resume", "--epochs", "4").stderr
    book.write_text(TEXT * 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"short", "holds 5 characters; give at least 100"),
        (b"a" * 500, "repeats one character"),
        (b"caf\xe9 " * 100, "line 1"),
        (b"abc\nde\0f" * 100, "line 2 holds a NUL"),
        (TEXT.encode()[:150], "too few for sequence_length=500"),
    ],
)
def test_bad_texts_are_named_and_nothing_is_written(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    result = invoke("train", "generate", path, "--out", tmp_path / "run", "--sequence-length", 500)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "bad.txt" in result.stderr or "too few" in message
    assert not (tmp_path / "run").exists()
    if "too few" not in message:
        checked = invoke("check", "generate", path)
        assert (checked.exit_code, message in checked.stdout) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("train", "generate", "nowhere.txt"), 2, "nowhere.txt: no such file"),
        (("train", "generat", "a.txt"), 2, "did you mean 'generate'"),
        (("train", "generate", "a.txt", "--set", "epoch=3"), 2, "did you mean 'epochs'"),
        (("generate", "nowhere"), 2, "nowhere is no run folder"),
        (("evaluate", "nowhere"), 2, "nowhere is no run folder"),
    ],
)
def test_bad_use_is_one_message(words: tuple[str, ...], code: int, message: str) -> None:
    result = invoke(*words)
    assert (result.exit_code, message in result.stderr) == (code, True), result.output


def test_a_text_in_place_of_a_path_is_told_to_stand_in_a_list() -> None:
    for text in ("once upon a time", "once upon a time " * 100):
        with pytest.raises(DataError, match=r"for one text pass a list: .'once upon a time"):
            Generate(GenerateOptions()).read(text)


def test_a_model_file_cut_short_is_refused(run: Path) -> None:
    path = run / "best.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    result = invoke("generate", run)
    path.write_bytes(data)
    assert (result.exit_code, "cut short" in result.stderr) == (1, True)
    with pytest.raises(OptionError, match="a run of 'generate', not of 'classify'"):
        jobs.load(run, "classify")


def test_one_very_long_line_and_very_short_lines(tmp_path: Path) -> None:
    """A million characters without a line end; the model sees a stream, so that lines cost nothing."""
    path = tmp_path / "long.txt"
    path.write_text("abcde fghij " * 90_000 + "\n" * 1000)
    assert invoke("check", "generate", path).exit_code == 0
    parts = Generate(GenerateOptions()).prepare(path)
    assert len(parts.train.ids) > 900_000


def test_refit_learns_the_validation_part_and_keeps_the_last_weights(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="add keep=last patience=0"):
        GenerateOptions(refit=True)
    options = GenerateOptions(**SMALL, refit=True, keep="last", patience=0, keep_state=True)
    plain, more = Generate(GenerateOptions(**SMALL)), Generate(options)
    parts, whole = plain.prepare([TEXT * 3]), more.prepare([TEXT * 3])
    both = torch.cat([parts.train.ids, parts.valid.ids])
    assert more.tokens.text(whole.train.ids.tolist()) == plain.tokens.text(both.tolist())
    trained = jobs.train(Generate(options), [TEXT * 3], out=tmp_path / "run", quiet=True)
    last = trained.run.weights("last")
    assert all(torch.equal(tensor, last[name]) for name, tensor in trained.model.state_dict().items())


# -- from the end -----------------------------------------------------------------------------------------------


def test_reading_backwards_is_reading_the_text_turned_round(tmp_path: Path) -> None:
    """The same split, units, weights and measures as forwards on the turned text; what is written is turned back."""
    train, valid, test = TEXT * 2, TEXT[:200], TEXT[50:300]

    def trained(name: str, *texts: str, **options: Any) -> jobs.Trained:
        source, held, last = ([text] for text in texts)
        task = Generate(GenerateOptions(**SMALL, **options))
        return jobs.train(task, source, valid=held, test=last, out=tmp_path / name, quiet=True)

    turned = trained("turned", train[::-1], valid[::-1], test[::-1])
    backwards = trained("backwards", train, valid, test, backwards=True)
    one, other = turned.run.results(), backwards.run.results()
    assert one["test"] == other["test"] and one["contenders"] == other["contenders"]
    assert backwards.evaluate([test]) == turned.evaluate([test[::-1]])
    for sample, mirrored in zip(one["sections"]["samples"], other["sections"]["samples"], strict=True):
        assert (sample["prompt"], sample["text"]) == (mirrored["prompt"][::-1], mirrored["text"][::-1])
    assert one["sections"]["samples"][0]["prompt"][::-1] == test[-40:]


def test_a_backwards_run_writes_what_comes_before_a_prompt(tmp_path: Path, book: Path) -> None:
    out = tmp_path / "run"
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in (SMALL | {"epochs": 1}).items()]
    assert invoke("train", "generate", book, "--out", out, "--backwards", "--quiet", *flags).exit_code == 0
    written = invoke("generate", out, "--prompt", "on the mat.", "--length", "20", "--seed", "3").stdout
    assert written.endswith("on the mat.\n") and len(written) == 20 + len("on the mat.\n")
    writer = gatework.TextGenerator.load(out)
    text = writer.generate("on the mat.", length=20, seed=3)
    assert text == written[:20]
    read = Generate(GenerateOptions(**SMALL))
    read.tokens = writer.trained_.task.tokens
    forwards = read.write(writer.trained_.model, "on the mat."[::-1], 20, seed=3)
    assert "".join(forwards) == text[::-1]
    page = (out / "report.html").read_text()
    assert "before the end of the test text" in page and "--prompt &#34;the end.&#34;" in page
    assert "<mark>" not in page.split('<pre class="sample">')[1][:8]
    refused = invoke("explain", out, "--text", "on the mat")
    assert refused.exit_code == 2 and "reads backwards" in refused.stderr
    wrong = invoke("train", "generate", book, "--out", tmp_path / "x", "--backwards", "--tokenizer", "words")
    assert wrong.exit_code == 2 and "take tokenizer=characters" in wrong.stderr


# -- the estimator --------------------------------------------------------------------------------------------


def test_the_estimator_is_shaped_as_scikit_learns(tmp_path: Path) -> None:
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    writer = gatework.TextGenerator(**SMALL)
    with pytest.raises(NotFittedError):
        writer.generate("a")
    twin = clone(writer)
    assert twin.get_params() == writer.get_params()
    assert writer.set_params(epochs=1) is writer
    assert "epochs=1" in repr(writer)
    assert writer.fit(TEXT * 3) is writer
    assert len(writer.generate("the", length=12, seed=2)) == 12
    assert math.log(0.02) < writer.score(TEXT) < 0
    writer.save(tmp_path / "kept")
    loaded = gatework.TextGenerator.load(tmp_path / "kept")
    assert loaded.generate("the", length=12, seed=2) == writer.generate("the", length=12, seed=2)
    assert loaded.score(TEXT) == writer.score(TEXT)
    assert loaded.epochs == 1
    assert "nats per character" in writer._repr_html_()
    with pytest.raises(OptionError, match="did you mean 'hidden_size'"):
        gatework.TextGenerator(hiden_size=3)


@pytest.mark.paths
def test_writing_needs_neither_scikit_learn_nor_polars() -> None:
    code = (
        "import gatework.tasks.generate, sys; print([m for m in ('sklearn', 'polars', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- unknown units are spelled ----------------------------------------------------------------------------------


def zipf_text(kinds=1500, lines=1200, seed=1):
    """Words drawn alone, by Zipf's law, and the true nats per character."""
    generator = np.random.default_rng(seed)
    letters = list("abcdefghijklmnoprst")
    words = sorted({"".join(generator.choice(letters, generator.integers(3, 9))) for _ in range(kinds)})
    likely = 1 / np.arange(1, len(words) + 1)
    likely /= likely.sum()
    text = "\n".join(" ".join(generator.choice(words, 12, p=likely)) for _ in range(lines))
    return text, -(likely * np.log(likely)).sum() * len(text.split()) / len(text)


@pytest.mark.parametrize("vocabulary", [300, 2000])
def test_no_vocabulary_beats_the_entropy_of_the_source(vocabulary, tmp_path):
    text, entropy = zipf_text()
    options = GenerateOptions(
        tokenizer="words", vocabulary=vocabulary, epochs=1, hidden_size=8, sequence_length=32, threads=1
    )
    results = jobs.train(Generate(options), [text], out=tmp_path / "run", quiet=True).run.results()
    for each in results["contenders"]:
        assert each["metrics"]["nats_per_character"] > entropy
    assert results["train"]["nats_per_character"] > 0.9 * entropy
    words = math.log(results["test"]["perplexity_per_word"]) / results["test"]["nats_per_character"]
    assert words == pytest.approx(len(text) / len(text.split()), rel=0.1)  # a word and its space or end of line
    again = jobs.load(tmp_path / "run")
    held = text[round(len(text) * 0.9) :]
    assert again.evaluate([held])["nats_per_character"] == pytest.approx(
        results["test"]["nats_per_character"], rel=1e-6
    )


def test_spelling_is_a_code_for_any_word():
    """Kraft's inequality over all words of a few letters; whatever is no letter costs more, and has a cost."""
    spelling = Spelling({"ab": 3, "ba": 1, "a": 2})
    words = ["".join(each) for n in range(6) for each in itertools.product("ab", repeat=n)]
    total = np.exp(-spelling.nats(words)).sum()
    assert 0.3 < total < 1
    seen, unseen, foreign = spelling.nats(["ab", "bb", "\U0001f40d"])
    assert seen < unseen < foreign < 40
    assert spelling.nats(["bb", "ab", "bb"]).tolist() == [unseen, seen, unseen]
    assert Spelling.from_json(spelling.to_json()).nats(["bb"]) == unseen
    with pytest.raises(FileFormatError):
        Spelling.from_json('["a"]')


def test_unknown_characters_cost_too():
    task = Generate(GenerateOptions(hidden_size=4, ngram_length=0))
    task.prepare(["abcd efgh " * 40])
    known, unknown = task.examples(["abcd abcd"]), task.examples(["abcd abc~"])
    assert known.spelled.sum() == 0 and unknown.spelled.sum() > 10
    assert task.examples(["~bcd"]).characters == 3


def test_marks_stay_whole_and_spaces_end_words_where_asked():
    text = "the <unk> don't , said\nN <unk> .\n"
    for spaces, units in ((False, ["the", " <unk>", " don't", " ,"]), (True, ["the", " <unk>", " don't", " ,"])):
        task = Generate(GenerateOptions(tokenizer="words", spaces=spaces, hidden_size=4))
        task.prepare([text * 40])
        assert task.tokens.units(text)[:4] == units
        assert task.tokens.text(encoded(task.tokens, text).tolist()) == text
    assert task.tokens.units("a-b c!")[:2] == ["a-b", " c!"]
    with pytest.raises(OptionError, match="tokenizer=words"):
        GenerateOptions(spaces=True)


def test_counts_of_a_text_that_ends_with_its_last_pair_go_on() -> None:
    counts = Counts.of(np.array([0, 1, 0, 2]), 3, 3)  # nothing followed "2", nor "0 2"
    np.testing.assert_allclose(counts.tables.next(counts.tables.place(np.array([0, 2])))[0], [3 / 7, 2 / 7, 2 / 7])
    (*_, likely) = counts.likelihoods(np.array([0, 2, 0]))
    np.testing.assert_allclose(likely[2], 3 / 7)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("hits1", [1], "do not fit each other"),
        ("totals1", [9] * 9, "do not fit each other"),
        ("pairs0", [2, 1, 0], "not in order"),
        ("pairs0", [0, 1, 99], "not in order"),
        ("kinds0", [-1], "less than never"),
    ],
)
def test_counts_that_lead_nowhere_are_refused(name: str, values: list[int], message: str) -> None:
    tables = Counts.of(np.array([0, 1, 0, 2]), 3, 3).state_dict()
    Counts(3, 3).load_state_dict(tables)
    with pytest.raises(FileFormatError, match=message):
        Counts(3, 3).load_state_dict({**tables, name: torch.tensor(values)})
