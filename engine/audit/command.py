"""`python -P -m engine audit DATA`: every check of a vector set. `lvmtui audit` shows what it prints."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from engine.audit.data import audit_data
from engine.audit.kept import keep_audit
from engine.audit.opening import audit_unopened
from engine.audit.words import finding_lines
from engine.data.command import guarded
from engine.data.locate import DEMO, resolve_data
from engine.data.progress import Progress, terminal_progress
from engine.data.split import split_documents
from engine.data.vectors import VectorSet
from lvmtui.errors import DataError
from lvmtui.findings import Finding, worst_first
from lvmtui.splits import document_starts


def main(argv: list[str]) -> int:
    """Run `audit`.

    Returns:
        Exit code: 0 audited, whatever was found; 1 failed, 2 wrong usage, 130 interrupted.
    """
    arguments = _parser().parse_args(argv)
    return guarded(lambda: _audit(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -P -m engine audit",
        description="Look for everything that makes scores on a vector set wrong or worthless.",
    )
    parser.add_argument("data", metavar="DATA", help="folder of a vector set, or `demo`")
    parser.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="is a context of N vectors longer than anything in it can help?",
    )
    parser.add_argument(
        "--split-seed", type=int, default=0, metavar="N", help="seed of the split (default: 0)"
    )
    parser.add_argument("--within-document", action="store_true", help="contexts do not leave their document")
    parser.add_argument("--store", metavar="URL", help="keep the findings in this run store")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _audit(arguments: argparse.Namespace) -> None:
    if arguments.context is not None and arguments.context < 1:
        raise DataError(f"a context of {arguments.context} vectors", "It takes at least 1.")
    start = time.monotonic()
    with terminal_progress() as progress:
        data, findings = _findings(arguments, progress)
    if arguments.store and data is not None:
        _keep(arguments.store, findings)
    record: dict[str, Any] = {
        "path": arguments.data,
        "fingerprint": data.fingerprint if data else "",
        "vectors": len(data) if data else None,
        "dim": data.dim if data else None,
        "documents": len(document_starts(data.documents)) if data and data.has_documents else None,
        "split_seed": arguments.split_seed,
        "context": arguments.context,
        "within_document": arguments.within_document,
        "seconds": round(time.monotonic() - start, 2),
        "findings": [finding.record() for finding in worst_first(findings)],
    }
    if arguments.json:
        sys.stdout.write(json.dumps(record, indent=2, allow_nan=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in finding_lines(worst_first(findings)))


def _findings(arguments: argparse.Namespace, progress: Progress) -> tuple[VectorSet | None, list[Finding]]:
    """The set, where it can be used, and what was found."""
    try:
        data = resolve_data(arguments.data, progress)
        splits = split_documents(data, arguments.split_seed)
    except DataError as error:
        if arguments.data == DEMO:
            raise
        return None, audit_unopened(Path(arguments.data).expanduser().absolute(), error, progress)
    return data, audit_data(
        data,
        splits,
        split_seed=arguments.split_seed,
        context=arguments.context,
        within_document=arguments.within_document,
        progress=progress,
    )


def _keep(store: str, findings: list[Finding]) -> None:
    from lvmtui.store.database import Database
    from lvmtui.store.writer import Writer

    database = Database.open(store, create=False)
    try:
        keep_audit(Writer(database, 0), findings)
    finally:
        database.close()
