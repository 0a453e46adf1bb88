"""Trained runs and their exports behind HTTP: the answers of the model itself, its streams, its texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatework
from exports import fits
from gatework import tasks
from gatework.serve.limits import Limits
from gatework.serve.served import opened
from gatework.serve.streams import Answer, Streams
from gatework.tasks import jobs
from served_models import client
from small import book, said

REVIEWS = ["a stirring, funny film", "warm and bright", "dull and slow", "it isn't funny at all"] * 8
SMALL = {"hidden_size": 4, "embedding_size": 4, "epochs": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs and their exports: reviews, waves, book."""
    found = tmp_path_factory.mktemp("models")
    gatework.TextClassifier(out=str(found / "reviews"), subwords=50, **SMALL).fit(
        REVIEWS, ["good", "good", "bad", "bad"] * 8
    )
    waves = [np.sin(np.arange(8 + n)[:, None] * [1, 2] / (2 + n % 2)).astype(np.float32) for n in range(12)]
    options = {"bidirectional": False, "pooling": "last", "hidden_size": 8, "epochs": 1}
    gatework.SequenceClassifier(out=str(found / "waves"), **options).fit(waves, ["slow", "fast"] * 6)
    kind = tasks.get("generate")
    jobs.train(
        kind(kind.Options.of({"hidden_size": 6, "epochs": 1, "sequence_length": 16, "batch_size": 8})),
        book(),
        out=found / "book",
    )
    for name in ("reviews", "waves", "book"):
        gatework.export(found / name, found / f"{name}.safetensors")
    return found


def post(there: Any, address: str, body: Any) -> Any:
    return there.post(address, json=body).json()


@pytest.mark.parametrize("name", ["reviews", "waves", "book"])
def test_openapi_says_what_a_row_is(name: str, folder: Path) -> None:
    model = gatework.runtime.load(folder / f"{name}.safetensors")
    with client(opened(name, folder / f"{name}.safetensors")) as there:
        said = there.get("/openapi.json").json()["paths"][f"/v1/{name}/predict"]["post"]["requestBody"]["content"]
    row = said["application/json"]["schema"]["properties"]["rows"]["items"]
    assert row == {**model.schema, "description": model.inputs, "examples": [model.example]}
    fits(model, [model.example])


@pytest.mark.parametrize("ending", ["", ".safetensors"])
def test_answers_are_the_models(ending: str, folder: Path) -> None:
    model = gatework.runtime.load(folder / "reviews.safetensors")
    with client(opened("reviews", folder / f"reviews{ending}")) as there:
        found = post(there, "/v1/reviews/predict", {"rows": [*REVIEWS[:3], {"text": REVIEWS[3]}]})["answers"]
        table = there.post("/v1/reviews/predict", content=f"text\n{REVIEWS[1]}\n", headers={"Content-Type": "text/csv"})
        bad = there.post("/v1/reviews/predict", json={"rows": ["fine", 3]})
    assert found == model.predict(REVIEWS[:4]) and table.json()["answers"] == found[1:2]
    assert bad.status_code == 422 and "row 2 is 3" in bad.json()["error"]


@pytest.mark.parametrize("ending", ["", ".safetensors"])
def test_recordings_come_as_samples(ending: str, tmp_path: Path) -> None:
    """No row can name a file; whoever sends another rate is told."""
    kind, sounds = tasks.get("transcribe"), [each["audio"].tolist() for each in said()[:3]]
    options = {"hidden_size": 4, "front_size": 4, "epochs": 0, "batch_size": 8, "bidirectional": False}
    jobs.train(kind(kind.Options.of(options)), said(), out=tmp_path / "tones", quiet=True)
    model = gatework.runtime.load(gatework.export(tmp_path / "tones", tmp_path / "tones.safetensors").files[0])
    with client(opened("tones", tmp_path / f"tones{ending}")) as there:
        rows = [{"sound": sounds[0], "rate": 8_000}, *sounds[1:]]
        found = post(there, "/v1/tones/predict", {"rows": rows})["answers"]
        bad = there.post("/v1/tones/predict", json={"rows": [{"sound": sounds[0], "rate": 44_100}]})
        named = there.post("/v1/tones/predict", json={"rows": [str(tmp_path / "a.wav")]})
        with there.websocket_connect("/v1/tones/stream") as socket:
            socket.receive_json()
            heard = []
            for at in range(0, 1_200, 240):
                socket.send_json(sounds[0][at : at + 240])
                heard.append(socket.receive_json()["answer"])
    assert found == model.predict(sounds)
    assert heard == [model.step(sounds[0][at : at + 240]) for at in range(0, 1_200, 240)]
    assert bad.status_code == 422 and "the model learned at 8,000" in bad.json()["error"]
    assert named.status_code == 422 and "it must be" in named.json()["error"]


@pytest.mark.parametrize("ending", ["", ".safetensors"])
def test_streams_are_the_models(ending: str, folder: Path, tmp_path: Path) -> None:
    model, rows = gatework.runtime.load(folder / "waves.safetensors"), [[0.5, 1.0], [0.25, -1.0]]
    expected = [model.step(row) for row in rows]
    for at in (0, 1):  # the second step after a restart
        served = opened("waves", folder / f"waves{ending}")
        with client(served, state=tmp_path) as there, there.websocket_connect("/v1/waves/stream?id=a") as socket:
            assert socket.receive_json()["steps"] == at
            socket.send_json(rows[at])
            assert socket.receive_json() == {"step": at + 1, "answer": expected[at]}


@pytest.mark.parametrize("name", ["waves", "book"])
def test_a_models_answer_has_the_same_bits_whoever_else_is_there(name: str, folder: Path) -> None:
    stepper = gatework.runtime.load(folder / f"{name}.safetensors").stepper
    steps = ["t", "h", "e"] if name == "book" else [[0.5, 1.0], [0.25, -1.0], [3.0, 2.0]]
    alone, crowd = Streams(stepper), Streams(stepper, Limits(sessions=200))
    alone.open("a")
    for key in ("a", *map(str, range(100))):
        crowd.open(key)
    for t, row in enumerate(steps):
        alone.push("a", row)
        for number, key in enumerate(crowd.sessions):
            crowd.push(key, row if key == "a" else steps[(t + number) % 3])
        one, other = alone.tick()["a"], crowd.tick()["a"]
        assert isinstance(one, Answer) and isinstance(other, Answer) and (one.output == other.output).all()


def test_rows_of_a_forecast_are_one_question(tmp_path: Path) -> None:
    """Requests are not joined, have any number of answers, and need no rows where the model keeps the series' ends."""
    series = np.sin(np.arange(120) / 4)
    options = {"target": "value", "horizon": 3, "lookback": 12, "hidden_size": 4, "epochs": 1}
    gatework.Forecaster(out=str(tmp_path / "run"), **options).fit({"value": series})
    gatework.export(tmp_path / "run", tmp_path / "waves.safetensors")
    model = gatework.runtime.load(tmp_path / "waves.safetensors")
    with client(opened("waves", tmp_path / "waves.safetensors")) as there:
        (about,) = there.get("/v1").json()["models"]
        (row,) = about["row"]["examples"]
        for rows in ([], [row], [row] * 4):
            assert post(there, "/v1/waves/predict", {"rows": rows})["answers"] == model.predict(rows)


def test_the_example_of_a_row_is_answered(folder: Path) -> None:
    for name in ("reviews", "waves", "book"):
        with client(opened(name, folder / f"{name}.safetensors")) as there:
            rows = there.get("/v1").json()["models"][0]["row"]["examples"]
            assert there.post(f"/v1/{name}/predict", json={"rows": rows}).status_code == 200


def test_texts_are_the_models(folder: Path) -> None:
    expected = "".join(gatework.runtime.load(folder / "book.safetensors").generate("the film", length=30, seed=5))
    with client(opened("book", folder / "book.safetensors")) as there:
        text = there.post("/v1/book/generate", json={"prompt": "the film", "length": 30, "seed": 5}).text
        for wrong in (
            {"length": "long"},
            {"temperature": -1},
            {"top_p": 7},
            {"length": -1},
            {"seed": 0.5},
        ):
            answer = there.post("/v1/book/generate", json={"prompt": "the", **wrong})
            assert answer.status_code == 422, (wrong, answer.text)
    pieces = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert "".join(piece.get("text", "") for piece in pieces) == expected and text.endswith("event: end\ndata: {}\n\n")


def test_a_long_text_ends_when_its_time_is_over(folder: Path) -> None:
    with client(opened("book", folder / "book.safetensors"), limits=Limits(text=0.5)) as there:
        text = there.post("/v1/book/generate", json={"prompt": "the", "length": 10_000_000}).text
    assert text.endswith('event: error\ndata: {"error": "a text may take 0.5 s; ask for a shorter one"}\n\n')
