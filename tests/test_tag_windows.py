"""Features of windows: the same numbers everywhere, as many as there are values at places, none across sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from gatework.runtime.texts import windows
from gatework.runtime.texts.windows import are_letters, features
from gatework.tasks.tag.sums import sums

TEXT = "He said that U.S. sales of the ABC-2000 fell 3.5 % in Übersee , as sales in Norden did ."
WORDS = TEXT.split()
LENGTHS = np.array([8, 11, 1])


def short_shape(word: str) -> str:
    return re.sub(r"(x|X|d)\1+", r"\1", shape(word))


def shape(word: str) -> str:
    return "".join("X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else c for c in word)


def described(words: list[str], at: int) -> Iterator[tuple]:
    """What the features of one token tell, word by word: (what, where, values)."""

    def value(what: str, place: int) -> str:
        if not 0 <= at + place < len(words):
            return ""
        word = words[at + place]
        kind, _, size = what.partition(" ")
        short = kind == "short"
        made = {"lower": word.lower(), "form": word, "shape": shape(word), "short": short_shape(word)}
        return made.get(kind) or (word[: int(size)] if kind == "prefix" else "" if short else word[-int(size) :])

    for places in [(-2,), (-1,), (0,), (1,), (2,), (-2, -1), (-1, 0), (0, 1), (1, 2)]:
        yield "lower", places, tuple(value("lower", place) for place in places)
    affixes = [f"{end} {size}" for end in ("prefix", "suffix") for size in (1, 2, 3, 4)]
    for what in ("form", *affixes, "shape", "short shape"):
        yield from ((what, (place,), (value(what, place),)) for place in (-1, 0, 1))


def sentences(words: list[str], lengths: np.ndarray) -> list[list[str]]:
    ends = np.cumsum(lengths)
    return [words[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def test_features_are_equal_where_what_they_tell_is() -> None:
    made = features(WORDS, LENGTHS)
    told = [list(described(words, at)) for words in sentences(WORDS, LENGTHS) for at in range(len(words))]
    assert made.shape == (20, len(told[0])) and made.dtype == np.int32 and made.min() >= 0
    names: dict[int, tuple] = {}
    numbers: dict[tuple, int] = {}
    for row, tells in zip(made.tolist(), told, strict=True):
        for number, tell in zip(row, tells, strict=True):
            assert names.setdefault(number, tell) == tell
            assert numbers.setdefault(tell, number) == number


def test_saved_models_keep_their_meaning() -> None:
    """Golden numbers: where they change, every saved run reads other features than it learned."""
    made = features(["Zoë", "ran", "3", "km"], np.array([4]), {"part of speech": ["N", "V", "C", "N"]})
    assert made[0, :6].tolist() == [1236846009, 1688310740, 735864993, 1905097227, 114415963, 1873147925]
    assert made[3, -6:].tolist() == [1645673037, 1110654855, 1944124386, 1412666174, 1839287920, 164149848]
    assert features(list("MKV"), np.array([3]), letters=True)[1, 8:12].tolist() == [
        359136262,
        458805172,
        1340456117,
        822414193,
    ]


def test_sentences_do_not_see_each_other() -> None:
    whole = features(WORDS, LENGTHS)
    alone = [features(words, np.array([len(words)])) for words in sentences(WORDS, LENGTHS)]
    np.testing.assert_array_equal(whole, np.concatenate(alone))


def test_blocks_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = features(WORDS, LENGTHS), features(list("MKVLAAGIVG"), np.array([7, 3]), letters=True)
    monkeypatch.setattr(windows, "BLOCK", 3)
    np.testing.assert_array_equal(features(WORDS, LENGTHS), whole[0])
    np.testing.assert_array_equal(features(list("MKVLAAGIVG"), np.array([7, 3]), letters=True), whole[1])


def test_no_tokens_have_no_features() -> None:
    assert len(features([], np.zeros(0, np.int64))) == 0


def test_letters_are_seen_ten_to_both_sides() -> None:
    chain = list("ACDEFGHIKLMNPQRSTVWYACDEF")
    changed = [*chain[:12], "X", *chain[13:]]
    lengths = np.array([25])
    differ = (features(chain, lengths, letters=True) != features(changed, lengths, letters=True)).any(1)
    assert np.flatnonzero(differ).tolist() == list(range(2, 23))


def test_words_of_one_letter_make_no_chain() -> None:
    assert are_letters(list("MKV")) and not are_letters(["a", "bc"]) and not are_letters([])


def test_further_columns_are_known_by_name() -> None:
    first, second = ["N", "V", "N"], ["x", "x", "y"]
    lengths, words = np.array([3]), ["a", "b", "c"]
    there = features(words, lengths, {"pos": first, "more": second})
    other = features(words, lengths, {"more": second, "pos": first})
    np.testing.assert_array_equal(np.sort(there), np.sort(other))
    assert (np.sort(features(words, lengths, {"pos": second, "more": first})) != np.sort(there)).any(1).all()


def test_hashes_are_spread_evenly() -> None:
    """Of n different values in 2^b buckets, n - n^2 / 2^(b + 1) numbers are different if chance puts them there."""
    words = [f"{word}{number}" for word in ("abc", "Xyz-") for number in range(20_000)]
    made = features(words, np.ones(len(words), np.int64))
    forms = np.concatenate([made[:, 2], made[:, 10]])  # lower and form of the token itself
    count = 2 * len(words)
    assert count - len(np.unique(forms)) <= 12  # expected: 1.5
    for bits in (16, 18):
        filled = np.bincount(forms & (2**bits - 1), minlength=2**bits)
        rate = count / 2**bits
        assert np.var(filled) == pytest.approx(rate, rel=0.05)
        assert (filled == 0).mean() == pytest.approx(np.exp(-rate), rel=0.02)


def test_sums_are_embedding_bags_and_so_are_their_gradients() -> None:
    made = torch.from_numpy(features(WORDS, LENGTHS)) % 64
    weigh = torch.randn(len(made), 5, generator=torch.Generator().manual_seed(1))
    one, other = (torch.linspace(-1, 1, 320).reshape(64, 5).requires_grad_() for _ in range(2))
    found, plain = sums(one, made), torch.nn.functional.embedding_bag(made, other, mode="sum")
    torch.testing.assert_close(found, plain)
    (found * weigh).sum().backward()
    (plain * weigh).sum().backward()
    torch.testing.assert_close(one.grad, other.grad)


def test_gradients_count_features() -> None:
    weight = torch.zeros(8, 2, requires_grad=True)
    sums(weight, torch.tensor([[0, 0, 3], [3, 5, 0]], dtype=torch.int32))[:, 1].sum().backward()
    assert weight.grad is not None
    assert weight.grad[:, 1].tolist() == [3, 0, 0, 2, 0, 1, 0, 0] and not weight.grad[:, 0].any()
