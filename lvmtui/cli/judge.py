"""Subcommands that judge: evaluate, baselines."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.session import (
    JsonOption,
    RunArgument,
    Session,
    StoreOption,
    YesOption,
    ask,
    changing,
    find_run,
    note,
    reading,
    session_of,
)

if TYPE_CHECKING:
    from lvmtui.store.records import Run


class Split(StrEnum):
    """What `--split` takes."""

    VALIDATION = "validation"
    TEST = "test"


class Which(StrEnum):
    """What `--checkpoint` takes."""

    BEST = "best"
    LAST = "last"


class ProtocolName(StrEnum):
    """What `--protocol` takes."""

    DOC = "doc-v1"
    WINDOW = "window-v0"


def evaluate(
    context: typer.Context,
    run: RunArgument,
    split: Annotated[
        Split, typer.Option("--split", help="validation, or test: counted, and asked before.")
    ] = Split.VALIDATION,
    checkpoint: Annotated[Which, typer.Option("--checkpoint", help="best or last.")] = Which.BEST,
    yes: YesOption = False,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Judge a run's checkpoint once more.

    On validation its ranks must be those that training stored. The test split is for the last word: each look
    is counted, and `promote` takes one by itself.
    """
    session = changing(context, store, "evaluate")
    found = find_run(session, run)
    if split is Split.TEST:
        _ask_for_test(session, found, checkpoint, yes=yes)
    from lvmtui import launcher

    arguments = ["evaluate", str(found.id), "--store", session.store, "--split", split.value]
    arguments += ["--checkpoint", checkpoint.value, *(["--json"] if as_json else [])]
    raise typer.Exit(launcher.run_engine(arguments))


def _ask_for_test(session: Session, run: Run, which: Which, *, yes: bool) -> None:
    """Say what a look at the test split costs, and ask; nothing is asked where none is needed."""
    from lvmtui.store import looks

    with reading(session) as reader:
        rows = reader.checkpoints(run.id)
        row = next((item for item in rows if (item.is_best if which is Which.BEST else item.is_last)), None)
        if row is not None and looks.test_evaluation(reader, row) is not None:
            return
        so_far = looks.test_looks(reader, run.data_fingerprint or "")
    note(
        f"The test split of these data was {looks.words(so_far)}. Its scores are honest as long as nothing "
        "is chosen by them: whoever looks, changes something and looks again fits the test split by hand."
    )
    ask(f"Judge {run.name} on the test split", yes=yes)


def baselines(
    context: typer.Context,
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Folder of a vector set, or demo.", show_default=False)
    ],
    length: Annotated[
        int | None, typer.Option("--context", min=1, metavar="N", help="Vectors before the predicted one.")
    ] = None,
    protocol: Annotated[
        ProtocolName, typer.Option("--protocol", help="doc-v1, or the legacy window-v0.")
    ] = ProtocolName.DOC,
    split_seed: Annotated[int, typer.Option("--split-seed", min=0, metavar="S", help="Of the split.")] = 0,
    stride: Annotated[
        int, typer.Option("--stride", min=0, metavar="N", help="Between windows (window-v0); 0: half of N.")
    ] = 0,
    within_document: Annotated[
        bool, typer.Option("--within-document", help="Contexts never cross into an earlier document.")
    ] = False,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Show what can be predicted of a vector set without training: a model must beat the first line.

    Taken from the run store where it has them, and kept there if there is one.
    """
    session = session_of(context, store)
    from lvmtui import launcher

    arguments = ["baselines", data, "--protocol", protocol.value, "--split-seed", str(split_seed)]
    arguments += ["--stride", str(stride), *([] if length is None else ["--context", str(length)])]
    arguments += ["--within-document"] if within_document else []
    arguments += ["--store", session.store] if _keeps(session) else []
    raise typer.Exit(launcher.run_engine([*arguments, *(["--json"] if as_json else [])]))


def _keeps(session: Session) -> bool:
    """Whether there is a store that may be written."""
    from lvmtui.store.location import Location

    path = Location.parse(session.store).path
    return not session.readonly and (path is None or path.exists())
