"""The server over HTTP and sockets, in this process: answers, refusals, limits, who may come in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from gatework import runtime
from gatework.errors import FileFormatError, OptionError
from gatework.serve.guard import Access, Rates, read_token
from gatework.serve.limits import Limits
from gatework.serve.served import named, opened
from gatework.serve.server import Settings, bound
from layer_files import write_layer
from served_models import Moods, client, layer, served_moods

I = 3
STEP = [0.5, -1.0, 2.0]
JSON = {"Content-Type": "application/json"}
TOKEN = "a-token-of-good-length"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layer(tmp_path_factory.mktemp("layers") / "layer.safetensors", inputs=I)


def post(there: TestClient, address: str, body: Any, **headers: str) -> Any:
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    return there.post(address, content=content, headers=JSON | headers)


def refused(response: Any, code: int, text: str) -> None:
    """An error of this status in JSON whose message has this text, and no path."""
    assert response.status_code == code, response.text
    message = response.json()["error"]
    assert re.search(text, message), message
    places = (tempfile.gettempdir(), str(Path(__file__).parents[1]), "Traceback", ".py")
    assert not [each for each in places if each in response.text], message


# ---- predictions
def test_predictions_of_a_layer_are_those_of_its_runner(path: Path) -> None:
    row = np.random.default_rng(0).standard_normal((4, I)).round(3)
    expected = runtime.load(path).run(row[:, None])[:, 0]
    with client(layer(path)) as there:
        found = post(there, "/v1/layer/predict", {"rows": [row.tolist()] * 2}).json()["answers"]
    assert [np.array_equal(np.float32(each["outputs"]), expected) for each in found] == [True, True]


def test_rows_come_as_json_or_csv() -> None:
    with client(served_moods(Moods())) as there:
        texts = post(there, "/v1/moods/predict", {"rows": ["a fine film", {"text": "dull"}]})
        table = there.post(
            "/v1/moods/predict", content='text,n\n"a fine\nfilm",1\ndull,2\n', headers={"Content-Type": "text/csv"}
        )
    assert [each["label"] for each in texts.json()["answers"]] == ["good", "bad"]
    assert table.json() == texts.json()


BAD = {
    "no JSON": ("{", 422, "no JSON"),
    "NaN": ('{"rows": [NaN]}', 422, "NaN is no number"),
    "half a character": (r'{"rows": ["\ud800"]}', 422, "half of a character"),
    "no UTF-8": (b'{"rows": ["\xff"]}', 422, "UTF-8"),
    "deep": ('{"rows": ' + "[" * 100_000 + "]" * 100_000 + "}", 422, "no JSON"),
    "a list": ("[]", 422, "an object of JSON; got list"),
    "rows of no list": ('{"rows": "a"}', 422, r'\{"rows": \[...\]\}'),
    "more than rows": ('{"rows": [], "temperature": 1}', 422, "nothing beside"),
    "a wrong type": ('{"rows": ["fine", 7]}', 422, "row 2 is 7; it must be a text"),
    "a crash": ('{"rows": ["crash"]}', 500, "the model failed"),
    "many rows": (json.dumps({"rows": ["a"] * 101}), 413, "101 rows in one request; 100 is the most"),
    "many bytes": (json.dumps({"rows": ["a" * 600_000]}), 413, "at most 500,000 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_told_and_the_server_lives_on(name: str, caplog: pytest.LogCaptureFixture) -> None:
    body, code, text = BAD[name]
    with client(served_moods(Moods()), limits=Limits(rows=100, body=500_000)) as there:
        refused(post(there, "/v1/moods/predict", body), code, text)
        assert post(there, "/v1/moods/predict", {"rows": ["fine"]}).status_code == 200
    assert ("ZeroDivisionError" in caplog.text) == (code == 500), "the log alone says how"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "empty"),
        ("a,a\n1,2\n", "two columns of one name"),
        ("text,n\nfine,1\nfine\n", "line 3 has 1 cells; the header names 2"),
        ('text\n"fine\n', "no CSV"),
        (b"text\n\xff\n", "UTF-8"),
    ],
)
def test_a_bad_table_is_told(content: str | bytes, text: str) -> None:
    with client(served_moods(Moods())) as there:
        refused(there.post("/v1/moods/predict", content=content, headers={"Content-Type": "text/csv"}), 422, text)


def test_other_kinds_addresses_and_methods_are_refused(path: Path) -> None:
    with client(served_moods(Moods()), layer(path)) as there:
        refused(there.post("/v1/moods/predict", content="a", headers={"Content-Type": "text/plain"}), 415, "text/plain")
        refused(there.get("/v1/moods/predict"), 405, "Method Not Allowed")
        refused(post(there, "/v1/other/predict", {"rows": []}), 404, "no model 'other'; there are: moods, layer")
        refused(post(there, "/v1/layer/generate", {}), 404, "layer has no generate: a layer writes no text")
        refused(there.get("/v1/moods/streams/a"), 404, "moods has no stream: it reads whole texts")
        refused(there.get("/etc/passwd"), 404, "nothing at this address")


def test_requests_that_come_together_are_one_batch_and_a_bad_one_fails_alone() -> None:
    model = Moods(0.05)
    with client(served_moods(model)) as there, ThreadPoolExecutor(8) as pool:
        rows = [["fine"], ["dull", "fine"], [3], ["dull"]] * 2
        found = list(pool.map(lambda each: post(there, "/v1/moods/predict", {"rows": each}), rows))
    assert [each.status_code for each in found] == [200, 200, 422, 200] * 2
    assert [len(each.json()["answers"]) for each in found if each.status_code == 200] == [1, 2, 1] * 2
    refused(found[2], 422, "row 1 is 3")
    assert max(model.calls) >= 5, "some came together"


def test_more_rows_than_can_wait_are_refused_and_late_ones_told() -> None:
    model = Moods(0.4)
    limits = Limits(waiting=2, batch=1, seconds=0.6)
    with client(served_moods(model), limits=limits) as there, ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: post(there, "/v1/moods/predict", {"rows": ["fine"]}), range(6)))
        codes = [each.status_code for each in found]
        assert {200, 503, 504} == set(codes)
        refused(found[codes.index(503)], 503, "wait for their predictions")
        refused(found[codes.index(504)], 504, "no answer within 0.6 s")
        assert found[codes.index(503)].headers["retry-after"] == "1"
        counted = there.get("/metrics").text
    assert 'gatework_refused_total{limit="waiting",model="moods"}' in counted
    assert 'gatework_requests_total{address="/v1/moods/predict",code="503"}' in counted


# ---- texts
def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in filter(None, text.split("\n\n")):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((lines.get("event", "message"), json.loads(lines["data"])))
    return found


def test_a_text_comes_in_pieces() -> None:
    with client(served_moods(Moods(0.03))) as there:
        response = post(there, "/v1/moods/generate", {"prompt": "n", "length": 4})
    found = events(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "".join(each["text"] for kind, each in found if kind == "message") == "n0 n1 n2 n3 "
    assert len(found) == 5 and found[-1] == ("end", {})


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ({"prompt": 3}, 422, "the prompt is a text; got 3"),
        ({"temperature": -1}, 422, "temperature is -1"),
        ({"beam": 3}, 422, "takes no 'beam'; it takes length, temperature"),
        ({"length": "long"}, 422, "cannot use these options"),
    ],
)
def test_a_bad_prompt_or_option_is_told_before_the_text_begins(body: Any, code: int, text: str) -> None:
    with client(served_moods(Moods())) as there:
        refused(post(there, "/v1/moods/generate", body), code, text)


def test_a_text_that_breaks_off_says_so() -> None:
    with client(served_moods(Moods(0.03))) as there:
        found = events(post(there, "/v1/moods/generate", {"prompt": "crash"}).text)
    assert found[-1] == ("error", {"error": "the model failed at this request; the server's log says how"})


# ---- streams
def test_a_stream_answers_as_its_runner_in_json_and_in_bytes(path: Path) -> None:
    runner = runtime.load(path)
    first, second = runner.step(np.float32([STEP]))[0], runner.step(np.float32([STEP]))[0]
    with client(layer(path)) as there, there.websocket_connect("/v1/layer/stream") as socket:
        hello = socket.receive_json()
        assert hello["steps"] == 0 and len(hello["id"]) > 10
        socket.send_json(STEP)
        assert socket.receive_json() == {"step": 1, "answer": first.tolist()}
        socket.send_bytes(np.float32(STEP).tobytes())
        answer = socket.receive_bytes()
    assert int.from_bytes(answer[:8], "little") == 2 and (np.frombuffer(answer[8:], "<f4") == second).all()


def test_a_stream_with_an_id_goes_on_and_can_be_asked_for_and_dropped(path: Path, tmp_path: Path) -> None:
    with client(layer(path), state=tmp_path) as there:
        with there.websocket_connect("/v1/layer/stream?id=pump-7") as socket:
            assert socket.receive_json() == {"id": "pump-7", "steps": 0}
            socket.send_json(STEP)
            first = socket.receive_json()["answer"]
        found = there.get("/v1/layer/streams/pump-7").json()
        assert (found["steps"], found["answer"], found["waiting"]) == (1, first, 0)
        assert found["states"]["0.h"] == first and set(found["states"]) == {"0.h", "0.c"}
    runner = runtime.load(path)
    expected = [runner.step(np.float32([STEP]))[0].tolist() for _ in range(2)]
    with client(layer(path), state=tmp_path) as there:  # another server
        with there.websocket_connect("/v1/layer/stream?id=pump-7") as socket:
            assert socket.receive_json()["steps"] == 1
            socket.send_json(STEP)
            assert socket.receive_json() == {"step": 2, "answer": expected[1]}
        assert there.delete("/v1/layer/streams/pump-7").status_code == 204
        refused(there.delete("/v1/layer/streams/pump-7"), 404, "no stream 'pump-7'")
        refused(there.get("/v1/layer/streams/pump-7"), 404, "no stream 'pump-7'")
        refused(there.get("/v1/layer/streams/a%20b"), 422, "an id has")
    with client(layer(path), state=tmp_path) as there:
        refused(there.get("/v1/layer/streams/pump-7"), 404, "no stream 'pump-7'")


def test_a_stream_without_an_id_ends_with_its_connection(path: Path) -> None:
    with client(layer(path)) as there:
        with there.websocket_connect("/v1/layer/stream") as socket:
            key = socket.receive_json()["id"]
            assert there.get(f"/v1/layer/streams/{key}").status_code == 200
            counted = there.get("/metrics").text
        assert 'gatework_streams_connected{model="layer"} 1.0' in counted
        refused(there.get(f"/v1/layer/streams/{key}"), 404, "no stream")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("{", "no JSON"),
        ("[1, 2]", "row of 3 numbers"),
        ("[1, 2, NaN]", "NaN"),
        ("[1, 2, 1e39]", "no finite float32"),
        ('"abc"', "row of 3 numbers"),
        ("null", "row of 3 numbers"),
        (b"\0" * 11, "4 bytes each; got 11"),
        (b"\0" * 16, "row of 3 numbers"),
        (b"\0\0\xc0\x7f" * 3, "no finite float32"),
    ],
)
def test_a_bad_step_is_told_and_the_stream_goes_on(message: str | bytes, text: str, path: Path) -> None:
    with client(layer(path)) as there, there.websocket_connect("/v1/layer/stream") as socket:
        socket.receive_json()
        socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message)
        answer = socket.receive_json()
        assert re.search(text, answer["error"]) and answer["status"] == 422
        socket.send_json(STEP)
        assert socket.receive_json()["step"] == 1


def denied(there: TestClient, address: str, code: int, text: str, **more: Any) -> None:
    with pytest.raises(WebSocketDenialResponse) as caught, there.websocket_connect(address, **more):
        pass
    refused(caught.value, code, text)


def test_an_id_that_is_taken_or_none_is_refused(path: Path) -> None:
    with client(layer(path), limits=Limits(sessions=1)) as there:
        with there.websocket_connect("/v1/layer/stream?id=a"):
            denied(there, "/v1/layer/stream?id=a", 409, "another connection holds the stream 'a'")
            denied(there, "/v1/layer/stream?id=b", 503, "1 streams, the most at a time")
        denied(there, "/v1/layer/stream?id=a/b", 422, "an id has 1 to 128")
        denied(there, "/v1/layer/stream?id=", 422, "an id has 1 to 128")
        with there.websocket_connect("/v1/layer/stream?id=a") as socket:
            assert socket.receive_json()["id"] == "a"


@pytest.mark.parametrize(
    ("address", "text"),
    [("/v1/moods/stream", "moods has no stream: it reads whole texts"), ("/v1/other/stream", "no model 'other'")],
)
def test_a_socket_without_a_stream_is_told_why(address: str, text: str) -> None:
    with client(served_moods(Moods())) as there, there.websocket_connect(address) as socket:
        told = socket.receive_json()
        assert text in told["error"] and told["status"] == 404
        closed = socket.receive()
    assert (closed["code"], closed["reason"]) == (1008, told["error"])


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("review,sentiment\n")
    (tmp_path / "reviews.onnx").write_bytes(b"onnx")
    (tmp_path / "reviews-c").mkdir()
    (tmp_path / "reviews-c" / "reviews.c").write_text("")
    with pytest.raises(FileFormatError, match="is no export, saved layer or run"):
        opened("rows", tmp_path / "rows.csv")
    for name, kind in (("reviews.onnx", "ONNX"), ("reviews-c", "C")):
        with pytest.raises(OptionError, match=f"{name} is an export for {kind}, .*--to gatework"):
            opened("reviews", tmp_path / name)


def test_a_stream_that_is_dropped_tells_its_connection(path: Path) -> None:
    with client(layer(path)) as there, there.websocket_connect("/v1/layer/stream?id=a") as socket:
        socket.receive_json()
        assert there.delete("/v1/layer/streams/a").status_code == 204
        socket.send_json(STEP)
        assert socket.receive_json()["status"] == 404
        assert socket.receive()["code"] == 1008


# ---- who may come in
def test_a_token_is_asked_for(path: Path) -> None:
    with client(layer(path), access=Access(TOKEN, local=False)) as there:
        refused(there.get("/v1"), 401, "a token is needed")
        for wrong in ("Bearer wrong", f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", "Bearer \xff"):
            refused(there.get("/v1", headers={"Authorization": wrong.encode("latin-1")}), 401, "a token is needed")
        assert there.get("/v1", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert [there.get(each).status_code for each in ("/", "/health", "/docs")] == [200] * 3
        denied(there, "/v1/layer/stream", 401, "a token is needed")
        with there.websocket_connect("/v1/layer/stream", subprotocols=["gatework", f"bearer.{TOKEN}"]) as socket:
            assert socket.receive_json()["steps"] == 0 and socket.accepted_subprotocol == "gatework"


def test_pages_of_others_are_refused_unless_named(path: Path) -> None:
    with client(layer(path)) as there:
        refused(there.get("/v1", headers={"Origin": "https://evil.org"}), 403, "other origins")
        refused(there.get("/v1", headers={"Host": "evil.org"}), 421, "this machine alone")
        denied(there, "/v1/layer/stream", 403, "other origins", headers={"Origin": "https://evil.org"})
        assert there.get("/v1", headers={"Origin": "http://127.0.0.1"}).status_code == 200
    with client(layer(path), access=Access(origins=["https://good.org"])) as there:
        answer = there.get("/v1", headers={"Origin": "https://good.org"})
        assert answer.headers["access-control-allow-origin"] == "https://good.org"
        refused(there.get("/v1", headers={"Origin": "https://evil.org"}), 403, "other origins")
        asked = {"Origin": "https://good.org", "Access-Control-Request-Method": "POST"}
        assert there.options("/v1/layer/predict", headers=asked).status_code == 200


def test_the_rate_of_each_client_is_bounded(path: Path) -> None:
    with client(layer(path), limits=Limits(rate=2)) as there:
        found = [there.get("/v1") for _ in range(4)]
    assert [each.status_code for each in found][:2] == [200, 200] and found[-1].status_code == 429
    refused(found[-1], 429, "more than 2 requests a second")


def test_rates_come_back_with_time() -> None:
    now = [0.0]
    rates = Rates(2, lambda: now[0])
    assert [rates.take("a") for _ in range(3)] == [True, True, False] and rates.take("b")
    now[0] = 0.5
    assert [rates.take("a") for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [rates.take("a") for _ in range(3)] == [True, True, False]


def test_a_token_file_is_one_that_nobody_else_reads(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f" {TOKEN}\n")
    file.chmod(0o644)
    with pytest.raises(OptionError, match=r"others can read the token file .* \(mode 644\); type: chmod 600"):
        read_token(file)
    file.chmod(0o600)
    assert read_token(file) == TOKEN
    for text in ("", "short", "with a space in it", "ümlaute-in-a-token-no"):
        file.write_text(text)
        with pytest.raises(OptionError, match="it needs 16 or more"):
            read_token(file)
    with pytest.raises(OptionError, match="cannot be read"):
        read_token(tmp_path / "none")


def test_another_address_needs_a_token(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"--host 0\.0\.0\.0 lets other machines in, so a token is needed"):
        Settings(host="0.0.0.0").access()


# ---- what is served
def test_names_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "one.safetensors").touch()
    (tmp_path / "runs" / "v1.5").mkdir(parents=True)
    found = named(
        [str(tmp_path / "one.safetensors"), str(tmp_path / "runs" / "v1.5"), f"two={tmp_path / 'one.safetensors'}"]
    )
    assert list(found) == ["one", "v1.5", "two"]
    with pytest.raises(OptionError, match="have the same name 'one'; give one another: NAME="):
        named([str(tmp_path / "one.safetensors"), str(tmp_path / "runs" / "one")])
    with pytest.raises(OptionError, match="cannot be part of an address"):
        named(["an odd name/..safetensors"])


def test_a_file_that_is_no_model_is_refused(path: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-100])
    for file in (cut, tmp_path / "none.safetensors"):
        with pytest.raises(FileFormatError, match=file.name):
            opened("layer", file)


def test_a_layer_that_reads_both_ways_predicts_and_has_no_streams(tmp_path: Path) -> None:
    path = write_layer(tmp_path / "layer.safetensors", inputs=I, ways=2)
    with client(layer(path)) as there:
        assert len(post(there, "/v1/layer/predict", {"rows": [[STEP]]}).json()["answers"][0]["outputs"][0]) == 10
        refused(there.get("/v1/layer/streams/a"), 404, "layer has no stream: .*both directions")


def test_a_port_in_use_is_told() -> None:
    with bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OptionError, match=f"port {port} of 127.0.0.1 is in use; --port names another"):
            bound("127.0.0.1", port)


# ---- pages
@pytest.mark.parametrize("address", ["/", "/docs"])
def test_pages_ask_nobody_else(address: str) -> None:
    with client(served_moods(Moods())) as there:
        page = there.get(address)
    assert "<title>gatework" in page.text and "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.findall(r"(?:src|href)=|url\(|import ", re.sub(r'href="/[\w.]*"', "", page.text))
    assert "http" not in re.sub(r"/\^http/", "", page.text)


def test_openapi_names_every_address(path: Path) -> None:
    with client(served_moods(Moods()), layer(path)) as there:
        said = there.get("/openapi.json").json()
    assert {(method, each) for each, methods in said["paths"].items() for method in methods} == {
        *(("get", each) for each in ("/health", "/v1", "/metrics", "/v1/layer/streams/{id}")),
        ("delete", "/v1/layer/streams/{id}"),
        *(("post", each) for each in ("/v1/layer/predict", "/v1/moods/predict", "/v1/moods/generate")),
    }


def test_exports_are_served_without_torch(path: Path) -> None:
    code = f"""
import sys
import tempfile
from gatework.serve.served import opened
from gatework.serve import server
opened("layer", __import__("pathlib").Path({str(path)!r})).predict([[[1, 2, 3]]])
print(*sorted({{name.split(".")[0] for name in sys.modules}} & {{"torch", "polars", "scipy", "sklearn", "pandas"}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_nothing_runs_on(path: Path) -> None:
    before = threading.active_count()
    with client(layer(path)) as there:
        post(there, "/v1/layer/predict", {"rows": [[STEP]]})
    assert threading.active_count() == before
