"""The server against strangers: schemathesis on its own OpenAPI, hypothesis on the socket. `benchmarks/serve_fuzz.py`
does the same ten thousand times."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from websockets.sync.client import connect

from layer_files import write_layer
from servers import Running, running

EXAMPLES = settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served")
    with running(write_layer(folder / "layer.safetensors"), "--state", str(folder / "state")) as found:
        yield found


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_address_answers_as_it_says(mode: GenerationMode, server: Running) -> None:
    """Status, type and form of each answer are those that OpenAPI names; bad requests are refused; no 500."""
    api = schemathesis.openapi.from_url(f"{server.address}/openapi.json")
    for found in api.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.path_parameters):
            continue  # there is nothing to do wrong

        @EXAMPLES
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            case.call_and_validate()

        check()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
)
MESSAGES = (
    JSON.map(json.dumps)
    | st.text()
    | st.binary(max_size=40)
    | st.lists(st.floats(width=32), min_size=3, max_size=3).map(json.dumps)
)


@EXAMPLES
@given(messages=st.lists(MESSAGES, min_size=1, max_size=20))
def test_a_socket_answers_every_message(server: Running, messages: list[str | bytes]) -> None:
    with connect(f"{server.socket}") as stream:
        steps = json.loads(stream.recv())["steps"]
        for message in messages:
            stream.send(message)
            answer = stream.recv(timeout=20)
            if isinstance(answer, bytes):
                number: Any = int.from_bytes(answer[:8], "little")
            else:
                said = json.loads(answer)
                assert set(said) in ({"step", "answer"}, {"error", "status"})
                assert said.get("status", 422) == 422, said
                number = said.get("step")
            steps += number is not None
            assert number in (None, steps)
