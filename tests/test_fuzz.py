"""A few hundred mutants of each kind (`python tests/fuzz.py` draws thousands), and files of anything at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatework.data.readers import read_table
from gatework.data.sequences import check_sequences, read_sequences
from gatework.errors import DataError
from mutants import Mutants

KINDS = {"tables": 250, "json": 250, "ts": 250, "layers": 250, "runs": 200}
LINES = st.lists(st.text("ab1,;\t\"'\r:?@ \u2028\ud7ff-.", max_size=12), max_size=12).map("\n".join)


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mutants]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Mutants(tmp_path_factory.mktemp("mutants"))
    torch.set_num_threads(threads)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_is_answered_or_refused(mutants: Mutants, kind: str) -> None:
    for number in range(1_000_000, 1_000_000 + KINDS[kind]):  # others than those that a run of fuzz.py begins with
        try:
            mutants.attempt(kind, number)
        except Exception as error:
            error.add_note(f"{kind} {number}: repeat it with tests/fuzz.py {kind} --first {number} --count 1")
            raise


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=200) | LINES.map(str.encode),
    name=st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a", "a.ts"]),
)
def test_any_bytes_are_a_table_or_refused(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"@data\n" + data if name == "a.ts" else data)
    with suppress(DataError):
        if name == "a.ts":
            assert all(finding.message for finding in check_sequences(read_sequences(path)))
        else:
            table = read_table(path)
            assert len(table) and table.columns and table.where(len(table) - 1)
