"""Subcommands that measure: bench."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lvmtui.cli.session import JsonOption, RunArgument, StoreOption, changing, find_run


class Device(StrEnum):
    """What `--device` takes."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


def bench(
    context: typer.Context,
    run: RunArgument,
    contexts: Annotated[
        str | None,
        typer.Option(
            "--contexts", metavar="N,N", help="Vectors before a query; otherwise 100,500,1000,2000."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="NAME,NAME",
            help="Of fp32, bf16 and, on a processor, int8; otherwise all.",
        ),
    ] = None,
    device: Annotated[Device, typer.Option("--device", help="Where to compute.")] = Device.AUTO,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, metavar="N", help="Of the processor.")
    ] = None,
    queries: Annotated[
        int, typer.Option("--queries", min=1, max=1_000_000, metavar="N", help="At most, for each figure.")
    ] = 200,
    pool: Annotated[
        int | None,
        typer.Option(
            "--pool", min=1, metavar="N", help="Vectors to search; otherwise the validation split's."
        ),
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Measure how long a query takes with a run's best checkpoint.

    Streaming (one vector more, then the nearest of the pool) beside re-encoding the whole context, in several
    precisions, each with its change in Hit@K on validation; one that loses more than 0.5 points of Hit@5 is
    refused. The figures are kept in the store and stand in the leaderboard, with device and threads.
    """
    session = changing(context, store, "bench")
    found = find_run(session, run)
    from lvmtui import launcher

    arguments = ["bench", str(found.id), "--store", session.store, "--device", device.value]
    arguments += ["--queries", str(queries)]
    for name, value in (
        ("--contexts", contexts),
        ("--precision", precision),
        ("--threads", threads),
        ("--pool", pool),
    ):
        # One word, so that a value that begins with a dash stays a value.
        arguments += [] if value is None else [f"{name}={value}"]
    raise typer.Exit(launcher.run_engine([*arguments, *(["--json"] if as_json else [])]))
