"""Schemes of tags: found out, faults, to BIOES and back, against slow loops over every short sentence."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatework.runtime.tags import schemes
from gatework.tasks.tag.options import TagOptions
from gatework.tasks.tag.schemes import faults, find, written_otherwise

KINDS = ("x", "y")


def of_spans(spans: list[tuple[int, int, str]], length: int, scheme: str) -> list[str]:
    """Tags of one sentence's spans, written straight from the schemes' definitions."""
    tags, letters = ["O"] * length, schemes.LETTERS[scheme]
    for place, (start, stop, kind) in enumerate(spans):
        for i in range(start, stop):
            first, last = i == start, i == stop - 1
            if scheme == "IOB1":
                touches = place > 0 and spans[place - 1][1:] == (start, kind)
                letter = "B" if first and touches else "I"
            elif scheme == "IOB2":
                letter = "B" if first else "I"
            else:
                letter = letters[3 if first and last else 0 if first else 2 if last else 1]
            tags[i] = f"{letter}-{kind}"
    return tags


@st.composite
def sentences(draw) -> list[tuple[int, list[tuple[int, int, str]]]]:
    """Sentences as their length and spans: any length, gaps of none and more, kinds that repeat side by side."""
    found = []
    for _ in range(draw(st.integers(1, 5))):
        pieces = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(KINDS)), max_size=5))
        at, spans = 0, []
        for gap, size, kind in pieces:
            spans.append((at + gap, at + gap + size, kind))
            at += gap + size
        found.append((max(at + draw(st.integers(0, 1)), 1), spans))
    return found


@given(sentences(), st.sampled_from(schemes.SCHEMES[1:]))
def test_every_scheme_goes_to_bioes_and_back(drawn, scheme: str) -> None:
    lengths = np.array([length for length, _ in drawn])
    tags = [tag for length, spans in drawn for tag in of_spans(spans, length, scheme)]
    bioes = [tag for length, spans in drawn for tag in of_spans(spans, length, "BIOES")]
    assert schemes.to_bioes(tags, lengths, scheme) == bioes
    assert schemes.from_bioes(bioes, lengths, scheme) == tags
    assert not faults(tags, lengths, scheme, str)
    offsets = np.cumsum([0, *lengths])
    for (_, spans), start, stop in zip(drawn, offsets, offsets[1:], strict=False):
        assert schemes.spans(bioes[start:stop]) == spans


@pytest.mark.parametrize("scheme", schemes.SCHEMES[1:])
def test_a_scheme_is_found_out(scheme: str) -> None:
    spans = [(0, 3, "x"), (3, 4, "x"), (5, 7, "y"), (8, 11, "y"), (12, 13, "y")]
    assert find(of_spans(spans, 14, scheme), np.array([14])) == scheme


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["NN", "B", "I", "VB"], "plain"),
        (list("HHEEGGBTSICC"), "plain"),  # the structures of residues: B, E, I and S among them
        (list("BIOES") * 3 + ["H"], "plain"),
        (list("IIOOIO"), "plain"),
        (list("BIIOBO"), "IOB2"),
        (list("BMESBES"), "BMES"),
        (list("EBSMEBSMEM"), "plain"),  # the same letters, in no order
        (["O", "O"], "plain"),
        ([None, "B-x", None, "I-x"], "IOB2"),
        (["B-x", "I-x", "O"] * 100 + ["E-x"], "IOB2"),  # one slip makes no other scheme
        (["I-x", "O", "I-y", "I-y"], "IOB1"),
        (["U-x", "O"], "BILOU"),
        (["B-x-y", "I-x-y"], "IOB2"),
        (["I-adv", "Xadv", "Yadv", "O"], "plain"),
    ],
)
def test_what_is_found(tags: list[str | None], scheme: str) -> None:
    assert find(tags, np.array([len(tags)])) == scheme


def follows(before: str | None, tag: str, scheme: str) -> bool:
    """Whether a tag can stand after another (None: first of a sentence), by the definitions."""
    before = before or "O"
    goes_on = before[0] in "BI" and before[1:] == tag[1:]
    if scheme == "IOB1":
        return tag[0] != "B" or goes_on
    if scheme == "IOB2":
        return tag[0] != "I" or goes_on
    return goes_on if tag[0] in "IE" else before[0] not in "BI"


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BIOES"])
def test_faults_are_those_of_a_loop(scheme: str) -> None:
    """Every sentence of three tags."""
    names = ["O", *(f"{letter}-{kind}" for letter in schemes.LETTERS[scheme] for kind in KINDS)]
    for tags in itertools.product(names, repeat=3):
        pairs = zip((None, *tags), tags, strict=False)
        wrong = [i for i, (before, tag) in enumerate(pairs) if not follows(before, tag, scheme)]
        ends = [2] if scheme == "BIOES" and tags[2][0] in "BI" else []
        found = [fault.row for fault in faults(tags, np.array([3]), scheme, str)]
        assert found == wrong[:1] + ends, tags


def test_allowed_agrees_with_the_loop() -> None:
    names = ["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in KINDS)]
    start, follow, end = schemes.allowed(names, "BIOES")
    for i, tag in enumerate(names):
        assert start[i] == follows(None, tag, "BIOES")
        assert end[i] == (tag[0] not in "BI")
        assert [follow[j, i] for j in range(len(names))] == [follows(other, tag, "BIOES") for other in names]
    assert schemes.allowed(["a", "b"], "plain")[1].all()


def test_no_allowed_tag_is_a_dead_end() -> None:
    """A kind that never ends among the learned tags may be left at once."""
    start, follow, end = schemes.allowed(["O", "B-x", "S-y"], "BIOES")
    assert start.all() and follow.all() and end.all()


def test_a_fault_names_place_both_tags_and_what_to_do() -> None:
    tags = ["O", "I-PER", "O", "I-LOC", "B-LOC", "I-LOC"]
    (fault,) = faults(tags, np.array([3, 3]), "IOB2", lambda i: f"a.conll, line {i + 1}")
    for part in ("a.conll, line 2", "'I-PER' cannot follow 'O'", "2 such tags", "line 4", "bad_spans", "scheme='IOB1'"):
        assert part in fault.message
    assert fault.level == "error" and fault.row == 1
    (odd,) = faults(["B-x", "L-x"], np.array([2]), "IOB2", str)
    assert "'L-x' is none of IOB2" in odd.message


@pytest.mark.parametrize(
    ("tags", "scheme", "bioes"),
    [
        (["O", "I-x", "I-x"], "IOB2", ["O", "B-x", "E-x"]),
        (["B-x", "I-y"], "IOB2", ["S-x", "S-y"]),
        (["B-x", "O", "E-x"], "BIOES", ["S-x", "O", "S-x"]),
        (["B-x", "I-x", "L-x"], "IOB2", ["B-x", "E-x", "O"]),
        (["B-x", None, "E-x"], "BIOES", ["B-x", None, "E-x"]),
        (["B-x", "I-x", None, "O"], "IOB2", ["B-x", "E-x", None, "O"]),
        (["B", "I", "O"], "IOB2", ["B", "E", "O"]),
    ],
)
def test_faulty_spans_are_put_in_order(tags, scheme: str, bioes) -> None:
    assert schemes.to_bioes(tags, np.array([len(tags)]), scheme) == bioes


def test_spans_out_of_order_are_none() -> None:
    assert schemes.spans(["I-x", "E-x", "B-x", "O", "B-x", "E-y", "S-z", None]) == [(6, 7, "z")]


def test_two_hundred_thousand_tags_take_less_than_a_second() -> None:
    tags, lengths = ["B-x", "I-x", "O", "B-y"] * 50_000, np.full(8_000, 25)
    start = time.process_time()
    scheme = find(tags, lengths)
    faults(tags, lengths, scheme, str)
    schemes.from_bioes(schemes.to_bioes(tags, lengths, scheme), lengths, scheme)
    assert time.process_time() - start < 1


def test_every_scheme_can_be_asked_for() -> None:
    """Also by the config of a run, which holds the scheme that was found."""
    assert [TagOptions(scheme=name).scheme for name in schemes.SCHEMES] == list(schemes.SCHEMES)


@pytest.mark.parametrize("tag", ["PER-B", "b-per", "B_PER", "b", "PER/I"])
def test_spans_written_otherwise_are_named(tag: str) -> None:
    assert written_otherwise([tag, "O", tag]) == tag
    assert written_otherwise([tag, "NN", "O", "VB"]) is None
    assert written_otherwise([tag, tag]) is None, "no token lies outside"


@pytest.mark.parametrize("tag", ["B-PER", "NN", "NP-SBJ", "wh-word"])
def test_other_tags_are_not(tag: str) -> None:
    assert written_otherwise([tag, "O", tag]) is None
