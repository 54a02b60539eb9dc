"""`lvmtui audit`: data through the real engine, runs from the store."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lvmtui.audits import Audits
from lvmtui.findings import KIND, Finding
from lvmtui.store.reader import Reader
from lvmtui.store.records import Severity
from tests.cli.conftest import Done, Stored

Call = Callable[..., Done]
FINGERPRINT = "f" * 16
"""Of the data of the stored runs."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a small vector set, and one with NaN in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    vectors = np.cumsum(random.normal(size=(130, 12, 16)), axis=1) + 3 * random.normal(size=(130, 1, 16))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    for name in ("vectors", "broken", "17"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "vectors.npy", vectors.reshape(-1, 16).astype(np.float32))
        np.save(tmp_path / name / "documents.npy", np.repeat(np.arange(130), 12))
    vectors[3, 4, 5] = np.nan
    np.save(tmp_path / "broken" / "vectors.npy", vectors.reshape(-1, 16).astype(np.float32))
    return tmp_path


def rows(out: str) -> dict[str, str]:
    """Check -> the first line of its row."""
    found = re.findall(r"^[✔!✖·] (?:ok|warn|error)\s+([a-z-]+)\s+(.*)$", out, re.MULTILINE)
    return dict(found)


def test_data_get_a_verdict_a_table_and_the_lag_curve(here: Path, lvmtui: Call) -> None:
    done = lvmtui("audit", "vectors", "--context", "2000")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith(
        "vectors: 1 560 vectors of 16 numbers, 130 documents, split seed 0, fingerprint "
    )
    assert re.fullmatch(r"Take these data with care: \d warnings?, \d+ checks passed\.", lines[1])
    checks = rows(done.out)
    assert len(checks) > 15
    assert checks["small-pool"].startswith("The validation split has 156 candidates only")
    assert "→ Hit@K grows as the pool shrinks" in done.out
    # Worst first.
    assert lines[3].startswith("! warn")
    assert "Mean cosine by lag" in done.out
    assert "chance ≤" in done.out
    assert "\x1b" not in done.out
    assert not (here / "runs.db").exists()


def test_everything_is_in_the_json(here: Path, lvmtui: Call) -> None:
    done = lvmtui("audit", "./vectors", "--json", "--split-seed", "3", "--within-document")
    record = json.loads(done.out)
    assert (record["split_seed"], record["within_document"], record["context"]) == (3, True, None)
    curve = next(item for item in record["findings"] if item["check"] == "lag-curve")
    assert curve["evidence"]["lags"][0] == 1
    assert len(curve["evidence"]["null_high"]) == len(curve["evidence"]["lags"])


def test_errors_are_exit_code_1_only_when_strict(here: Path, lvmtui: Call) -> None:
    for arguments, code in (((), 0), (("--strict",), 1)):
        done = lvmtui("audit", "broken", *arguments)
        assert done.code == code
        assert rows(done.out)["not-finite"].startswith("1 vector of 1 560 (<0.1%) is NaN")
        assert "(row 40)" in done.out
        assert "broken: cannot be used as it is" in done.out
        assert "Scores on these data can't be trusted: 1 error" in done.out
    assert lvmtui("audit", "vectors", "--strict").code == 0


def test_findings_are_kept_in_the_store_that_there_is(here: Path, stored: Stored, lvmtui: Call) -> None:
    """Once more, and the newer set takes the place of the older."""
    for _ in range(2):
        assert "kept in " in lvmtui("audit", "vectors").err
    audits = Audits()
    audits.add(Reader(stored.database).events_of_kind(KIND))
    (findings,) = audits.data.values()
    names = [finding.check for finding in findings]
    assert len(names) == len(set(names)) > 15
    events = len(Reader(stored.database).events_of_kind(KIND))
    assert "kept" not in lvmtui("--readonly", "audit", "vectors").err
    assert len(Reader(stored.database).events_of_kind(KIND)) == events


def test_a_run_shows_its_own_findings_and_those_of_its_data(stored: Stored, lvmtui: Call) -> None:
    run = stored.finished(0.1, 0.2)
    done = lvmtui("audit", str(run.id))
    assert done.code == 0
    assert "Its data were not audited yet: lvmtui audit demo" in done.out
    writer = stored.started()
    own = Finding("dead-parameters", "1.05M of 11.3M parameters got no gradient.", Severity.ERROR, "Look.")
    writer.events([own.event(5.0)])
    findings = [
        Finding("few-documents", "Only 6 documents.", Severity.WARN, "Add some.", data=FINGERPRINT),
        Finding("norms", "Fine.", data=FINGERPRINT),
    ]
    writer.events([finding.event(7.0) for finding in findings], of_run=False)
    done = lvmtui("audit", "last")
    assert f"Don't trust {writer.run().name}: 1 error" in done.out
    assert rows(done.out)["dead-parameters"] == own.message
    assert rows(done.out)["few-documents"] == "Only 6 documents."
    assert "norms" not in rows(done.out)
    assert "demo: take these data with care: 1 warning, 1 check passed." in done.out
    assert lvmtui("audit", "last", "--strict").code == 1
    record = json.loads(lvmtui("audit", f"phase-1 #{writer.run_id}", "--json").out)
    assert record["run_id"] == writer.run_id
    assert "dead-parameters" in {item["check"] for item in record["findings"]}
    assert {item["check"] for item in record["data"]["findings"]} == {"few-documents", "norms"}
    assert record["data"]["audited"]


def test_a_run_goes_before_a_folder_of_its_name(here: Path, stored: Stored, lvmtui: Call) -> None:
    for _ in range(17):
        stored.new()
    assert "phase-1 #17" in lvmtui("audit", "17").out
    assert lvmtui("audit", "./17").out.startswith("./17: 1 560 vectors")
    os.rename(here / "17", here / "18")
    assert lvmtui("audit", "18").out.startswith("18: 1 560 vectors")


def test_what_is_neither_is_said_so(here: Path, lvmtui: Call, stored: Stored) -> None:
    done = lvmtui("audit", "nothing")
    assert done.code == 2
    assert "error: there is neither a run nor a folder 'nothing'" in done.err
    assert "hint: " in done.err
    run = stored.new()
    done = lvmtui("audit", str(run.id), "--context", "5")
    assert done.code == 2
    assert "are for data" in done.err
    done = lvmtui("audit", "./nothing")
    assert (done.code, done.out) == (1, "")


def test_without_a_store_only_data_can_be_audited(here: Path, lvmtui: Call) -> None:
    done = lvmtui("audit", "last")
    assert done.code == 2
    assert "neither a run nor a folder 'last'" in done.err


def test_texts_from_findings_cannot_steer_the_terminal(stored: Stored, lvmtui: Call) -> None:
    writer = stored.started()
    writer.events([Finding("x", "[red]a[/red]\x1b[2Jb", Severity.WARN, "c\x1b]0;d\x07").event(5.0)])
    done = lvmtui("audit", "last")
    assert "[red]a[/red]b" in done.out
    assert "\x1b" not in done.out
