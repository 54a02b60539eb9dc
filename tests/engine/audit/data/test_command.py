"""`python -P -m engine audit`, and what `data build` says of what it has built."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.__main__ import main
from engine.data.command import main as data_main
from lvmtui.findings import KIND
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from tests.engine.audit.data import texts as plant
from tests.engine.audit.data.texts import texts

Write = Callable[..., Path]


def test_json_on_standard_output_and_progress_on_the_other(
    written: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(*plant.few_documents())
    assert main(["audit", str(folder), "--context", "50", "--json"]) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert (record["dim"], record["documents"], record["split_seed"], record["context"]) == (64, 60, 0, 50)
    assert record["vectors"] == sum(1 for _ in np.load(folder / "documents.npy"))
    findings = record["findings"]
    severities = [finding["severity"] for finding in findings]
    assert severities == sorted(severities, key=["error", "warn", "info"].index)
    assert set(findings[0]) == {"check", "severity", "message", "advice", "data_fingerprint", "evidence"}
    assert {finding["data_fingerprint"] for finding in findings} == {record["fingerprint"]}
    assert "auditing" in printed.err


def test_words_without_json(written: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(written(*plant.few_documents()))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("! warn   few-documents: Only 6 validation documents")
    assert lines[1].strip().startswith("Add documents")
    assert any(line.startswith("✔ ok     scrambled-order") for line in lines)


def test_findings_are_kept_in_a_store(written: Write, tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    Database.open(store).close()
    folder = written(*texts(documents=30))
    assert main(["audit", str(folder), "--context", "9", "--store", str(store)]) == 0
    database = Database.open(store)
    found = Reader(database).events_of_kind(KIND)
    database.close()
    assert len(found) > 10
    assert {event.run_id for event in found} == {None}
    assert "context-horizon" not in {event.evidence["check"] for event in found}


def test_nan_rows_are_findings_not_a_crash(written: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(written(*plant.with_nan())), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["fingerprint"] == ""
    worst = record["findings"][0]
    assert (worst["check"], worst["severity"]) == ("not-finite", "error")
    assert worst["evidence"]["rows"] == [10, 500]
    assert worst["data_fingerprint"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "does not exist"),
        (["set", "--context", "0"], "a context of 0"),
        (["integers"], "int64"),
        (["empty"], "vectors.npy is missing"),
        (["set", "--store", "no.db"], "no run store"),
    ],
)
def test_what_is_no_set_is_a_clear_error(
    written: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    written(*texts(documents=30))
    written(np.ones((9, 2)), np.arange(9), "int64", name="integers")
    (tmp_path / "empty").mkdir()
    assert main(["audit", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert "hint: " in printed.err


def test_a_build_ends_with_what_the_audit_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(5):
        text = " ".join(f"Word{number} follows word{line} in sentence number {line}." for line in range(60))
        (folder / f"{number}.txt").write_text(text)
    assert data_main(["build", str(folder), "--out", str(tmp_path / "set")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("✖ error  few-documents: 1 validation document") for line in lines)
    assert data_main(["build", str(folder), "--out", str(tmp_path / "set"), "--force", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert "few-documents" in {finding["check"] for finding in record["findings"]}
    assert "info" not in {finding["severity"] for finding in record["findings"]}
