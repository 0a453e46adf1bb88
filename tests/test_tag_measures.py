"""Measures of tags against conlleval's rules read line by line, seqeval, published counts, and counts by hand."""

from __future__ import annotations

import inspect
import itertools
import sys
import time
import warnings
from collections import Counter
from types import ModuleType

import numpy as np
import pytest

from gatework.errors import ShapeError
from gatework.tasks.tag import chunks, measures

KINDS = ("PER", "LOC-X")
ALPHABET = ["O", "B", "I", *(f"{letter}-{kind}" for letter in "BIES" for kind in KINDS)]
LIKELY = ["O", "B-PER", "I-PER"]  # also drawn alone, so that spans agree often


# -- conlleval: one line after another ----------------------------------------------------------------------------

ENDS = {"BB", "BO", "BS", "IB", "IO", "IS", "EE", "EI", "EO", "EB", "ES", "SB", "SI", "SE", "SS", "SO"}
STARTS = {"BB", "IB", "OB", "OI", "EE", "EI", "OE", "EB", "SB", "BS", "IS", "OS", "ES", "SS", "SI", "SE"}


class Column:
    """One column of the file: the tag of the last line and of this one."""

    def __init__(self) -> None:
        self.tag, self.kind = "O", ""
        self.last, self.last_kind = "O", ""

    def read(self, text: str) -> None:
        self.last, self.last_kind = self.tag, self.kind
        self.tag, _, self.kind = text.partition("-")

    @property
    def ended(self) -> bool:
        return self.last + self.tag in ENDS or (self.last != "O" and self.last_kind != self.kind)

    @property
    def started(self) -> bool:
        return self.last + self.tag in STARTS or (self.tag != "O" and self.last_kind != self.kind)


def conlleval(lines: list[tuple[str, str] | None]) -> dict[str, Counter[str]]:
    """Counts by kind of a file's lines (true and predicted tag; None between sentences), with "" of tokens."""
    true, said, going = Column(), Column(), False
    counts = {name: Counter[str]() for name in ("right", "said", "true", "tokens")}
    for line in [*lines, None]:
        true.read(line[0] if line else "O")
        said.read(line[1] if line else "O")
        if going and true.ended and said.ended and true.last_kind == said.last_kind:
            counts["right"][true.last_kind] += 1
            going = False
        elif going and (true.ended != said.ended or true.kind != said.kind):
            going = False
        going = going or (true.started and said.started and true.kind == said.kind)
        counts["true"][true.kind] += true.started
        counts["said"][said.kind] += said.started
        if line:
            counts["tokens"]["all"] += 1
            counts["tokens"]["right"] += (true.tag, true.kind) == (said.tag, said.kind)
    return counts


def lines_of(true: list[str], said: list[str], lengths: np.ndarray) -> list[tuple[str, str] | None]:
    lines: list[tuple[str, str] | None] = []
    ends = np.cumsum(lengths).tolist()
    for start, stop in zip([0, *ends], ends, strict=False):
        lines += [*zip(true[start:stop], said[start:stop], strict=True), None]
    return lines


def drawn(seed: int) -> tuple[list[str], list[str], np.ndarray]:
    """A file: sentences of 0 to 12 tokens; a prediction that is often right."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(0, 13, draw.integers(1, 6))
    alphabet = ALPHABET if seed % 3 else LIKELY
    true = draw.choice(alphabet, lengths.sum()).tolist()
    other = draw.choice(alphabet, lengths.sum()).tolist()
    kept = draw.random(len(true)) < draw.choice([0.0, 0.5, 0.9, 1.0])
    return true, [a if keep else b for a, b, keep in zip(true, other, kept, strict=True)], lengths


def agrees_with_conlleval(seed: int) -> None:
    true, said, lengths = drawn(seed)
    want = conlleval(lines_of(true, said, lengths))
    got = measures.sums(true, said, lengths).sum(0)
    names = ("right", "said", "true")
    assert got[:3].tolist() == [want[name].total() for name in names], f"file {seed}"
    assert got[3:5].tolist() == [want["tokens"]["right"], want["tokens"]["all"]], f"file {seed}"
    rows = {row["kind"]: row for row in measures.by_kind(true, said, lengths)}
    for kind in set(rows) | set(want["true"] + want["said"]):
        row = rows[kind]
        assert [row["right"], row["predicted"], row["count"]] == [want[name][kind] for name in names], f"file {seed}"


def test_counts_are_those_of_conlleval_on_thousands_of_files() -> None:
    for seed in range(3_000):
        agrees_with_conlleval(seed)


def test_the_files_hold_every_pair_of_tags() -> None:
    follow, beside, empty = set[tuple[str, str]](), set[tuple[str, str]](), 0
    for seed in range(3_000):
        true, said, lengths = drawn(seed)
        beside |= set(zip(true, said, strict=True))
        empty += int((lengths == 0).sum())
        for start, stop in zip(lengths.cumsum() - lengths, lengths.cumsum(), strict=True):
            follow |= set(itertools.pairwise(true[start:stop]))
    every = set(itertools.product(ALPHABET, repeat=2))
    assert follow == every
    assert beside == every
    assert empty > 100


@pytest.mark.parametrize("seed", range(0, 600, 10))
def test_seqeval_says_the_same(seed: int) -> None:
    seqeval = pytest.importorskip("seqeval.metrics", reason="not kept any more: `pip install seqeval` adds it")
    true, said, lengths = drawn(seed)
    true, said = ([f"{tag}-bare" if len(tag) == 1 and tag != "O" else tag for tag in tags] for tags in (true, said))
    cuts = lengths.cumsum()[:-1]
    lists = [[part.tolist() for part in np.split(np.array(tags, object), cuts)] for tags in (true, said)]
    got = measures.measures(true, said, lengths)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = {"precision": seqeval.precision_score, "recall": seqeval.recall_score, "f1": seqeval.f1_score}
        for name, function in want.items():
            assert np.nan_to_num(got[name]) == pytest.approx(function(*lists), abs=1e-12), name
        table = seqeval.classification_report(*lists, output_dict=True) if len(got) and sum(map(len, lists[0])) else {}
    rows = {row["kind"]: row for row in measures.by_kind(true, said, lengths)}
    for kind, row in rows.items():
        assert row["count"] == table[kind]["support"]
        assert (row["f1"] or 0) == pytest.approx(table[kind]["f1-score"], abs=1e-12)


# -- published counts, and counts by hand -------------------------------------------------------------------------

PUBLISHED = """
    B-NP I-NP I-NP B-NP I-NP I-NP B-VP B-NP B-VP B-NP I-NP I-NP B-VP B-NP I-NP B-PP B-NP I-NP B-VP I-VP B-NP I-NP B-PP
    B-NP B-NP I-NP I-NP O
    I-NP I-NP I-NP B-NP I-NP I-NP B-VP B-NP B-VP B-NP I-NP I-NP B-VP B-NP I-NP B-PP I-NP I-NP B-PP I-VP I-NP I-NP B-PP
    I-NP B-NP I-NP I-NP O
"""


def test_the_example_of_conlleval_has_its_published_counts() -> None:
    """The first sentence of CoNLL-2000's example for its program, with the counts on the page of a port of it to Python
    (the package conlleval): 15 true, 16 predicted, 14 right."""
    both, lengths = PUBLISHED.split(), np.array([28])
    true, said = both[:28], both[28:]
    got = measures.measures(true, said, lengths)
    assert got == {"accuracy": 23 / 28, "precision": 0.875, "recall": 14 / 15, "f1": 28 / 31}
    rows = [tuple(row[name] for name in ("kind", "right", "predicted", "count"))
            for row in measures.by_kind(true, said, lengths)]  # fmt: skip
    assert rows == [("NP", 9, 9, 9), ("VP", 3, 4, 4), ("PP", 2, 3, 2)]


@pytest.mark.parametrize(
    ("tags", "lengths", "want"),
    [
        ("I-A I-A B-A I-A O I-A", [6], [(0, 2, "A"), (2, 4, "A"), (5, 6, "A")]),  # IOB1
        ("B-A I-A B-A O B-B I-B", [6], [(0, 2, "A"), (2, 3, "A"), (4, 6, "B")]),  # IOB2
        ("B-A E-A S-A S-A B-B I-B E-B", [7], [(0, 2, "A"), (2, 3, "A"), (3, 4, "A"), (4, 7, "B")]),  # BIOES
        ("B-A L-A U-A U-A B-B I-B L-B", [7], [(0, 2, "A"), (2, 3, "A"), (3, 4, "A"), (4, 7, "B")]),  # BILOU
        ("B-A M-A E-A W-A S-A", [5], [(0, 3, "A"), (3, 4, "A"), (4, 5, "A")]),  # BMEWO, BMES
        ("I-A I-B E-B I-B O E-A E-A", [7], [(0, 1, "A"), (1, 3, "B"), (3, 4, "B"), (5, 6, "A"), (6, 7, "A")]),
        ("I-A I-A I-A I-A", [2, 0, 2, 0], [(0, 2, "A"), (2, 4, "A")]),  # a sentence ends a span
        ("B I O I-x-y I-x-y", [5], [(0, 2, ""), (3, 5, "x-y")]),  # no kind; a kind with a hyphen
        ("O O", [1, 1], []),
        ("", [0], []),
        ("", [], []),
    ],
)
def test_spans_by_hand(tags: str, lengths: list[int], want: list[tuple[int, int, str]]) -> None:
    assert measures.spans(tags.split(), np.array(lengths, int)) == want


def test_a_token_without_a_truth_counts_nowhere_and_ends_spans() -> None:
    true = ["B-A", None, "I-A", "O", None]
    said = ["B-A", "I-A", "I-A", "O", "B-A"]
    assert measures.measures(true, said, np.array([5])) == {"accuracy": 1, "precision": 1, "recall": 1, "f1": 1}
    assert measures.sums(true, said, np.array([5])).tolist() == [[2, 2, 2, 3, 3, 0, 0, 0, 0, 0]]
    assert measures.by_kind(true, said, np.array([5]), plain=True)[0] == {
        "kind": "B-A", "precision": 1, "recall": 1, "f1": 1, "right": 1, "predicted": 1, "count": 1,
    }  # fmt: skip


def test_plain_tags_have_no_spans_but_a_row_for_each() -> None:
    true, said = ["N", "V", "N", "O"], ["N", "N", "N", "X"]
    assert measures.measures(true, said, np.array([2, 2]), plain=True) == {"accuracy": 0.5}
    rows = measures.by_kind(true, said, np.array([2, 2]), plain=True)
    assert [(row["kind"], row["precision"], row["recall"], row["f1"]) for row in rows] == [
        ("N", 2 / 3, 1, 0.8), ("V", None, 0, 0), ("O", None, 0, 0), ("X", 0, None, 0),
    ]  # fmt: skip


def test_labels_unseen_words_and_both() -> None:
    true, said = ["B-A", "O", "B-A", "O"], ["B-A", "O", "O", "O"]
    known = np.array([True, True, False, False])
    labels = (["x", "y", "x", None], ["x", "y", "y", "x"])
    got = measures.measures(true, said, np.array([1, 2, 1, 0]), known=known, labels=labels)
    assert got["accuracy_unseen"] == 0.5
    assert (got["label_accuracy"], got["both_right"]) == (2 / 3, 1 / 3)
    assert got["accuracy"] == 0.75
    assert measures.measures(true, said, np.array([4]), known=~known)["accuracy_unseen"] == 1


# -- tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("true", "said", "want"),
    [
        ("B-A I-A O", "B-B I-B O", [("A", "B", "kind", [0, 2], [0, 2])]),
        ("O B-A I-A", "B-A I-A I-A", [("A", "A", "start", [1, 3], [0, 3])]),
        ("B-A I-A O", "B-A O O", [("A", "A", "end", [0, 2], [0, 1])]),
        ("B-A I-A O", "O B-A I-A", [("A", "A", "start and end", [0, 2], [1, 3])]),
        ("B-A I-A O", "O B-B I-B", [("A", "B", "kind and borders", [0, 2], [1, 3])]),
        ("B-A O O", "O O O", [("A", None, "missed", [0, 1], None)]),
        ("O O O", "O B-A I-A", [(None, "A", "invented", None, [1, 3])]),
        ("B-A I-A I-A", "B-B I-B B-A", [("A", "B", "kind and borders", [0, 3], [0, 2])]),  # what covers most
        ("B-A I-A I-A", "B-A B-B I-B", [("A", "B", "kind and borders", [0, 3], [1, 3])]),
        ("B-A I-A", "B-B B-A", [("A", "B", "kind and borders", [0, 2], [0, 1])]),  # the first of two alike
        ("B-A B-A", "B-A I-A", [("A", "A", "end", [0, 1], [0, 2]), ("A", "A", "start", [1, 2], [0, 2])]),
    ],
)
def test_what_was_taken_for_what(true: str, said: str, want: list[tuple]) -> None:
    rows = measures.confusions(true.split(), said.split(), np.array([len(true.split())]))
    assert [(row["true"], row["predicted"], row["how"], *row["places"][0]) for row in rows] == want


def test_confusions_are_counted_and_each_missed_span_is_in_one() -> None:
    rows = measures.confusions(["N", "V", "V", "N"], ["V", "N", "N", "N"], np.array([4]), plain=True)
    assert [(row["true"], row["predicted"], row["how"], row["count"]) for row in rows] == [
        ("V", "N", "kind", 2), ("N", "V", "kind", 1),
    ]  # fmt: skip
    assert rows[0]["places"] == [([1, 2], [1, 2]), ([2, 3], [2, 3])]
    for seed in range(200):
        true, said, lengths = drawn(seed)
        right, found, there = measures.sums(true, said, lengths).sum(0)[:3]
        rows = measures.confusions(true, said, lengths)
        assert sum(row["count"] for row in rows if row["true"] is not None) == there - right
        assert sum(row["count"] for row in rows if row["true"] is None) <= found - right


def test_errors_by_how_often_training_saw_the_word() -> None:
    true, said = ["a", "a", "a", "a", None, "a", "a"], ["a", "b", "b", "a", "b", "b", "a"]
    rows = measures.by_frequency(true, said, np.array([0, 0, 1, 2, 5, 9, 10]))
    assert rows == [
        {"seen": "never", "tokens": 2, "wrong": 1, "rate": 0.5},
        {"seen": "once", "tokens": 1, "wrong": 1, "rate": 1.0},
        {"seen": "2 to 9 times", "tokens": 2, "wrong": 1, "rate": 0.5},
        {"seen": "10 times and more", "tokens": 1, "wrong": 0, "rate": 0.0},
    ]
    assert measures.by_frequency([None], ["a"], np.array([3])) == []


# -- laws ---------------------------------------------------------------------------------------------------------


def test_sums_of_sentences_add_up_in_any_order() -> None:
    for seed in range(100):
        true, said, lengths = drawn(seed)
        whole = measures.sums(true, said, lengths)
        ends = lengths.cumsum()
        for row, (start, stop) in enumerate(zip(ends - lengths, ends, strict=True)):
            alone = measures.sums(true[start:stop], said[start:stop], lengths[row : row + 1])
            assert alone.tolist() == whole[row : row + 1].tolist()
        for metric in ("accuracy", "precision", "recall", "f1"):
            np.testing.assert_equal(float(measures.score(whole.sum(0), metric)),
                                    measures.measures(true, said, lengths)[metric])  # fmt: skip
    several = np.stack([whole.sum(0), 2 * whole.sum(0)])
    assert measures.score(several, "accuracy").shape == (2,)


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    for seed in range(100):
        got = measures.measures(*drawn(seed))
        if got["precision"] > 0:
            want = 2 * got["precision"] * got["recall"] / (got["precision"] + got["recall"])
            assert got["f1"] == pytest.approx(want, rel=1e-14)


def test_nothing_gives_no_number_and_a_reason() -> None:
    none = np.zeros(0, bool)
    for lengths in (np.zeros(0, int), np.zeros(2, int)):
        labels = [None] * len(lengths)
        got = measures.measures([], [], lengths, known=none, labels=(labels, labels))
        assert np.isnan([*got.values()]).all()
        assert measures.reasons(got) == measures.REASONS
        assert measures.by_kind([], [], lengths) == measures.confusions([], [], lengths) == []
        assert measures.sums([], [], lengths).shape == (len(lengths), len(measures.COUNTS))
    got = measures.measures(["O", None], ["O", "B-A"], np.array([2]))
    assert measures.reasons(got).keys() == {"precision", "recall", "f1"}
    got = measures.measures(["O", "B-A"], ["O", "O"], np.array([2]))
    assert (got["recall"], got["f1"]) == (0, 0)
    assert measures.reasons(got) == {"precision": "no span was predicted"}


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="2 true tags, 1 predicted tags, and sentences of 2 tokens"):
        measures.sums(["O", "O"], ["O"], np.array([2]))
    with pytest.raises(ShapeError, match="1 true and 2 predicted labels for 2 sentences"):
        measures.sums(["O", "O"], ["O", "O"], np.array([1, 1]), labels=(["x"], ["x", "y"]))


def test_fifty_thousand_words_take_under_a_tenth_of_a_second() -> None:
    draw = np.random.default_rng(0)
    true, said = (draw.choice(ALPHABET, 50_000).tolist() for _ in range(2))
    lengths, seconds = np.full(2_500, 20), []
    for _ in range(5):
        began = time.process_time()
        measures.measures(true, said, lengths)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.1


# -- planted faults -----------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[ModuleType, str, str]] = {
    "an end off by one": (chunks, "np.flatnonzero(ends) + 1", "np.flatnonzero(ends)"),
    "a kind is ignored": (
        chunks,
        "self.true_spans[1:], self.said_spans[1:]",
        "self.true_spans[1:2], self.said_spans[1:2]",
    ),
    "an end is ignored": (
        chunks,
        "self.true_spans[1:], self.said_spans[1:]",
        "self.true_spans[2:], self.said_spans[2:]",
    ),
    "another kind goes on": (chunks, " | (kind[1:] != kind[:-1])", ""),
    "a sentence does not end a span": (chunks, "(self.sentence[1:] != self.sentence[:-1]) | ", ""),
    "I goes on after E": (chunks, "(outside | closes)[:-1]", "outside[:-1]"),
    "B goes on": (chunks, "(opens | new)", "new"),
    "S does not begin": (chunks, 'set("BSUW")', 'set("B")'),
    "a mean over sentences": (
        measures,
        "float(score(counts, metric))",
        "float(np.nanmean(score(sums(true, said, lengths, plain=plain, known=known, labels=labels), metric)))",
    ),
    "the larger for the mean": (measures, "np.mean(bottom, 0)", "np.max(bottom, 0)"),
    "recall for precision": (
        measures,
        '"precision": ("right spans", "said spans")',
        '"precision": ("right spans", "true spans")',
    ),
    "unknown truths count": (chunks, "second[first < 0] = -1", "pass"),
    "seen words are unseen": (measures, "~np.asarray(known, bool)", "np.asarray(known, bool)"),
    "the least covered span": (measures, "(-meetings[1], shared)", "(-meetings[1], -shared)"),
    "the last of two alike": (measures, "(-meetings[1], shared)", "(meetings[1], shared)"),
    "once is never": (measures, '"never": 1', '"never": 2'),
}


@pytest.fixture
def faulty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A copy of measures where it, or chunks below it, holds the fault."""
    place, right, wrong = FAULTS[request.param]
    copies = []
    for module in (chunks, measures):
        source = inspect.getsource(module)
        if module is place:
            assert source.count(right) == 1, f"{right!r} stands {source.count(right)} times in {module.__name__}"
            source = source.replace(right, wrong)
        copies.append(ModuleType(module.__name__))
        monkeypatch.setitem(sys.modules, module.__name__, copies[-1])
        exec(compile(source, module.__name__, "exec"), copies[-1].__dict__)
    return copies[1]


@pytest.mark.parametrize("faulty", FAULTS, indirect=True)
def test_the_comparisons_find_a_planted_fault(faulty: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "measures", faulty)
    with pytest.raises((AssertionError, KeyError)):
        compare()


def test_the_comparisons_pass_without_a_fault() -> None:
    compare()


def compare() -> None:
    for seed in range(60):
        agrees_with_conlleval(seed)
    test_the_example_of_conlleval_has_its_published_counts()
    test_spans_by_hand("I-A B-A E-A", [3], [(0, 1, "A"), (1, 3, "A")])
    test_a_token_without_a_truth_counts_nowhere_and_ends_spans()
    test_labels_unseen_words_and_both()
    test_sums_of_sentences_add_up_in_any_order()
    test_what_was_taken_for_what("B-A I-A I-A", "B-B I-B B-A", [("A", "B", "kind and borders", [0, 3], [0, 2])])
    test_what_was_taken_for_what("B-A I-A", "B-B B-A", [("A", "B", "kind and borders", [0, 2], [0, 1])])
    test_errors_by_how_often_training_saw_the_word()
