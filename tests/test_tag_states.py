"""Language models' states as word vectors: what is read, where states are taken, that the models stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import small
from gatework.data.codecs import Characters
from gatework.data.ragged import Ragged
from gatework.errors import FileFormatError, OptionError
from gatework.runtime.tags.stretches import stretches
from gatework.tasks import jobs
from gatework.tasks.generate import Generate, GenerateOptions
from gatework.tasks.tag import Tag, states
from gatework.tasks.tag.codecs import Codecs
from gatework.tasks.tag.examples import Batch, Examples, make_batch
from gatework.tasks.tag.model import Tagger
from gatework.tasks.tag.options import TagOptions
from gatework.tasks.tag.sentences import Sentences
from gatework.tasks.tag.states import Language, WordStates, Written
from gatework.training.callbacks import Callback
from gatework.training.trainer import INTERRUPTED

BOOK = "".join(f"{who} lives in {where}.\n" for who in ("Ada", "Karl", "Mia") for where in ("Rome", "Oslo", "Ulm")) * 3
SMALL: dict[str, Any] = {"hidden_size": 6, "sequence_length": 8, "batch_size": 4, "epochs": 1, "sample_length": 8}
QUICK: dict[str, Any] = {"hidden_size": 5, "embedding_size": 4, "characters": 3, "max_length": 20, "output": "softmax"}


def written_run(folder: Path, **options: Any) -> str:
    jobs.train(Generate(GenerateOptions.of({**SMALL, **options})), [BOOK], out=folder, quiet=True)
    return str(folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A run that reads forwards and one that reads backwards, of unequal sizes and cells."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        "forwards": written_run(folder / "forwards", layers=2, dropout=0.3),
        "backwards": written_run(folder / "backwards", hidden_size=4, cell="gru", backwards=True),
    }


def sentences(rows: list[list[str]], texts: list[str] | None = None, spans: Any = None) -> Sentences:
    tokens = [token for row in rows for token in row]
    return Sentences(
        tokens=tokens,
        lengths=np.array([len(row) for row in rows]),
        tags=["NAME" if token[0].isupper() else "O" for token in tokens],
        features={},
        labels=None,
        texts=texts,
        spans=None if spans is None else np.array(spans),
        scheme="plain",
        form="rows",
        source="rows",
        where=lambda token: f"token {token}",
    )


ROWS = [["Ada", "lives", "in", "Rome"], ["Karl", "."], ["Mia", "lives", "in", "Ulm", "and", "in", "Oslo", "."], ["in"]]
LONG = ["Karl", "lives", "in", "Oslo"] * 14  # in stretches of 20


def encoded(languages: list[str], rows: list[list[str]] = ROWS, **options: Any) -> tuple[Codecs, Examples]:
    codecs = Codecs(TagOptions.of({**QUICK, "windows": False, **options, "language_model": languages}))
    return codecs, codecs.fit(sentences(rows))


def model_of(codecs: Codecs, **options: Any) -> Tagger:
    torch.manual_seed(0)
    return Tagger(
        TagOptions.of({**QUICK, "windows": False, **options}), codecs.sizes, languages=codecs.languages
    ).eval()


def batch_of(examples: Examples, rows: list[int] | None = None, longest: int = 20) -> Batch:
    pieces = stretches(examples.inputs.offsets, longest)
    return make_batch(examples, pieces, np.arange(len(pieces)) if rows is None else np.array(rows))


def by_token(batch: Batch, vectors: torch.Tensor) -> dict[int, torch.Tensor]:
    """The vector of each token that a stretch answers for."""
    return {int(place): vectors[row] for row, place in enumerate(batch.places) if batch.own[row]}


def after(run: str, text: str) -> torch.Tensor:
    """The state of a run's top layer when it has read a text, character by character."""
    trained = jobs.load(run)
    decoder, tokens = trained.model.decoder, trained.task.tokens
    with torch.no_grad():
        hidden, _ = decoder.encoder(
            decoder.embedding(torch.from_numpy(tokens.encode([text])[0].astype(np.int64))[:, None])
        )
    return hidden[-1, 0]


# -- what is read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [("forwards",), ("backwards",), ("forwards", "backwards")])
def test_a_word_is_the_states_after_its_last_and_before_its_first_character(runs, chosen) -> None:
    """One by one, by the run itself: forwards what stands before a word and the word, backwards what follows it."""
    codecs, examples = encoded([runs[name] for name in chosen])
    batch, model = batch_of(examples), model_of(codecs)
    assert model.states is not None and model.states.map is None
    found = by_token(batch, model.states(batch.lines))
    number = 0
    for row in ROWS:
        for place in range(len(row)):
            wanted = []
            if "forwards" in chosen:
                wanted.append(after(runs["forwards"], "\n" + " ".join(row[: place + 1])))
            if "backwards" in chosen:
                wanted.append(after(runs["backwards"], "\n" + " ".join(row[place:])[::-1]))
            torch.testing.assert_close(found[number], torch.cat(wanted), rtol=1e-5, atol=1e-6)
            number += 1
    assert number == len(found)


def test_raw_text_is_read_as_it_stands(runs) -> None:
    codecs, _ = encoded([runs["forwards"], runs["backwards"]])
    raw = sentences(
        [["Ada", "(", "in", "Rome", ")"]], ["  Ada (in\nRome)  "], [[2, 5], [6, 7], [7, 9], [10, 14], [14, 15]]
    )
    batch, model = batch_of(codecs.encode(raw)), model_of(codecs)
    found = by_token(batch, model.states(batch.lines))
    forwards, backwards = after(runs["forwards"], "\nAda (in"), after(runs["backwards"], "\n" + "in\nRome)"[::-1])
    torch.testing.assert_close(found[2], torch.cat([forwards, backwards]), rtol=1e-5, atol=1e-6)


def test_letters_stand_without_spaces_between_them(runs) -> None:
    codecs, examples = encoded([runs["forwards"]], [list("ives"), list("Roma")])
    assert codecs.lettered and examples.written is not None
    assert examples.written.spans.tolist()[4:] == [[0, 1], [1, 2], [2, 3], [3, 4]]
    batch, model = batch_of(examples), model_of(codecs)
    found = by_token(batch, model.states(batch.lines))
    torch.testing.assert_close(found[6], after(runs["forwards"], "\nRom"), rtol=1e-5, atol=1e-6)


def test_long_sentences_are_read_in_stretches(runs) -> None:
    """A stretch begins afresh: what its tokens get is what a sentence of these tokens alone would get."""
    codecs, examples = encoded(list(runs.values()), [*ROWS, LONG])
    pieces, model = stretches(examples.inputs.offsets, 20), model_of(codecs)
    assert len(pieces) > len(ROWS) + 2
    batch = batch_of(examples)
    found = by_token(batch, model.states(batch.lines))
    last = len(pieces) - 1
    offset = int(examples.inputs.offsets[len(ROWS)])
    part = LONG[int(pieces.first[last]) - offset : int(pieces.last[last]) - offset]
    alone = batch_of(codecs.encode(sentences([part])))
    own = by_token(alone, model.states(alone.lines))
    shift = int(pieces.first[last])
    for place in range(int(pieces.begin[last]), int(pieces.end[last])):
        assert torch.equal(found[place], own[place - shift])


# -- the same, whatever stands beside it ------------------------------------------------------------------------------


def test_a_sentence_alone_gives_the_same_states_as_in_a_batch(runs) -> None:
    codecs, examples = encoded(list(runs.values()), [*ROWS, LONG])
    model = model_of(codecs)
    model.states.readers.apply(lambda each: setattr(each, "room", 0))  # read anew each time
    whole = batch_of(examples)
    together = by_token(whole, model.states(whole.lines))
    pieces = stretches(examples.inputs.offsets, 20)
    for row in reversed(range(len(pieces))):
        batch = batch_of(examples, [row])
        for token, vector in by_token(batch, model.states(batch.lines)).items():
            assert torch.equal(vector, together[token])
    other = batch_of(examples, [5, 2, 0, 1])
    for token, vector in by_token(other, model.states(other.lines)).items():
        assert torch.equal(vector, together[token])
    some = examples.take(np.array([3, 2]))
    batch = batch_of(some)
    moved = by_token(batch, model.states(batch.lines))
    assert torch.equal(moved[1], together[int(examples.inputs.offsets[2])])


def test_steps_read_at_once_change_nothing(runs, monkeypatch: pytest.MonkeyPatch) -> None:
    codecs, examples = encoded(list(runs.values()), [*ROWS, LONG])
    batch = batch_of(examples)
    whole = model_of(codecs).states(batch.lines)
    monkeypatch.setattr(states, "STEPS", 7)
    assert torch.equal(model_of(codecs).states(batch.lines), whole)


def test_states_that_are_kept_are_those_that_would_be_read(runs) -> None:
    codecs, examples = encoded(list(runs.values()))
    batch, model = batch_of(examples), model_of(codecs)
    first = model.states(batch.lines)
    reader = model.states.readers[0]
    kept = dict(reader.kept)
    assert len(kept) == len(ROWS) and reader.room < states.MOST_KEPT
    assert torch.equal(model.states(batch.lines), first) and len(reader.kept) == len(ROWS)
    other = batch_of(examples, [2, 0])
    reader.kept.pop(next(iter(kept)))
    assert torch.equal(model.states(other.lines), model_of(codecs).states(other.lines))
    reader.room, reader.kept = 400, {}
    assert torch.equal(model.states(batch.lines), first)
    assert 0 < len(reader.kept) < len(ROWS), "what finds no room is read anew"
    assert sum(each.nbytes for each in reader.kept.values()) < 400


# -- frozen, and whole by itself --------------------------------------------------------------------------------------


def test_language_models_do_not_move(runs) -> None:
    codecs, examples = encoded(list(runs.values()), dropout=0.5)
    model, batch = model_of(codecs), batch_of(examples)
    before = {name: each.clone() for name, each in model.states.state_dict().items()}
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], 0.1)
    model.train()
    loss = torch.nn.functional.cross_entropy(model(batch).tags, batch.tags)
    loss.backward()
    optimizer.step()
    assert all(torch.equal(each, before[name]) for name, each in model.states.state_dict().items())
    assert all(each.grad is None for each in model.states.parameters())
    reader = model.states.readers[0]
    assert model.training and not any(each.training for each in reader.modules())
    reader.room, reader.kept = 0, {}
    assert torch.equal(model.states(batch.lines), model_of(codecs).states(batch.lines)), "no dropout in training either"


def test_wide_states_pass_through_a_learned_map(runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "WIDEST", 7)
    codecs, examples = encoded(list(runs.values()), dropout=0.5)
    model, batch = model_of(codecs, dropout=0.5), batch_of(examples)
    assert model.states.size == 7 and model.states(batch.lines).shape == (len(batch.places), 7)
    model.train()
    drawn = [model.states(batch.lines) for _ in range(2)]
    assert not torch.equal(*drawn)
    drawn[0].sum().backward()
    assert model.states.map.weight.grad.abs().sum() > 0


def test_codecs_keep_the_models_without_their_folders(runs, tmp_path: Path) -> None:
    folder = written_run(tmp_path / "gone", hidden_size=3)
    codecs, examples = encoded([folder, runs["backwards"]])
    model, batch = model_of(codecs), batch_of(examples)
    assets = codecs.assets()
    (tmp_path / "gone").rename(tmp_path / "moved")
    again = Codecs.restored(codecs.options, assets)
    assert [each.backwards for each in again.languages] == [False, True]
    loaded = model_of(again)
    assert not torch.equal(loaded.states(batch.lines), model.states(batch.lines)), "a fresh model until weights come"
    loaded.load_state_dict(model.state_dict())
    batch = batch_of(again.encode(sentences(ROWS)))
    assert torch.equal(loaded.states(batch.lines), model.states(batch.lines))
    assert not loaded.states.readers[0].kept, "a loaded model keeps nothing"


def rows_of(count: int) -> list[dict[str, list[str]]]:
    """Sentences of the book, and the tags of the names in them."""
    lines = [line[:-1].split() for line in BOOK.splitlines()]
    return [{"tokens": lines[i % len(lines)], "tags": ["B-PER", "O", "O", "B-LOC"]} for i in range(count)]


def test_a_saved_run_answers_the_same_with_the_language_model_s_folder_gone(tmp_path: Path) -> None:
    folder = written_run(tmp_path / "gone", hidden_size=3)
    weights = jobs.load(folder).model.decoder.encoder.state_dict()
    options = {**QUICK, "output": "crf", "epochs": 2, "learning_rate": 0.01, "language_model": (folder,)}
    task = Tag(TagOptions.of(options))
    trained = jobs.train(task, rows_of(40), out=tmp_path / "run", quiet=True)
    assert any("gone reads forwards" in finding.message for finding in task.found)
    read = [["Mia", "lives", "in", "Rome"], ["Ülm", "lives"]]
    answers = trained.predict(read)
    (tmp_path / "gone").rename(tmp_path / "moved")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    loaded = jobs.load(tmp_path / "elsewhere")
    assert loaded.predict(read) == answers
    assert all(torch.equal(each, weights[name]) for name, each in _frozen(loaded).items())
    fresh = Tag(TagOptions.of(options | {"language_model": ()}))
    assert not any(finding.level == "error" for finding in fresh.check(rows_of(40)))
    (error,) = Tag(TagOptions.of(options)).check(rows_of(40))
    assert error.level == "error" and "gone is no run folder" in error.message


def test_a_rate_of_zero_leaves_everything(runs, tmp_path: Path) -> None:
    options = {**QUICK, "epochs": 1, "learning_rate": 0.0, "language_model": tuple(runs.values())}
    begun = Tag(TagOptions.of(options))
    torch.manual_seed(begun.options.seed)
    begun.prepare(rows_of(40))
    fresh = begun.build().state_dict()
    trained = jobs.train(Tag(TagOptions.of(options)), rows_of(40), out=tmp_path / "run", quiet=True)
    assert all(torch.equal(each, fresh[name]) for name, each in trained.model.state_dict().items() if name != "share")


def _frozen(trained: jobs.Trained) -> dict[str, torch.Tensor]:
    states = trained.model.states
    assert isinstance(states, WordStates)
    return states.readers[0].encoder.state_dict()


def test_a_training_that_is_taken_up_again_ends_the_same(runs, tmp_path: Path) -> None:
    """To the bit: states that were kept are those that are read anew."""
    options = {**QUICK, "language_model": tuple(runs.values()), "learning_rate": 0.01}
    whole = jobs.train(Tag(TagOptions.of(options | {"epochs": 3})), rows_of(40), out=tmp_path / "whole", quiet=True)

    class Stop(Callback):
        def stepped(self, trainer: Any) -> None:
            if trainer.step == 3:
                trainer.stop(INTERRUPTED)

    task = Tag(TagOptions.of(options | {"epochs": 3}))
    jobs.train(task, rows_of(40), out=tmp_path / "half", quiet=True, callbacks=[Stop()])
    again = Tag(TagOptions.of(options | {"epochs": 3}))
    resumed = jobs.train(again, rows_of(40), out=tmp_path / "half", resume=True, quiet=True)
    assert all(torch.equal(each, whole.model.state_dict()[name]) for name, each in resumed.model.state_dict().items())


# -- what is refused --------------------------------------------------------------------------------------------------


def test_other_runs_are_refused_in_words(runs, tmp_path: Path) -> None:
    words = written_run(tmp_path / "words", tokenizer="words", vocabulary=300, epochs=0)
    with pytest.raises(OptionError, match="words reads words; a tagger reads characters: tokenizer=characters"):
        Language.read(words)
    with pytest.raises(OptionError, match="nowhere is no run folder"):
        encoded(["nowhere"])
    reviews = small.Small("classify", small.reviews)
    jobs.train(reviews.task(epochs=0), reviews.source(), out=tmp_path / "reviews", quiet=True)
    with pytest.raises(OptionError, match="is a run of 'classify', not of 'generate'"):
        Language.read(str(tmp_path / "reviews"))
    single = tmp_path / "single"
    jobs.train(Generate(GenerateOptions.of({**SMALL, "epochs": 0})), ["abc def " * 40], out=single, quiet=True)
    with pytest.raises(OptionError, match="single never saw the end of a line"):
        Language.read(str(single))
    with pytest.raises(FileFormatError, match="lower case"):
        Language(GenerateOptions(), Characters(lower=True).fit(["a\n"]))


def test_notes_tell_how_each_model_reads_and_what_it_does_not_know(runs) -> None:
    _, examples = encoded(list(runs.values()), [["Ada", "é"], ["ö"]])
    assert examples.written is not None
    forwards, backwards = examples.written.notes
    assert (
        forwards == f"{runs['forwards']} reads forwards, 6 numbers for each token; 2 of 6 characters are unknown to it"
    )
    assert "reads backwards, 4 numbers" in backwards


def test_without_language_models_nothing_is_read() -> None:
    codecs, examples = encoded([])
    assert examples.written is None and batch_of(examples).lines is None and model_of(codecs).states is None
    assert not any(name.startswith("language") for name in codecs.assets())


def test_text_and_places_of_tokens() -> None:
    texts, spans = states._texts(sentences([["a", "bcd"], ["ef"]]), " ")
    assert list(texts) == ["a bcd", "ef"] and spans.tolist() == [[0, 1], [2, 5], [0, 2]]
    cut = sentences([["a"], ["b", "c"]], texts=["a b c"] * 2, spans=[[0, 1], [2, 3], [4, 5]])
    texts, spans_of_cut = states._texts(cut, " ")  # of a long text, each sentence is its own part alone
    assert list(texts) == ["a", "b c"] and spans_of_cut.tolist() == [[0, 1], [0, 1], [2, 3]]
    assert isinstance(Written((), (Ragged.of([[1]]),), spans).take(np.array([0]), np.array([2])), Written)
