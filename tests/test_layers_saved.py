"""gatework.save and runtime.load: the same numbers without torch, and nothing else from a file of a stranger."""

from __future__ import annotations

import copy
import json
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.numpy import load_file, save_file
from torch import nn

import gatework
from gatework import runtime
from gatework.errors import FileFormatError, OptionError, ShapeError
from gatework.training import files

T, B, I, H = 7, 3, 4, 5
LAYERS: dict[str, Callable[[], Any]] = {
    "lstm": lambda: gatework.LSTM(I, H, 2),
    "gru": lambda: gatework.GRU(I, H, 2, batch_first=True, bias=False),
    "rnn": lambda: gatework.RNN(I, H, nonlinearity="relu", dtype=torch.float64),
    "both ways": lambda: gatework.LSTM(I, H, 2, bidirectional=True),
    "projected": lambda: gatework.LSTM(I, H, 2, proj_size=2),
    "options": lambda: gatework.LSTM(
        I, H, zoneout=0.2, recurrent_dropout=0.3, layer_norm=True, peephole=True, learn_initial_state=True
    ),
    "slstm": lambda: gatework.Recurrent("slstm", I, 6, sizes={"heads": 2}),
    "stack": lambda: nn.Sequential(gatework.GRU(I, H), gatework.LSTM(H, 6)),
}


def saved(name: str, tmp_path: Path) -> tuple[Any, Path]:
    torch.manual_seed(0)
    layer = LAYERS[name]()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    path = tmp_path / "layer.safetensors"
    gatework.save(layer, path)
    return layer.eval(), path


def through_torch(layer: Any, x: np.ndarray) -> np.ndarray:
    """(T, B, I) to (T, B, H)."""
    value = torch.from_numpy(x).to(next(layer.parameters()).dtype)
    with torch.no_grad():
        for part in layer if isinstance(layer, nn.Sequential) else [layer]:
            value = part(value.transpose(0, 1))[0].transpose(0, 1) if part.batch_first else part(value)[0]
    return value.numpy()


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((T, B, I)).astype(np.float32)


@pytest.mark.parametrize("name", LAYERS)
def test_the_same_numbers_as_the_layer(name: str, tmp_path: Path, x: np.ndarray) -> None:
    layer, path = saved(name, tmp_path)
    runner = runtime.load(path)
    expected = through_torch(layer, x)
    assert_allclose(runner.run(x), expected, rtol=1e-5, atol=1e-6)
    assert (runner.input_size, runner.output_size) == (I, expected.shape[2])
    if name == "both ways":
        assert_allclose(runner.run(x), expected, rtol=1e-5, atol=1e-6)
        with pytest.raises(ShapeError, match="both directions has no step"):
            runner.step(x[0])
        return
    runner.reset()
    assert_allclose(np.stack([runner.step(row) for row in x]), expected, rtol=1e-5, atol=1e-6)
    runner.reset()
    assert_allclose(np.concatenate([runner.run(x[:3]), runner.run(x[3:])]), expected, rtol=1e-5, atol=1e-6)


def test_states_are_read_written_and_reset(tmp_path: Path, x: np.ndarray) -> None:
    _, path = saved("options", tmp_path)
    runner, other = runtime.load(path), runtime.load(path)
    whole = runner.run(x)
    runner.reset()
    runner.run(x[:3])
    kept = runner.state
    assert {n: v.shape for n, v in kept[0].items()} == {"h": (B, H), "c": (B, H)}
    rest = runner.run(x[3:])
    other.state = kept
    kept[0]["h"][:] = 9.0
    assert np.array_equal(other.run(x[3:]), rest), "setting a state copies it"
    other.state = [{n: v[1:2] for n, v in runner.state[0].items()}]
    assert other.batch == 1
    runner.reset(rows=[1])
    again = runner.run(x)
    assert_allclose(again[:, 1], whole[:, 1], rtol=1e-6)
    assert not np.allclose(again[:, 0], whole[:, 0])
    runner.reset(batch=2)
    assert_allclose(runner.run(x[:, :2]), whole[:, :2], rtol=1e-6)


def test_wrong_calls_are_named(tmp_path: Path, x: np.ndarray) -> None:
    runner = runtime.load(saved("lstm", tmp_path)[1])
    runner.step(x[0])
    for call, words in (
        (lambda: runner.step(x[0, :2]), r"there are 3 streams, but the input has 2; call reset\(2\)"),
        (lambda: runner.run(x[..., :2]), r"must have shape \(T, B, 4\); got \(7, 3, 2\)"),
        (lambda: runner.step(x[0, :, :2]), r"a step takes \(B, 4\); got \(3, 2\)"),
        (lambda: runner.run(x, decay=1.0), "no input 'decay'; further inputs: none"),
        (lambda: runner.run(x + 1j), "real numbers; got complex64"),
        (lambda: runner.step(x[0].astype(object)), "is object; it must be real"),
        (lambda: runner.reset(-1), r"reset\(batch\) is a number of streams, 0 or more; got -1"),
        (lambda: runner.reset(rows=[3]), "there are 3 streams, numbered from 0; got 3"),
        (lambda: runner.reset(rows=[0.0]), "told by whole numbers, or by 3 booleans"),
        (lambda: runner.reset(rows=[True, False]), "told by whole numbers, or by 3 booleans"),
        (lambda: runner.keep([0], new=-1), r"keep\(new\) is a number of streams"),
        (lambda: setattr(runner, "state", runner.state[:1]), "a dict of states for each of 2 layers; got 1 entries"),
        (lambda: setattr(runner, "state", None), "for each of 2 layers; got None"),
        (lambda: setattr(runner, "state", [{"h": np.zeros((1, H))}] * 2), "the states of layer 0 must be"),
    ):
        with pytest.raises(ShapeError, match=words):
            call()
    with pytest.raises(OptionError, match="not Linear"):
        gatework.save([nn.Linear(2, 3)], "nowhere.safetensors")


def test_it_runs_without_torch(tmp_path: Path, x: np.ndarray) -> None:
    layer, path = saved("lstm", tmp_path)
    np.savez(tmp_path / "data.npz", x=x, expected=through_torch(layer, x))
    script = """
import sys
sys.modules["torch"] = None
import numpy as np
from gatework import runtime
data, runner = np.load(sys.argv[2]), runtime.load(sys.argv[1])
np.testing.assert_allclose(np.stack([runner.step(row) for row in data["x"]]), data["expected"], rtol=1e-5, atol=1e-6)
"""
    subprocess.run([sys.executable, "-c", script, str(path), str(tmp_path / "data.npz")], check=True)


# --- files of strangers ----------------------------------------------------------------------------------------------


def rewrite(path: Path, change: Callable[[dict, dict], Any]) -> None:
    """Change what a saved file says and holds."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        said = json.loads(file.metadata()["gatework"])
    tensors = load_file(path)
    change(said, tensors)
    save_file(tensors, path, {"gatework": json.dumps(said)})


def graph(said: dict) -> dict:
    return said["layers"][0]["graph"]


WRONG: dict[str, tuple[Callable[[dict, dict], Any], str]] = {
    "an unknown operation": (lambda s, t: graph(s)["nodes"][-1].__setitem__(0, "system"), "operation"),
    "an argument that comes later": (lambda s, t: graph(s)["nodes"][3].__setitem__(1, [900]), "earlier nodes"),
    "a name that is code": (lambda s, t: graph(s)["nodes"][-1].__setitem__(4, "x) ret void"), "a name"),
    "a size without end": (lambda s, t: s["layers"][0]["sizes"].update(H=10**12), "size of 'H'"),
    "a size that no weight has": (lambda s, t: s["layers"][0]["sizes"].update(Z=10**6), "none of its weights"),
    "weights of other shapes": (lambda s, t: t.update({"0.0/f.0": np.zeros((2, 2), np.float32)}), "0.0/f.0"),
    "weights of whole numbers": (lambda s, t: t.update({"0.0/f.0": np.zeros((H, H), np.int32)}), "needs floats"),
    "a weight too few": (lambda s, t: t.pop("1.0/o.1"), "1.0/o.1"),
    "a tensor too many": (lambda s, t: t.update(extra=np.zeros(3, np.float32)), "of which its cells use"),
    "mixed types": (lambda s, t: t.update({"0.0/f.0": t["0.0/f.0"].astype(np.float64)}), "mixes"),
    "layers that do not join": (lambda s, t: s["layers"].reverse(), r"the weight '0\.0/.\.1'"),
    "layers without end": (lambda s, t: s.update(layers=s["layers"] * 99), "1 to 64 layers"),
    "a version of the future": (lambda s, t: s.update(version=7), "update gatework"),
    "too many directions": (lambda s, t: s["layers"][0].update(directions=10**9), "1 or 2 directions"),
    "no graph": (lambda s, t: s["layers"][0].update(graph=[]), "outermost value"),
    "a state of text": (lambda s, t: graph(s)["states"][0].__setitem__(2, "__import__('os')"), "a number"),
    "nodes without end": (lambda s, t: graph(s).update(nodes=graph(s)["nodes"] * 900), "a list of up to"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_lies_is_refused(name: str, tmp_path: Path) -> None:
    _, path = saved("lstm", tmp_path)
    change, words = WRONG[name]
    rewrite(path, change)
    with pytest.raises(FileFormatError, match=words) as error:
        runtime.load(path)
    assert str(path) in str(error.value)


def test_foreign_and_damaged_files_are_refused(tmp_path: Path) -> None:
    _, path = saved("lstm", tmp_path)
    whole = path.read_bytes()
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(FileFormatError, match=r"was not written by gatework\.save"):
        runtime.load(tmp_path / "other.safetensors")
    for content in (b"", b"hello", whole[:-1], whole[: len(whole) // 2], (1 << 40).to_bytes(8, "little") + whole[8:]):
        path.write_bytes(content)
        with pytest.raises(FileFormatError):
            runtime.load(path)


def test_what_is_no_saved_layer_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"missing\.safetensors: there is no such file"):
        runtime.load(tmp_path / "missing.safetensors")
    with pytest.raises(FileFormatError, match="this is a folder; name the file"):
        runtime.load(tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileFormatError, match="a folder of a trained run; gatework export FOLDER"):
        runtime.load(tmp_path)
    files.write_tensors(tmp_path / "best.safetensors", {"weight": torch.zeros(2)}, {"epoch": 1})
    with pytest.raises(FileFormatError, match=r"weights of a trained run; gatework export FOLDER .*docs/deploy\.md"):
        runtime.load(tmp_path / "best.safetensors")


def test_what_cannot_be_saved_says_what_to_do(tmp_path: Path) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = gatework.LSTM(I, H)

    path = tmp_path / "x.safetensors"
    wrong: list[tuple[Any, str]] = [
        (Model(), r"not Model; save what is in it: gatework\.save\(model\.rnn, path\)"),
        (nn.LSTM(I, H), "not LSTM; use gatework.layers.from_torch"),
        (nn.ModuleDict({"a": gatework.LSTM(I, H)}), r"not ModuleDict; .*model\.a"),
        (nn.Sequential(nn.Linear(I, H)), "not Linear"),
        (3, "not int"),
        ([], "the list is empty"),
    ]
    for layer, said in wrong:
        with pytest.raises(OptionError, match=said):
            gatework.save(layer, path)
    with pytest.raises(OptionError, match=r"x\.safetensors cannot be written: there is no folder .*nowhere"):
        gatework.save(gatework.LSTM(I, H), tmp_path / "nowhere" / "x.safetensors")
    with pytest.raises(OptionError, match="is a folder; name a file"):
        gatework.save(gatework.LSTM(I, H), tmp_path)
    with pytest.raises(OptionError, match="no numbers yet, as its device is meta"):
        gatework.save(gatework.LSTM(I, H, device="meta"), path)
    with pytest.raises(OptionError, match="cannot be written: File name too long"):
        gatework.save(gatework.LSTM(I, H), tmp_path / ("x" * 300))
    assert not list(tmp_path.iterdir())


def test_a_step_of_a_list(tmp_path: Path, x: np.ndarray) -> None:
    _, path = saved("lstm", tmp_path)
    runner, other = runtime.load(path), runtime.load(path)
    assert_allclose(runner.step(x[0].tolist()), other.step(x[0]))  # pyright: ignore[reportArgumentType]
    assert_allclose(runner.step(x[1].tolist()), other.step(x[1]))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ShapeError, match=r"a step takes \(B, 4\); got \(4,\)"):
        runner.step([0.0] * I)  # pyright: ignore[reportArgumentType]


def test_no_streams_and_no_steps(tmp_path: Path, x: np.ndarray) -> None:
    runner = runtime.load(saved("stack", tmp_path)[1])
    assert runner.run(x[:, :0]).shape == (T, 0, 6)
    assert runner.step(x[0, :0]).shape == (0, 6)
    runner.reset(B)
    first = runner.run(x[:3])
    assert runner.run(x[:0]).shape == (0, B, 6)
    assert_allclose(runner.run(x[3:])[-1], runtime.load(tmp_path / "layer.safetensors").run(x)[-1], rtol=1e-5)
    runner.keep([True, False, True])
    assert runner.batch == 2 and first.shape == (3, B, 6)
    assert runtime.load(saved("both ways", tmp_path)[1]).run(x[:0]).shape == (0, B, 2 * H)


@pytest.mark.parametrize("wrong", [np.zeros((2, H)), np.full((B, H), "much"), np.full((B, 6), "much"), None])
def test_a_refused_state_leaves_the_runner_as_it_was(wrong: Any, tmp_path: Path, x: np.ndarray) -> None:
    runner = runtime.load(saved("stack", tmp_path)[1])
    runner.step(x[0])
    kept = runner.state
    for layer in range(2):
        given = [{name: values + 1 for name, values in states.items()} for states in kept]
        given[layer]["h"] = wrong
        with pytest.raises(ShapeError):
            runner.state = given
        for states, before in zip(runner.state, kept, strict=True):
            assert all(np.array_equal(states[name], before[name]) for name in before)
    assert runner.batch == B


def test_a_cell_with_inputs_of_every_kind(tmp_path: Path, x: np.ndarray) -> None:
    @gatework.cell(per={"where": "sequence", "rate": "call"}, width={"gap": "1", "where": "P", "rate": "1"})
    def told(x: Any, gap: Any, where: Any, rate: Any, h: Any, W: Any) -> Any:
        return gatework.tanh(W.n(h, x, where)) * gatework.exp(-rate * gap)

    torch.manual_seed(0)
    draw = np.random.default_rng(1)
    layer, path = gatework.Recurrent(told, I, H, sizes={"P": 2}), tmp_path / "told.safetensors"
    gap, where = draw.random((T, B)).astype(np.float32), draw.random((B, 2)).astype(np.float32)
    gatework.save(layer, path)
    with torch.no_grad():
        want = layer(torch.from_numpy(x), gap=torch.from_numpy(gap), where=torch.from_numpy(where), rate=0.3)[0]
    runner = runtime.load(path)
    assert_allclose(runner.run(x, gap=gap, where=where, rate=0.3), want, rtol=1e-5, atol=1e-6)
    runner.reset()
    steps = [runner.step(x[t], gap=gap[t, :, None], where=where, rate=0.3) for t in range(T)]
    assert_allclose(np.stack(steps), want, rtol=1e-5, atol=1e-6)
    for wrong, said in (
        ({"gap": gap.T}, r"gap must have shape \(7, 3, 1\); got \(3, 7\)"),
        ({"where": where.T}, "where"),
    ):
        with pytest.raises(ShapeError, match=said):
            runner.run(x, **{"gap": gap, "where": where, "rate": 0.3, **wrong})
    with pytest.raises(ShapeError, match="needs its input 'rate'"):
        runner.run(x, gap=gap, where=where)


@pytest.mark.parametrize("name", ["stack", "options", "both ways"])
def test_a_runner_is_copied_and_pickled_with_its_states(name: str, tmp_path: Path, x: np.ndarray) -> None:
    _, path = saved(name, tmp_path)
    runner = runtime.load(path)
    runner.run(x[:3]) if name == "both ways" else [runner.step(each) for each in x[:3]]
    copies = [copy.deepcopy(runner), pickle.loads(pickle.dumps(runner))]
    want = runner.run(x[3:])
    for made in copies:
        assert_allclose(made.run(x[3:]), want, rtol=0)


def test_streams_come_and_go(tmp_path: Path, x: np.ndarray) -> None:
    """Each stream gives what it gives alone, whoever is beside it."""
    _, path = saved("options", tmp_path)
    runner, alone = runtime.load(path), [runtime.load(path) for _ in range(4)]
    runner.step(x[0])
    for k in range(3):
        alone[k].step(x[0, [k]])
    runner.keep([2, 0], new=1)
    inputs = x[1]
    got = runner.step(inputs)
    for row, k in enumerate((2, 0, 3)):
        assert_allclose(got[[row]], alone[k].step(inputs[[row]]), rtol=1e-6)
    runner.keep([])
    assert runner.batch == 0
    runner.keep([], new=3)
    assert_allclose(runner.step(x[0]), runtime.load(path).step(x[0]), rtol=0)
    with pytest.raises(ShapeError, match="there are 3 streams, numbered from 0; got 3"):
        runner.keep([0, 3])
    both = runtime.load(saved("both ways", tmp_path)[1])
    with pytest.raises(ShapeError, match="both directions has no streams to keep"):
        both.keep([0])


def test_no_change_of_a_byte_does_more_than_fail(tmp_path: Path, x: np.ndarray) -> None:
    """300 files with a few bytes of the header changed: each loads as some cell or is refused; nothing else."""
    _, path = saved("lstm", tmp_path)
    whole = bytearray(path.read_bytes())
    header = int.from_bytes(whole[:8], "little")
    draw, loaded = random.Random(0), 0
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            content[draw.randrange(8 + header)] = draw.randrange(256)
        path.write_bytes(content)
        try:
            runtime.saved.read(path)  # pyright: ignore[reportAttributeAccessIssue]
            loaded += 1
        except FileFormatError:
            pass
    assert loaded < 300


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.safetensors"
    save_file({"a": np.zeros(2, np.float32)}, path, {"gatework": "[" * 100_000})
    with pytest.raises(FileFormatError, match="damaged"):
        runtime.load(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_cell_without_parameters(dtype: torch.dtype, tmp_path: Path) -> None:
    @gatework.cell(width={"x": "H"})
    def leak(x: Any, h: Any, W: Any) -> Any:
        """Nothing is learned."""
        return 0.5 * h + x

    layer, x = gatework.Recurrent(leak, 3, 3, dtype=dtype), torch.ones(2, 1, 3, dtype=dtype, requires_grad=True)
    output, (last,) = layer(x)
    output.sum().backward()
    assert last[0, 0, 0] == 1.5 and x.grad is not None and x.grad[0, 0, 0] == 1.5
    gatework.save(layer, tmp_path / "leak.safetensors")
    runner = runtime.load(tmp_path / "leak.safetensors")
    with torch.no_grad():
        assert_allclose(runner.run(x.detach().numpy()), layer(x)[0], rtol=0)
    assert runner.run(x.detach().numpy()).dtype == np.dtype(str(dtype).removeprefix("torch."))
    assert layer.double()(x.detach().double())[0].dtype == torch.float64


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    @gatework.cell
    def euler(x: Any, h: Any, W: Any) -> Any:
        """A neural ODE of very many steps."""
        u = W.u(x)
        for _ in range(4000):
            h = h + 0.01 * (gatework.tanh(h) - u)
        return h

    with pytest.raises(OptionError, match="euler cannot be saved, as no file may hold so much"):
        gatework.save(gatework.Recurrent(euler, 2, 3), tmp_path / "euler.safetensors")
    assert not list(tmp_path.iterdir())


def test_numbers_of_streams_beyond_all_memory_change_nothing(tmp_path: Path, x: np.ndarray) -> None:
    runner = runtime.load(saved("stack", tmp_path)[1])
    runner.step(x[0])
    kept = runner.state
    for call in (lambda: runner.reset(2**62), lambda: runner.keep([0], new=10**15), lambda: runner.reset(10**30)):
        with pytest.raises(ShapeError, match="there is no memory for the states of"):
            call()
    odd: list[Any] = [None, 7, "ab", [], [{}], [{}, {}], [kept[0]], [{"h": [[1.0], [2.0, 3.0]]}, kept[1]]]
    for given in odd:
        with pytest.raises(ShapeError):
            runner.state = given
    assert runner.batch == B and np.array_equal(runner.state[0]["h"], kept[0]["h"])
