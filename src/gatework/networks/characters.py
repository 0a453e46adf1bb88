"""Words by their letters: a convolution over the characters, and the maximum over real ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Spelling(nn.Module):
    """Vectors (u, C) of words that are given as letters (u, L), `lengths` (u,) of them real.

        spelling = Spelling(90, 60)
        vectors = spelling(letters, lengths)      # each different word of a batch once

    Args:
        characters: number of ids; id 0 pads.
        size: C.
        width: letters that a filter sees.

    Source: Chiu & Nichols 2016, section 2.1; Ma & Hovy 2016, section 2.1. As good as a recurrent net over the letters
    and faster. Only the maximum over real letters is taken: that of a padded word would hang on its neighbours.
    """

    def __init__(self, characters: int, size: int, width: int = 3, inner: int = 30):
        super().__init__()
        self.embedding = nn.Embedding(characters, inner, padding_idx=0)
        self.filters = nn.Conv1d(inner, size, width, padding=width // 2)

    def forward(self, letters: Tensor, lengths: Tensor) -> Tensor:
        found = self.filters(self.embedding(letters).transpose(1, 2))
        outside = torch.arange(letters.shape[1]) >= lengths[:, None]
        return torch.relu(found.masked_fill(outside[:, None], float("-inf")).amax(2))
