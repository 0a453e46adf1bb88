"""Several processes that train one model: what torchrun starts, over gloo.

Gradients are averaged by hand, weighted by each process' count of items: unequal shares give the same gradient as one
process with the whole batch, and a model may be called in any way (a DDP wrapper sees `forward` only).
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gatework.training.learner import Shard

PATIENCE = timedelta(seconds=10)  # for the others at the end of a program


def join() -> Shard:
    """This process' place among those of torchrun; alone where torchrun did not start it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Shard()
    if not dist.is_initialized():
        dist.init_process_group("gloo")
        atexit.register(_leave)
    return Shard(dist.get_rank(), dist.get_world_size())


def _leave() -> None:
    """Ends the group before Python ends: a thread of gloo's that meets a dying interpreter aborts the process."""
    if dist.is_initialized():
        with suppress(RuntimeError):  # another process died, so nobody is waited for
            dist.monitored_barrier(timeout=PATIENCE)
        dist.destroy_process_group()


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter], loss: Tensor, count: int, shard: Shard) -> tuple[float, int]:
    """Sets every gradient to the mean over all processes' items; gives the loss and the count of all."""
    if shard.world == 1:
        return loss.item(), count
    gradients = [each.grad for each in parameters if each.grad is not None]
    flat = torch.cat([*(each.reshape(-1) for each in gradients), loss.detach().reshape(1)]).mul_(count)
    flat = torch.cat([flat.double(), torch.tensor([count], dtype=torch.float64)])
    dist.all_reduce(flat)
    total = int(flat[-1])
    flat = flat[:-1] / total
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
    return float(flat[-1]), total


def agree(values: list[float], shard: Shard) -> list[float]:
    """The first process' numbers, in every process."""
    if shard.world == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64)
    dist.broadcast(tensor, 0)
    return tensor.tolist()


def largest(value: float, shard: Shard) -> float:
    """The largest of all processes' numbers: a wish to stop counts for all."""
    if shard.world == 1:
        return value
    tensor = torch.tensor([value], dtype=torch.float64)
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return float(tensor)


def gather(tensors: dict[str, Tensor], shard: Shard) -> dict[str, Tensor]:
    """Every process' tensors of the same shapes, stacked: (...) -> (world, ...)."""
    if shard.world == 1:
        return {name: tensor.unsqueeze(0) for name, tensor in tensors.items()}
    gathered = {}
    for name in sorted(tensors):
        parts = [torch.empty_like(tensors[name]) for _ in range(shard.world)]
        dist.all_gather(parts, tensors[name].contiguous())
        gathered[name] = torch.stack(parts)
    return gathered
