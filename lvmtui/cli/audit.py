"""`lvmtui audit`: what is wrong with data, or with a run and its data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lvmtui.cli.session import (
    JsonOption,
    Session,
    StoreOption,
    find_run,
    line,
    note,
    reading,
    session_of,
    terminal_width,
    write,
)
from lvmtui.errors import RunNotFound, StoreMissing, UsageError
from lvmtui.format import plain, thousands, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lvmtui.findings import Finding
    from lvmtui.store.records import Run

CHART_WIDTH, CHART_HEIGHT = 100, 14
DEMO = "demo"


def audit(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="DATA|RUN",
            help="A vector set's folder or `demo`; or a run: 17, 'phase-3 #17' or last. A run goes before a "
            "folder of that name: write ./17 for the folder.",
            show_default=False,
        ),
    ],
    length: Annotated[
        int | None,
        typer.Option(
            "--context", "-c", min=1, metavar="N", help="Can a context of N vectors help? Data only."
        ),
    ] = None,
    split_seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of the split; otherwise 0. Data only.")
    ] = None,
    within_document: Annotated[
        bool, typer.Option("--within-document", help="Contexts stay in their document. Data only.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 where an error was found.")] = False,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Look for what makes scores wrong or worthless: in data, or in a run and its data."""
    session = session_of(context, store)
    run = _run_meant(session, target)
    if run is None:
        options = ["--context", str(length)] if length is not None else []
        options += ["--split-seed", str(split_seed)] if split_seed is not None else []
        options += ["--within-document"] if within_document else []
        findings = _audit_data(session, target, options, as_json=as_json)
    else:
        if length is not None or split_seed is not None or within_document:
            raise UsageError(
                f"--context, --split-seed and --within-document are for data; {target!r} is {run.name}",
                f"`lvmtui audit {run.id}` shows what its own recipe leads to.",
            )
        findings = _audit_run(session, run, as_json=as_json)
    from lvmtui.store.records import Severity

    if strict and any(finding.severity is Severity.ERROR for finding in findings):
        raise typer.Exit(1)


def _run_meant(session: Session, target: str) -> Run | None:
    """The run that is meant; None for data.

    Raises:
        UsageError: it is neither.
    """
    if target == DEMO or os.sep in target:
        return None
    try:
        return find_run(session, target)
    except (RunNotFound, StoreMissing) as error:
        if Path(target).expanduser().is_dir():
            return None
        raise UsageError(
            f"there is neither a run nor a folder {target!r}",
            error.hint if isinstance(error, RunNotFound) else "Give the folder of a vector set, or `demo`.",
        ) from error


def _audit_data(session: Session, target: str, options: list[str], *, as_json: bool) -> Sequence[Finding]:
    from lvmtui import launcher
    from lvmtui.audit_view import LAG_CURVE, finding_from, verdict

    kept = _store_to_keep_in(session)
    arguments = ["audit", "--json", *options, *(["--store", kept] if kept else []), "--", target]
    code, output = launcher.ask_engine(arguments)
    if code:
        raise typer.Exit(code if code > 0 else 128 - code)
    record = json.loads(output)
    findings = [finding_from(item) for item in record["findings"]]
    if as_json:
        from lvmtui.export.text import to_json

        write(to_json(record))
        return findings
    _say(_described(record))
    _say(verdict(findings, "these data"))
    line()
    _print_findings(findings)
    curve = next((finding for finding in findings if finding.check == LAG_CURVE), None)
    if curve is not None and curve.evidence.get("lags"):
        _print_lag_curve(session, curve)
    if kept and record["fingerprint"]:
        note(f"kept in {session.store}")
    return findings


def _store_to_keep_in(session: Session) -> str | None:
    """The store that findings are put into: the session's, if there is one to write to."""
    from lvmtui.store.location import Location

    location = Location.parse(session.store)
    there = location.path is None or location.path.is_file()
    return location.url if there and not session.readonly else None


def _described(record: dict[str, Any]) -> str:
    if not record["fingerprint"]:
        return f"{record['path']}: cannot be used as it is; the other checks need a set that opens"
    documents = record["documents"]
    parts = [
        f"{thousands(record['vectors'])} vectors of {record['dim']} numbers",
        f"{thousands(documents)} documents" if documents else "no documents",
        f"split seed {record['split_seed']}",
        f"fingerprint {record['fingerprint']}",
    ]
    return f"{record['path']}: {', '.join(parts)}"


def _audit_run(session: Session, run: Run, *, as_json: bool) -> Sequence[Finding]:
    from lvmtui.audit_view import verdict
    from lvmtui.audits import Audits
    from lvmtui.checks.of_store import audit_run
    from lvmtui.findings import KIND

    with reading(session) as reader:
        own = audit_run(reader, run)
        audits = Audits()
        audits.add(reader.events_of_kind(KIND))
    of_data = audits.data.get(run.data_fingerprint or "", ())
    if as_json:
        from lvmtui.export.text import to_json

        record = {
            "run_id": run.id,
            "run": run.name,
            "findings": [finding.record() for finding in own],
            "data": {
                "path": run.data,
                "fingerprint": run.data_fingerprint,
                "audited": bool(of_data),
                "findings": [finding.record() for finding in of_data],
            },
        }
        write(to_json(record))
        return [*own, *of_data]
    _say(verdict(own, run.name))
    if own:
        line()
        _print_findings(own)
    line()
    if not of_data:
        _say(f"Its data were not audited yet: lvmtui audit {_as_data(run.data)}")
        return own
    _say(f"{run.data}: {_lower(verdict(of_data, 'these data'))}")
    wrong = [finding for finding in of_data if not finding.passed]
    if wrong:
        line()
        _print_findings(wrong)
    return [*own, *of_data]


def _as_data(path: str) -> str:
    """A run's data as `audit` takes them for data."""
    return path if path == DEMO or os.sep in path else f".{os.sep}{path}"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _say(text: str) -> None:
    """Print a sentence, wrapped where there is a terminal to fit."""
    width = terminal_width()
    for part in wrap(plain(text), width, 9) if width else [text]:
        line(part)


def _print_findings(findings: Sequence[Finding]) -> None:
    """A table: severity, check, and what was found with what to do, wrapped."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    from lvmtui.cli.tables import GAP, make_console
    from lvmtui.store.records import Severity

    styles = {Severity.ERROR: "red", Severity.WARN: "yellow", Severity.INFO: "green"}
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    longest = 0
    for finding in findings:
        word = "ok" if finding.passed else finding.severity.value
        said = Text(plain(finding.message))
        if finding.advice:
            said.append(f"\n→ {plain(finding.advice)}", "dim")
        longest = max(longest, *(cell_len(part) for part in said.plain.split("\n")))
        check = Text(plain(finding.check), "" if finding.passed else "bold")
        table.add_row(Text(f"{finding.glyph} {word}", styles[finding.severity]), check, said)
    checks = max((cell_len(finding.check) for finding in findings), default=0)
    console = make_console(terminal_width() or len("! error") + checks + longest + 3 * GAP)
    with console.capture() as capture:
        console.print(table)
    for text in capture.get().splitlines():
        write(f"{text.rstrip()}\n")


def _print_lag_curve(session: Session, curve: Finding) -> None:
    from lvmtui.audit_view import lag_chart, lag_heading
    from lvmtui.charts.figure import Look
    from lvmtui.cli.tables import make_console

    width = min(terminal_width() or CHART_WIDTH, CHART_WIDTH)
    line()
    _say(lag_heading(curve))
    look = Look(axis="", level="", ascii_only=session.ascii_only)
    console = make_console(width)
    with console.capture() as capture:
        for text_line in lag_chart(curve, width=width, height=CHART_HEIGHT, look=look):
            console.print(text_line, end="\n")
    for text in capture.get().splitlines():
        write(f"{text.rstrip()}\n")
