"""`python -m gatework` is the command line."""

from __future__ import annotations

from gatework.cli import main

if __name__ == "__main__":
    main()
