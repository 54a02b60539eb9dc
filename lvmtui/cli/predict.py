"""The subcommand that predicts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lvmtui.cli.session import JsonOption, RunArgument, StoreOption, find_run, session_of
from lvmtui.latencies import Precision


class Which(StrEnum):
    """What `--checkpoint` takes."""

    BEST = "best"
    LAST = "last"
    CHAMPION = "champion"


def predict(
    context: typer.Context,
    run: RunArgument,
    vectors: Annotated[
        str,
        typer.Option(
            "--context", metavar="FILE", help="What came before: a .npy file (T, D) or a vector set."
        ),
    ],
    last: Annotated[
        int | None, typer.Option("--last", min=1, metavar="N", help="Of the context, its last N vectors.")
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option("--pool", metavar="DIR|FILE", help="What to search; else the run's own vector set."),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, metavar="K", help="Nearest vectors.")] = 10,
    include_context: Annotated[
        bool, typer.Option("--include-context", help="Vectors of the context are candidates, too.")
    ] = False,
    checkpoint: Annotated[Which, typer.Option("--checkpoint", help="best, last or champion.")] = Which.BEST,
    precision: Annotated[
        Precision, typer.Option("--precision", help="fp32, bf16, int8, or fp16 on a GPU.")
    ] = "fp32",
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Predict what comes after some vectors, and list the nearest vectors of a pool.

    Vectors of the context are no candidates, unless asked for.
    """
    session = session_of(context, store)
    found = find_run(session, run)
    from lvmtui import launcher

    arguments = ["predict", str(found.id), "--store", session.store, "--context", vectors]
    arguments += ["--top", str(top), "--checkpoint", checkpoint.value, "--precision", precision]
    arguments += [] if last is None else ["--last", str(last)]
    arguments += [] if pool is None else ["--pool", pool]
    arguments += ["--include-context"] if include_context else []
    raise typer.Exit(launcher.run_engine([*arguments, *(["--json"] if as_json else [])]))
