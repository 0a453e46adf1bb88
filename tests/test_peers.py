"""The fast part of other projects' tests (see peers.py): all of torch's and ONNX' cases; of Keras', one file."""

from __future__ import annotations

import pytest

from peers import DIFFERENCES, SUITES, keras_results, results, unexplained


@pytest.mark.filterwarnings("ignore")  # the cases provoke torch's own warnings
@pytest.mark.parametrize(("suite", "least"), [("torch", 500), ("onnx", 15)])
def test_peers_cases(suite: str, least: int) -> None:
    found = SUITES[suite]()
    assert not unexplained(found), {name: found[name] for name in unexplained(found)}
    assert list(found.values()).count("passed") >= least


def test_keras_own_tests_of_a_layer() -> None:
    found = keras_results("simple_rnn")
    assert not unexplained(found), found
    assert list(found.values()).count("passed") >= 5


def test_a_failure_is_seen_unless_it_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise AssertionError("2 is not 3")

    found = results(iter([("a case", fails), ("another", lambda: None)]))
    assert found == {"a case": "failed: AssertionError: 2 is not 3", "another": "passed"}
    assert unexplained(found) == ["a case"]
    monkeypatch.setitem(DIFFERENCES, "a c.*", "as it should be")
    assert not unexplained(found)
