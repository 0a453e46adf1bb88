"""Words by their letters: a convolution over the characters, and the maximum over real ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatework.networks.pooling import RowMax


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

    A convolution adds up what each letter of a window adds at its place. So that is worked out once for each character
    and place, and a real letter costs `width` rows of this table; a bias moves the maximum as it moves all.
    """

    def __init__(self, characters: int, size: int, width: int = 3, inner: int = 30):
        super().__init__()
        self.embedding = nn.Embedding(characters, inner, padding_idx=0)
        self.filters = nn.Conv1d(inner, size, width, padding=width // 2)

    def forward(self, letters: Tensor, lengths: Tensor) -> Tensor:
        width = self.filters.weight.shape[2]
        inside = torch.arange(letters.shape[1]) < lengths[:, None]
        letters = functional.pad(letters, (width // 2, width // 2))
        known = torch.arange(self.embedding.num_embeddings)
        if len(known) > letters.numel():
            known, letters = letters.unique(return_inverse=True)
        table = self.embedding(known) @ self.filters.weight.permute(2, 1, 0)  # (width, characters, C)
        windows = letters.unfold(1, width, 1)[inside]
        found = sum(part.index_select(0, windows[:, k]) for k, part in enumerate(table))
        word = torch.arange(len(lengths)).repeat_interleave(lengths)
        return torch.relu(RowMax.apply(found, word, len(lengths)) + self.filters.bias)
