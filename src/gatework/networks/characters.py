"""Words by their letters: convolutions over the characters, and the maximum over real ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatework.networks.heads import conv_in_net
from gatework.networks.pooling import RowMax
from gatework.runtime.net.builder import Builder, Value

WIDTHS = (3, 5)  # letters that a filter sees; odd, so that its own is in the middle


class Spelling(nn.Module):
    """Vectors (u, C) of words that are given as letters (u, L), `lengths` (u,) of them real.

        spelling = Spelling(90, 60)
        vectors = spelling(letters, lengths)      # each different word of a batch once; C = spelling.features = 2 * 60

    Args:
        characters: number of ids; id 0 pads.
        filters: of each width.

    Source: Chiu & Nichols 2016, section 2.1; Ma & Hovy 2016, section 2.1. As good as a recurrent net over the letters
    and faster. Only the maximum over real letters is taken: that of a padded word would hang on its neighbours.

    A convolution adds up what each letter of a window adds at its place. So that is worked out once for each character
    and place, and a real letter costs `width` rows of this table; a bias moves the maximum as it moves all.
    """

    def __init__(self, characters: int, filters: int, widths: tuple[int, ...] = WIDTHS, inner: int = 30):
        super().__init__()
        self.widths, self.features = widths, filters * len(widths)
        self.embedding = nn.Embedding(characters, inner, padding_idx=0)
        self.filters = nn.ModuleList(nn.Conv1d(inner, filters, width, padding=width // 2) for width in widths)

    def forward(self, letters: Tensor, lengths: Tensor) -> Tensor:
        widest = max(self.widths)
        inside = torch.arange(letters.shape[1]) < lengths[:, None]
        letters = functional.pad(letters, (widest // 2, widest // 2))
        known = torch.arange(self.embedding.num_embeddings)
        if len(known) > letters.numel():
            known, letters = letters.unique(return_inverse=True)
        vectors, windows = self.embedding(known), letters.unfold(1, widest, 1)[inside]
        found = torch.cat([_seen(each.get_parameter("weight"), vectors, windows) for each in self.filters], 1)
        word = torch.arange(len(lengths)).repeat_interleave(lengths)
        bias = torch.cat([each.get_parameter("bias") for each in self.filters])
        return torch.relu(RowMax.apply(found, word, len(lengths)) + bias)

    def in_net(self, b: Builder, letters: Value, lengths: Value) -> Value:
        """The same in a net, of letters (L, u): those of words stand in columns."""
        vectors = b.gather(b.array("letters", self.embedding.weight), letters)
        layers = [conv_in_net(each, b, f"letters.{k}", vectors, lengths) for k, each in enumerate(self.filters)]
        return b.relu(b.concat(*(b.pool(each, lengths, kind="max") for each in layers)))


def _seen(weight: Tensor, vectors: Tensor, windows: Tensor) -> Tensor:
    """What filters (C, inner, width) make of the middle of each window of letters."""
    table = vectors @ weight.permute(2, 1, 0)  # (width, characters, C)
    first = (windows.shape[1] - len(table)) // 2
    return sum((part.index_select(0, windows[:, first + k]) for k, part in enumerate(table)), weight.new_zeros(()))
