"""What smaller weights cost: the run's own metric on its held-out rows, before and after."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import nn

from gatework import tasks
from gatework.errors import GateworkError
from gatework.layers.recurrent import Recurrent
from gatework.runtime.quantised import quantise
from gatework.tasks.jobs import Trained
from gatework.tasks.origin import other_files, training_file


@torch.no_grad()
def told(trained: Trained, weights: str) -> str:
    """A sentence with both figures, or why there are none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the training has told them
            fresh = tasks.get(trained.task.name)(trained.task.options)
            part, examples = fresh.prepare(training_file(trained.run), *other_files(trained.run)).last
    except GateworkError as error:
        return f"what {weights} costs was not measured: {error}"
    name = trained.task.metric.name
    small = quantised(trained.model, weights)
    before, after = (trained.task.measure(model, examples)[name] for model in (trained.model, small))
    return f"{name} on the {part} part: {before:.6g} with float32, {after:.6g} with {weights}"


@torch.no_grad()
def quantised(model: nn.Module, weights: str) -> nn.Module:
    """A copy whose recurrent layers have the matrices that a file with such weights has."""
    small = copy.deepcopy(model)
    for layer in small.modules():
        for parameter in layer.parameters(recurse=False) if isinstance(layer, Recurrent) else ():
            if parameter.dim() > 1:
                parameter.copy_(torch.from_numpy(quantise(parameter.detach().numpy(), weights).dense))
    return small.eval()
