"""Who earned a translation: an untrained network wins nothing, a trained one does; learned sources are told of."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from gatework.tasks import jobs
from gatework.tasks.translate import Translate, TranslateOptions

SMALL = {"embedding_size": 24, "encoder_size": 24, "hidden_size": 48, "batch_size": 32, "dropout": 0.0}
WORDS = {"ein": "a", "der": "the", "hund": "dog", "mann": "man", "rennt": "runs", "sitzt": "sits", "rot": "red"}


def sentences(count: int, seed: int = 1) -> list[tuple[str, str]]:
    """Sentences word by word in another order, so that a lexicon knows the words and not their places."""
    draw = random.Random(seed)
    found = set()
    while len(found) < count:
        found.add(tuple(draw.choices(list(WORDS), k=draw.randint(2, 8))))
    return [(" ".join(words), " ".join(WORDS[word] for word in reversed(words))) for words in sorted(found)]


def spelled(count: int, seed: int = 1) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    words = sorted({"".join(draw.choices("abcdefgh", k=draw.randint(3, 7))) for _ in range(count)})
    return [(word, " ".join(word[::-1].upper())) for word in words]


def trained(folder: Path, pairs: list[tuple[str, str]], **options) -> dict[str, Any]:
    """The results of a training."""
    task = Translate(TranslateOptions(**{**SMALL, "valid_share": 0.2, **options}))
    return jobs.train(task, pairs, out=folder / pairs[0][0], quiet=True).run.results()


@pytest.mark.parametrize("pairs", [sentences(300), spelled(300)], ids=["sentences", "spellings"])
@pytest.mark.parametrize("rate", [{"learning_rate": 0.0, "epochs": 1}, {"epochs": 0}], ids=["rate 0", "no epoch"])
def test_a_network_that_learned_nothing_earns_nothing(tmp_path: Path, pairs: list[tuple[str, str]], rate: dict) -> None:
    found = trained(tmp_path, pairs, **rate)
    assert found["comparison"]["earned"] in ("baseline", "even"), found["verdict"]


def test_a_network_that_writes_nothing_wins_nothing() -> None:
    """Where lengths cannot be known, all that is written is longer than what is right."""
    draw = random.Random(0)
    pairs = [("".join(draw.choices("abcdefgh", k=10)), "xy" if i % 2 else "abcdefghij") for i in range(60)]
    task = Translate(TranslateOptions(**SMALL, test_share=0.5))
    errors = {each.name: each.metrics["symbol_error"] for each in task.baselines(task.prepare(pairs))}
    assert errors["empty"] == 1 < errors["copy"]


def test_a_network_that_learned_earns_its_result(tmp_path: Path) -> None:
    found = trained(tmp_path, spelled(1_000), epochs=20, learning_rate=1e-2)
    assert found["comparison"]["earned"] == "network", found["verdict"]
    assert [row["name"] for row in found["baselines"]] == ["copy", "empty", "nearest source", "letter by letter"]
    assert found["comparison"]["low"] > 0


def test_measures_fit_the_targets(tmp_path: Path) -> None:
    texts, spellings = trained(tmp_path, sentences(100), epochs=0), trained(tmp_path, spelled(100), epochs=0)
    assert texts["metric"]["name"] == "bleu"
    assert {"loss", "perplexity", "bleu", "chrf", "ter", "exact"} <= texts["valid"].keys()
    assert spellings["metric"] == {"name": "symbol_error", "higher": False, "idle": None}
    assert {"loss", "perplexity", "word_error", "symbol_error"} <= spellings["valid"].keys()
    assert texts["data"]["signature"]["bleu"].startswith("nrefs:1|case:mixed|")
    assert spellings["data"]["judged"].startswith("symbols with spaces")


def test_translations_in_lower_case_are_compared_in_lower_case(tmp_path: Path) -> None:
    pairs = [(source, target.upper()) for source, target in sentences(100)]
    run = trained(tmp_path, pairs, epochs=0, lower="both")
    assert run["data"]["signature"]["bleu"].startswith("nrefs:1|case:lc|")
    words = next(row for row in run["baselines"] if row["name"] == "word by word")
    assert words["metrics"]["ter"] < 100


def test_sources_that_were_learned_are_told_of(tmp_path: Path) -> None:
    pairs = sentences(100)
    run = jobs.train(Translate(TranslateOptions(**SMALL, epochs=0)), pairs, out=tmp_path / "run", quiet=True)
    new = [(f"{source} {source} ein", target) for source, target in pairs[:20]]
    with pytest.warns(UserWarning, match="learned from"):
        jobs.load(tmp_path / "run").evaluate([*new, *pairs])
    assert not run.task.caution(run.task.codecs.encode(run.task.examples(new).pairs))
