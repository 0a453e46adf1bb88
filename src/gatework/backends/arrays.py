"""The few functions in which numpy and torch differ, under one set of names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from gatework.errors import ShapeError

if TYPE_CHECKING:
    import torch

A = TypeVar("A")  # the kind of array


class Lib(Protocol[A]):
    """Functions over the arrays of one library, dtype and device."""

    def zeros(self, shape: Sequence[int]) -> A: ...
    def number(self, value: float) -> A: ...
    def integers(self, value: list[int]) -> A: ...
    def stack(self, values: list) -> A: ...
    def truth(self, value: A) -> A: ...
    def where(self, condition: A, a: A, b: A) -> A: ...
    def maximum(self, a: A, b: A) -> A: ...
    def minimum(self, a: A, b: A) -> A: ...
    def largest(self, a: A) -> A: ...
    def sigmoid(self, a: A) -> A: ...
    def stop(self, a: A) -> A: ...
    def bf16(self, a: A) -> A: ...
    def abs(self, a: A) -> A: ...
    def exp(self, a: A) -> A: ...
    def log(self, a: A) -> A: ...
    def log1p(self, a: A) -> A: ...
    def sqrt(self, a: A) -> A: ...
    def tanh(self, a: A) -> A: ...


class NumpyLib:
    """numpy. Complex arrays carry a derivative in their imaginary part, so comparisons look at the real part, and `abs`
    is the analytic one (z or -z)."""

    where = staticmethod(np.where)
    stack = staticmethod(np.stack)
    exp, log, sqrt, tanh = np.exp, np.log, np.sqrt, np.tanh

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype

    def zeros(self, shape: Sequence[int]) -> np.ndarray:
        return np.zeros(shape, self.dtype)

    def number(self, value: float) -> np.ndarray:
        return np.full((1, 1), value, self.dtype)

    def integers(self, value: list[int]) -> np.ndarray:
        return np.array(value, np.int64)

    def truth(self, value: np.ndarray) -> np.ndarray:
        return value.astype(self.dtype)

    def maximum(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.where((np.real(a) > np.real(b)) | np.isnan(a), a, b)

    def minimum(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.where((np.real(a) < np.real(b)) | np.isnan(a), a, b)

    def largest(self, a: np.ndarray) -> np.ndarray:
        return np.take_along_axis(a, np.real(a).argmax(-1)[:, None], -1)[:, 0]

    def abs(self, a: np.ndarray) -> np.ndarray:
        return np.where(np.real(a) < 0, -a, a)

    def log1p(self, a: np.ndarray) -> np.ndarray:
        return np.log1p(a)

    def stop(self, a: np.ndarray) -> np.ndarray:
        return np.real(a).astype(self.dtype)

    def bf16(self, a: np.ndarray) -> np.ndarray:
        return (bf16_bits(a.astype(np.float32)).astype(np.uint32) << 16).view(np.float32).astype(self.dtype)

    def sigmoid(self, a: np.ndarray) -> np.ndarray:
        small = np.exp(-self.abs(a))
        return np.where(np.real(a) < 0, small, 1.0) / (1.0 + small)


class TorchLib:
    """torch, with autograd where the tensors ask for it."""

    def __init__(self, dtype: torch.dtype, device: torch.device):
        self.torch = sys.modules["torch"]
        self.dtype, self.device = dtype, device
        for name in ("where", "stack", "maximum", "minimum", "sigmoid", "exp", "log", "log1p", "sqrt", "tanh", "abs"):
            setattr(self, name, getattr(self.torch, name))

    def zeros(self, shape: Sequence[int]) -> Any:
        return self.torch.zeros(tuple(shape), dtype=self.dtype, device=self.device)

    def number(self, value: float) -> Any:
        return self.torch.full((1, 1), float(value), dtype=self.dtype, device=self.device)

    def integers(self, value: list[int]) -> Any:
        return self.torch.tensor(value, dtype=self.torch.int64, device=self.device)

    def truth(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(self.dtype)

    def largest(self, a: torch.Tensor) -> torch.Tensor:
        return a.amax(-1)

    def stop(self, a: torch.Tensor) -> torch.Tensor:
        return a.detach()

    def bf16(self, a: torch.Tensor) -> torch.Tensor:
        return a.bfloat16().to(a.dtype)


def bf16_bits(values: np.ndarray) -> np.ndarray:
    """The nearest bfloat16, ties to even, as uint16: the upper half of a float32. NaN stays NaN."""
    bits = values.view(np.uint32)
    nearest = np.where(np.isnan(values), bits | 0x400000, bits + 0x7FFF + (bits >> 16 & 1))
    return (nearest >> 16).astype(np.uint16)


def lib_of(*arrays: object) -> Lib[Any]:
    """The library of the first array, with the widest dtype of all of them."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(arrays[0], torch.Tensor):
        if not all(isinstance(a, torch.Tensor) for a in arrays):
            raise ShapeError(
                "torch tensors and other arrays are mixed; convert all inputs, starts and parameters to one kind"
            )
        return TorchLib(arrays[0].dtype, arrays[0].device)  # type: ignore[return-value]
    if not all(isinstance(a, np.ndarray) for a in arrays):
        odd = next(type(a).__name__ for a in arrays if not isinstance(a, np.ndarray))
        raise ShapeError(f"an array is of type {odd}; inputs, starts and parameters are numpy arrays or torch tensors")
    return NumpyLib(np.result_type(*arrays))  # type: ignore[return-value]
