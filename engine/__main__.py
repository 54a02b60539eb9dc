"""One run's process: `python -P -m engine RUN_ID --store URL`. Also the engine's own subcommands: `data`,
`audit`, `evaluate`, `baselines`, `bench`, `predict`.

The store hears of the process before torch is imported, which takes seconds.
"""

import argparse
import logging
import os
import socket
import sys
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.control import Outcome, StopFlag, Stopped, listen
from lvmtui.errors import LvmtuiError, MissingDependency, StoreError, TrainingError
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Event, Run, Severity

if TYPE_CHECKING:
    from engine.reporter import Reporter

log = logging.getLogger("engine")

FINISH_SECONDS = 600.0
"""How long the end waits for a store that cannot be written."""

_TRAINING_PACKAGES = frozenset({"torch", "safetensors", "sklearn"})


class _StdoutHandler(logging.Handler):
    """Plain lines on standard output, unbuffered; a log on a full disk must not end the training."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            os.write(1, f"{self.format(record)}\n".encode(errors="replace"))


def main(argv: list[str] | None = None) -> int:
    """Run one command line.

    Returns:
        0 done (completed, stopped early or on request), 1 failed, 2 wrong usage.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        if arguments[:1] == ["data"]:
            from engine.data.command import main as data_main

            return data_main(arguments[1:])
        if arguments[:1] == ["audit"]:
            from engine.audit.command import main as audit_main

            return audit_main(arguments[1:])
        if arguments[:1] in (["evaluate"], ["baselines"]):
            from engine.judging_command import main as judging_main

            return judging_main(arguments)
        if arguments[:1] == ["predict"]:
            from engine.predicting_command import main as predict_main

            return predict_main(arguments[1:])
        if arguments[:1] == ["bench"]:
            from engine.bench.command import main as bench_main

            return bench_main(arguments[1:])
        parsed = _parser().parse_args(arguments)
        return _run(parsed.run_id, parsed.store)
    except LvmtuiError as error:
        sys.stderr.write(f"engine: error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -P -m engine",
        description="Take up one queued run of a store: train it, judge it, write down what happens.",
        epilog="`python -P -m engine data --help` tells of vector sets. Runs are launched and resumed with "
        "`lvmtui launch` and `lvmtui resume`, which call this.",
    )
    parser.add_argument("run_id", type=int, metavar="RUN_ID", help="number of a queued run")
    parser.add_argument("--store", required=True, metavar="URL", help="path or URL of the run store")
    return parser


def _run(run_id: int, store: str) -> int:
    """Do one run's work, then take up the next of the queue in this process's place: only then does this not
    return."""
    flag = StopFlag()
    listen(flag)
    _start_logging()

    import psutil
    from sqlalchemy.exc import OperationalError

    from engine import relay
    from engine.reporter import OwnershipLost, Reporter
    from lvmtui.sensors import DeviceSampler
    from lvmtui.store.database import Database
    from lvmtui.store.writer import Writer

    database = Database.open(store, create=False)
    try:
        writer = Writer(database, run_id)
        try:
            run = writer.start(
                pid=os.getpid(), process_started=psutil.Process().create_time(), host=socket.gethostname()
            )
        except OperationalError as error:
            raise StoreError(
                f"cannot write to {database.location.where}: {error.orig}",
                "Check the free disk space and the permissions, then resume the run.",
            ) from error
        log.info("%s: attempt %d, pid %d on %s", run.name, run.attempt, os.getpid(), run.host)
        reporter = Reporter(writer, run, flag, DeviceSampler())
        reporter.start()
        relay.fill_other_slots(database)
        try:
            outcome = _train(run, database.location.root, reporter, flag)
            code = _finish(outcome, reporter)
        except OwnershipLost as error:
            log.error("%s", error)
            return 1
        finally:
            reporter.close()
        return relay.hand_over(database, run_id, code=code)
    finally:
        database.close()


def _start_logging() -> None:
    handler = _StdoutHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    for logger in (log, logging.getLogger("py.warnings")):
        logger.addHandler(handler)
        logger.propagate = False
    log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    # The default would show the source line below each warning.
    warnings.formatwarning = lambda message, category, *_: f"{category.__name__}: {message}"


def _train(run: Run, root: Path, reporter: "Reporter", flag: StopFlag) -> Outcome:
    """Do the run's work; whatever goes wrong becomes an outcome.

    Raises:
        OwnershipLost: the run is another process's; nothing may be written of it.
    """
    from engine.reporter import OwnershipLost

    try:
        from engine.session import train_run

        return train_run(run, root, reporter, flag)
    except OwnershipLost:
        raise
    except Stopped as stop:
        return Outcome(Result.STOPPED, f"stopped by {stop} before the first step")
    except LvmtuiError as error:
        return _failed(error)
    except BaseException as error:
        known = _explained(error)
        if known is not None:
            return _failed(known)
        report = traceback.format_exc()
        log.error("%s", report)
        message = f"{type(error).__name__}: {error}"
        return Outcome(Result.FAILED, f"failed: {message}", Severity.ERROR, f"{message}\n\n{report}")


def _failed(error: LvmtuiError) -> Outcome:
    return Outcome(Result.FAILED, f"failed: {error.message}", Severity.ERROR, str(error))


def _explained(error: BaseException) -> LvmtuiError | None:
    """What a user can do about an error that is not ours; None when only a traceback helps."""
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        if package in _TRAINING_PACKAGES:
            return MissingDependency(
                f"training needs {package}, which is not installed for {sys.executable}",
                "Install it with: pip install 'lvmtui[train]'",
            )
    words = str(error).lower()
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)
    ):
        return TrainingError(
            f"out of memory: {str(error).splitlines()[0] if str(error) else 'no more memory'}",
            "Halve train.batch and double train.accumulation (the same steps in less memory), or lower "
            "data.context or model.hidden; then launch the phase again.",
        )
    return None


def _finish(outcome: Outcome, reporter: "Reporter") -> int:
    import time

    log.log(logging.ERROR if outcome.result is Result.FAILED else logging.INFO, "%s", outcome.message)
    event = Event(outcome.result.value, outcome.message, time.time(), outcome.severity)
    try:
        reporter.finish(outcome.result, event, error=outcome.error, timeout=FINISH_SECONDS)
    except TimeoutError as error:
        log.error("the end of the run could not be recorded: %s", error)
        return 1
    return 1 if outcome.result is Result.FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
