"""`lvmtui evaluate` and `lvmtui baselines`: judging outside of training."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.data.command import guarded, write_json, write_lines
from engine.data.progress import terminal_progress
from engine.judged import (
    Judged,
    Which,
    baselines_lines,
    baselines_record,
    checkpoint_of,
    judged_lines,
    judged_record,
    stored_test,
)
from lvmtui.errors import MissingDependency, UsageError

if TYPE_CHECKING:
    from lvmtui.store.database import Database

_PROTOCOLS = ("doc-v1", "window-v0")


def main(argv: list[str]) -> int:
    """Run `evaluate` or `baselines`.

    Args:
        argv: the subcommand and what stands after it.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    if argv[0] == "evaluate":
        asked = _evaluate_parser().parse_args(argv[1:])
        return guarded(lambda: _evaluate(asked))
    wanted = _baselines_parser().parse_args(argv[1:])
    return guarded(lambda: _baselines(wanted))


def _evaluate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -P -m engine evaluate",
        description="Judge a run's checkpoint once more: on validation, where it must give the stored ranks, "
        "or on the test split, which is counted.",
    )
    parser.add_argument("run_id", type=int, metavar="RUN_ID", help="number of a run")
    parser.add_argument("--store", required=True, metavar="URL", help="path or URL of the run store")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument(
        "--checkpoint", type=_which, default="best", metavar="best|last|ID", help="default: best"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), help="default: the recipe's")
    parser.add_argument("--by", choices=("evaluate", "promote"), default="evaluate", help="who wants to know")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _baselines_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lvmtui baselines",
        description="What can be predicted without training: every baseline on the validation split.",
    )
    parser.add_argument("data", metavar="DATA", help="folder of a vector set, or `demo`")
    parser.add_argument(
        "--context", type=int, metavar="N", help="vectors before the predicted one (default: as for a run)"
    )
    parser.add_argument("--protocol", choices=_PROTOCOLS, default=_PROTOCOLS[0], help="default: doc-v1")
    parser.add_argument(
        "--split-seed", type=int, default=0, metavar="S", help="seed of the split (default: 0)"
    )
    parser.add_argument(
        "--stride", type=int, default=0, metavar="N", help="between windows (window-v0; 0: half the context)"
    )
    parser.add_argument(
        "--within-document", action="store_true", help="contexts never cross into an earlier document"
    )
    parser.add_argument("--store", metavar="URL", help="a run store to take them from, or to keep them in")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _which(text: str) -> Which:
    names: dict[str, Which] = {"best": "best", "last": "last"}
    return names[text] if text in names else int(text)


def _evaluate(arguments: argparse.Namespace) -> None:
    from lvmtui.store.database import Database

    database = Database.open(arguments.store, create=False)
    try:
        judged = (_known(arguments, database) if arguments.split == "test" else None) or _judged(
            arguments, database
        )
    finally:
        database.close()
    if arguments.json:
        write_json(judged_record(judged))
    else:
        write_lines(judged_lines(judged))


def _known(arguments: argparse.Namespace, database: "Database") -> Judged | None:
    """What this checkpoint scored on the test split before; torch need not be there for that."""
    from lvmtui.store.reader import Reader

    reader = Reader(database)
    run = reader.run(arguments.run_id)
    return stored_test(reader, run, checkpoint_of(reader, run, arguments.checkpoint))


def _judged(arguments: argparse.Namespace, database: "Database") -> Judged:
    with terminal_progress() as progress, needing_torch():
        from engine.evaluating import evaluate_run

        return evaluate_run(
            database,
            arguments.run_id,
            arguments.split,
            which=arguments.checkpoint,
            by=arguments.by,
            device=arguments.device,
            progress=progress,
        )


def _baselines(arguments: argparse.Namespace) -> None:
    from lvmtui.recipe import DataSection

    context = DataSection().context if arguments.context is None else arguments.context
    if context < 1 or arguments.stride < 0 or arguments.split_seed < 0:
        raise UsageError("the context must be at least 1, stride and split seed at least 0")
    with terminal_progress() as progress, needing_torch():
        from engine.predictable import baselines_of

        found = baselines_of(
            arguments.data,
            context=context,
            protocol=arguments.protocol,
            split_seed=arguments.split_seed,
            stride=arguments.stride,
            within_document=arguments.within_document,
            store=arguments.store,
            progress=progress,
        )
    if arguments.json:
        write_json(baselines_record(found.protocol, found.baselines))
    else:
        write_lines(baselines_lines(found.protocol, found.baselines))


@contextmanager
def needing_torch(what: str = "judging") -> Iterator[None]:
    """Say in words that a package of the extra `train` is missing.

    Args:
        what: what needs it.

    Raises:
        MissingDependency: one is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in {"torch", "safetensors", "sklearn"}:
            raise
        raise MissingDependency(
            f"{what} needs {package}, which is not installed for {sys.executable}",
            "Install it with: pip install 'lvmtui[train]'",
        ) from error
