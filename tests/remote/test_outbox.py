"""What waits for a host: kept, sent, answered once, withdrawn, shared by several dashboards."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lvmtui.errors import LvmtuiError
from lvmtui.remote.asking import Asking
from lvmtui.remote.hosts import Host
from lvmtui.remote.outbox import LONGEST_TEXT, Answer, Outbox, located, outbox_file, read_answer

STOP = ("stop", {"run": 17}, "stop phase-3 #17@gpu1", 17)
RESUME = ("resume", {"run": 17}, "resume phase-3 #17@gpu1", 17)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "gpu1.db"


def test_what_is_asked_waits_across_dashboards(file: Path) -> None:
    first = Outbox(file)
    assert first.unanswered() == []
    assert not file.exists()
    request = first.put(*STOP)
    first.close()
    (entry,) = Outbox(file).unanswered()
    assert (entry.id, entry.what, entry.arguments, entry.words, entry.run_id, entry.sent) == (
        request, "stop", {"run": 17}, "stop phase-3 #17@gpu1", 17, False,
    )  # fmt: skip
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_the_same_stop_twice_is_one(file: Path) -> None:
    outbox = Outbox(file)
    request = outbox.put(*STOP)
    outbox.put("annotate", {"run": 17, "note": "slow"}, "a note on phase-3 #17@gpu1", 17)
    outbox.put("stop", {"run": 18}, "stop phase-3 #18@gpu1", 18)
    assert outbox.put(*STOP) == request
    assert len(outbox.unanswered()) == 3


def test_a_stop_after_a_resume_is_another(file: Path) -> None:
    outbox = Outbox(file)
    asked = [outbox.put(*STOP), outbox.put(*RESUME), outbox.put(*STOP)]
    assert [entry.id for entry in outbox.unanswered()] == asked


def test_two_launches_are_two(file: Path) -> None:
    outbox = Outbox(file)
    launch = ("launch", {"phases": ["demo"]}, "launch demo", None)
    assert outbox.put(*launch) != outbox.put(*launch)


def test_only_what_was_not_sent_can_be_withdrawn(file: Path) -> None:
    outbox = Outbox(file)
    kept, gone = outbox.put(*STOP), outbox.put(*RESUME)
    assert outbox.mark_sent(kept)
    assert not outbox.withdraw(kept)
    assert outbox.withdraw(gone)
    assert not outbox.withdraw(gone)
    assert not outbox.mark_sent(gone)
    assert [entry.id for entry in outbox.unanswered()] == [kept]
    assert outbox.unanswered()[0].sent
    assert outbox.mark_sent(kept), "it is sent again on the next connection"


def test_an_answer_is_told_once_in_all_dashboards(file: Path) -> None:
    asking, other = Outbox(file), Outbox(file)
    request = asking.put(*STOP)
    other.done(request, Answer(True, "phase-3 #17@gpu1 was asked to stop", data={"run": 17}))
    other.done(request, Answer(False, "a second answer"))
    assert asking.unanswered() == []
    ((entry, answer),) = asking.untold()
    assert entry.id == request
    assert (answer.ok, answer.words, answer.data) == (True, "phase-3 #17@gpu1 was asked to stop", {"run": 17})
    assert other.untold() == []
    assert other.answer(request) == answer


def test_what_is_waited_for_is_not_told_again(file: Path) -> None:
    outbox = Outbox(file)
    request = outbox.put(*STOP)
    assert outbox.answer(request) is None
    outbox.done(request, Answer(True, "done"))
    assert outbox.answer(request) == Answer(True, "done")
    assert outbox.untold() == []


def test_either_sent_or_withdrawn(file: Path) -> None:
    """Two dashboards decide about the same request at once."""
    sender, other = Outbox(file), Outbox(file)
    for number in range(20):
        request = sender.put("stop", {"run": number}, f"stop #{number}", number)
        with ThreadPoolExecutor() as threads:
            found = [threads.submit(do, request) for do in (sender.mark_sent, other.withdraw)]
        assert sorted(one.result() for one in found) == [False, True]


def test_a_damaged_file_is_said_so(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database" * 100)
    with pytest.raises(LvmtuiError, match="requests cannot be kept in"):
        Outbox(file).put(*STOP)
    with pytest.raises(LvmtuiError, match="requests cannot be kept in"):
        Outbox(file).unanswered()


def test_each_store_of_each_machine_has_its_own_file() -> None:
    files = {
        outbox_file(Host("gpu1", "gpu1")),
        outbox_file(Host("gpu1", "me@gpu1")),
        outbox_file(Host("gpu1", "gpu1", "other/runs.db")),
    }
    assert len(files) == 3
    assert {file.name.partition("-")[0] for file in files} == {"gpu1"}


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("phase-3 #17 was asked to stop", "phase-3 #17@gpu1 was asked to stop"),
        ("`lvmtui stop 17` ends it first.", "`lvmtui stop 17@gpu1` ends it first."),
        ("`lvmtui queue after 3 none`: for no run.", "`lvmtui queue after 3@gpu1 none`: for no run."),
        ("#1 after #12: they", "#1@gpu1 after #12@gpu1: they"),
        ("`lvmtui ls` lists 20 runs", "`lvmtui ls --host gpu1` lists 20 runs"),
        ("known already: #4@gpu1", "known already: #4@gpu1"),
    ],
)
def test_runs_of_another_machine_are_called_so(there: str, here: str) -> None:
    assert located(there, "gpu1") == here


def test_an_answer_may_hold_anything() -> None:
    message = {
        "m": "answer",
        "id": "1",
        "ok": 1,
        "words": "\x1b[31mred\x07\nline " + "x" * 9000,
        "hint": 3,
        "data": [],
    }
    answer = read_answer(message, "gpu1")
    assert not answer.ok
    assert "\x1b" not in answer.words
    assert "\x07" not in answer.words
    assert len(answer.words) <= LONGEST_TEXT
    assert (answer.hint, answer.data) == ("", {})


def test_questions_are_no_requests_that_wait() -> None:
    asking = Asking(Host("gpu1", "gpu1"), None)
    asking.put("gates", {"run": 1}, "gates demo #1@gpu1", 1)
    asking.put("stop", {"run": 1}, "stop demo #1@gpu1", 1)
    assert [request.words for request in asking.waiting()] == ["stop demo #1@gpu1"]
    assert len(asking.due(9)) == 2, "but they are asked"
    asking.close()
