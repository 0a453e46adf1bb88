"""`gatework serve MODEL [MODEL ...]`: predictions, streams and texts over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL", help="An export, a saved layer or a run; NAME=PATH names it.")
    ],
    host: Annotated[str, typer.Option(help="The address; one for other machines needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    token_file: Annotated[Path | None, typer.Option(help="A file with the token that clients must send.")] = None,
    allow_origin: Annotated[list[str] | None, typer.Option(help="Let pages of this origin ask: https://a.org.")] = None,
    state: Annotated[Path | None, typer.Option(help="A folder in which streams outlive the server.")] = None,
    delay_ms: Annotated[float, typer.Option(min=0, max=1000, help="Time in which requests gather to a batch.")] = 2.0,
    max_mb: Annotated[float, typer.Option(min=0.001, help="Megabytes of a request.")] = 10.0,
    max_rows: Annotated[int, typer.Option(min=1, help="Rows of a request.")] = 10_000,
    max_streams: Annotated[int, typer.Option(min=1, help="Streams of a model.")] = 100_000,
    max_age: Annotated[float, typer.Option(min=1, help="Seconds until a stream without steps ends.")] = 86_400.0,
    rate: Annotated[float, typer.Option(min=0, help="Requests a second from one address; 0: any number.")] = 0.0,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that a request may take.")] = 30.0,
) -> None:
    """Serve models over HTTP.

    Predictions in batches, streams that keep their states, texts.

    http://127.0.0.1:8000 is a page to try them, /docs says what can be asked. Ctrl-C finishes what is begun.
    """
    from gatework.serve.limits import Limits
    from gatework.serve.server import Settings, serve

    limits = Limits(
        body=int(max_mb * (1 << 20)), rows=max_rows, sessions=max_streams, age=max_age, rate=rate, seconds=timeout
    )
    settings = Settings(
        host=host,
        port=port,
        token_file=token_file,
        origins=allow_origin or (),
        state=state,
        delay=delay_ms / 1000,
        limits=limits,
    )
    serve(models, settings, typer.echo)
