"""`lvmtui bench`: how long a query takes with a run's best checkpoint."""

import argparse
from collections.abc import Callable
from typing import Any

from engine.bench.plan import MOST_LOST, Plan, parse_contexts, parse_precisions
from engine.bench.told import bench_lines, bench_record
from engine.data.command import guarded, write_json, write_lines
from engine.data.progress import terminal_progress
from engine.judging_command import needing_torch
from lvmtui.errors import UsageError
from lvmtui.latencies import PRECISIONS


def main(argv: list[str]) -> int:
    """Run `bench`.

    Args:
        argv: what stands after it.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    asked = _parser().parse_args(argv)
    return guarded(lambda: _bench(asked))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -P -m engine bench",
        description="Measure how long a query takes with a run's best checkpoint, on vectors of its data: "
        "streaming, and with the whole context computed anew; in several precisions, each with its Hit@K.",
    )
    parser.add_argument("run_id", type=int, metavar="RUN_ID", help="number of a run")
    parser.add_argument("--store", required=True, metavar="URL", help="path or URL of the run store")
    parser.add_argument(
        "--contexts",
        metavar="N,N",
        help="vectors before a query (default: those of 100,500,1000,2000 that the data are long enough for)",
    )
    parser.add_argument(
        "--precision",
        metavar="NAME,NAME",
        help=f"of {', '.join(PRECISIONS)} (default: fp32,bf16,int8; on a GPU fp32,bf16)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--threads", type=_count, metavar="N", help="of torch (default: its own choice)")
    parser.add_argument(
        "--queries", type=_count, default=200, metavar="N", help="at most, for each line (default: 200)"
    )
    parser.add_argument(
        "--pool", type=_count, metavar="N", help="vectors to search (default: those of the validation split)"
    )
    parser.add_argument(
        "--most-lost",
        type=float,
        default=100 * MOST_LOST,
        metavar="POINTS",
        help="a precision that loses more of Hit@5 is refused (default: 0.5)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _asked(parse: Callable[[str], Any], text: str | None, hint: str) -> Any:
    """A list of the command line; None where it was not given.

    Raises:
        UsageError: it is no such list.
    """
    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise UsageError(str(error), hint) from error


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return number


def _bench(arguments: argparse.Namespace) -> None:
    from lvmtui.store.database import Database

    plan = Plan(
        contexts=_asked(
            parse_contexts,
            arguments.contexts,
            "Give whole numbers above 0, with commas between them: --contexts 100,500",
        ),
        precisions=_asked(
            parse_precisions,
            arguments.precision,
            "With commas between them: --precision fp32,bf16",
        ),
        queries=arguments.queries,
        pool=arguments.pool,
        device=arguments.device,
        threads=arguments.threads,
        most_lost=arguments.most_lost / 100,
    )
    database = Database.open(arguments.store, create=False)
    try:
        with terminal_progress() as progress, needing_torch():
            from engine.bench.bench import bench_run

            benched = bench_run(database, arguments.run_id, plan, progress=progress)
    finally:
        database.close()
    if arguments.json:
        write_json(bench_record(benched))
    else:
        write_lines(bench_lines(benched))
