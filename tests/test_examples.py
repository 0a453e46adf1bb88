"""Every numbered example runs as it stands, in an empty folder, in under a minute."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sources import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# The programs of the articles: where a line has its result, where the output has what it must beat; is more better?
PROGRAMS = {
    "05_three_sentences": (r"-> ([\d.]+), 3 of 3 right", r"loss ([\d.]+) ->", False),
    "06_characters": (r"([\d.]+) nats per character; writes", r"alone: ([\d.]+) nats", False),
    "07_topics": (r"([\d.]+) on new ones", r"topic is right in ([\d.]+)", True),
    "08_stop_words_and_stems": (r"test accuracy ([\d.]+)", r"topic is right in ([\d.]+)", True),
    "09_lstm_from_equations": (r"squared error ([\d.]+) over", r"([\d.]+) over \d+ steps\n", False),
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "torch", "MPLBACKEND": "agg", "PYTHONWARNINGS": "default"}
    command = [sys.executable, str(path)]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip(), "an example shows something"
    if path.stem in PROGRAMS:
        check_results(run.stdout, *PROGRAMS[path.stem])


def check_results(shown: str, result: str, rival: str, higher: bool) -> None:
    """Both APIs show the LSTM and both plain RNNs; the LSTM beats the simple rival, which the output names too."""
    (beaten, *_) = map(float, re.findall(rival, shown))
    for api in ("torch", "keras"):
        for kind in ("LSTM", "RNN, tanh", "RNN, sigmoid"):
            (found,) = re.findall(rf"^{api}, {kind}: .*?{result}", shown, re.MULTILINE)
            assert kind != "LSTM" or (float(found) > beaten if higher else float(found) < beaten), (api, kind, found)


def test_the_programs_of_the_articles_are_there() -> None:
    assert {path.stem for path in EXAMPLES} >= set(PROGRAMS)


def test_examples_are_numbered() -> None:
    assert not [p.name for p in EXAMPLES if not re.fullmatch(r"\d\d_\w+\.py", p.name)]
    numbers = [p.name[:2] for p in EXAMPLES]
    assert len(set(numbers)) == len(numbers), f"two examples share a number: {numbers}"
