"""The layers' error: also a RuntimeError and a ValueError, as those of torch.nn's recurrent layers are."""

from __future__ import annotations

from gatework.errors import ShapeError


class LayerError(ShapeError, RuntimeError):
    """An argument of a layer's call has the wrong shape, dtype or value."""
