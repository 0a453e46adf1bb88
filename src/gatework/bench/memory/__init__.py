r"""How long cells remember: the classic tests of memory, as `gatework bench memory` runs them.

from gatework.bench.memory import Asked, measure, table
print("\n".join(table.lines(list(measure(Asked(models=("lstm", "rnn"), tests=("adding",), lengths=(50, 100)))))))
"""

from __future__ import annotations

from gatework.bench.memory.ladder import Asked, Reached, measure, one_thread

__all__ = ["Asked", "Reached", "measure", "one_thread"]
