"""The checkpoints of a run, and whether their files are what was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ClassVar

from textual import work
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message

from lvmtui.format import MISSING, metric_name, metric_value, number, plain, size, stamp, thousands
from lvmtui.host_words import root_of
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.store.records import Checkpoint, Evaluation
from lvmtui.widgets.cells import MUTED
from lvmtui.widgets.row_table import Column, Line, RowTable

COLUMNS = (
    Column("role", ""),
    Column("epoch", "epoch", right=True),
    Column("step", "step", right=True, priority=3),
    Column("value", "score", right=True, priority=1),
    Column("mrr", "MRR", right=True, priority=7),
    Column("loss", "val loss", right=True, priority=8),
    Column("size", "size", right=True, priority=2),
    Column("sha256", "sha256", priority=4),
    Column("state", "file"),
    Column("time", "written", priority=6),
    Column("path", "path", shrinks=True, priority=5),
    Column("path_wide", "path", priority=9, wider_than="path"),
)

CHECKING = "checking …"


@dataclass(frozen=True, slots=True)
class Check:
    """What was found when a checkpoint's file was read."""

    words: str
    style: str


def check_file(path: Path, sha256: str) -> Check:
    """Read the file and compare its sha256 with the recorded one."""
    from lvmtui.gates import sha256_of

    try:
        found = sha256_of(path)
    except FileNotFoundError:
        return Check("✖ missing", "$error")
    except OSError as error:
        return Check(f"✖ unreadable: {error.strerror}", "$error")
    if found != sha256:
        return Check(f"✖ damaged: {found[:8]}…", "$error")
    return Check("✔ as recorded", "$success")


class CheckpointsTable(RowTable):
    """The checkpoints of one run, newest first; `enter` reads a file and compares its sha256."""

    BINDINGS: ClassVar[list[BindingType]] = []

    @dataclass
    class Checked(Message):
        """A file was read."""

        checkpoint_id: int
        check: Check

    def __init__(self) -> None:
        super().__init__(
            COLUMNS,
            empty="No checkpoint yet: the first is written at the end of the first epoch.",
            opens=True,
            id="checkpoints-table",
        )
        self._checks: dict[int, Check] = {}
        self._checkpoints: dict[int, Checkpoint] = {}
        self._root = PurePath()
        self._evaluations: dict[int, Evaluation] = {}
        self._watch = "hit5"
        self._origin = ""
        """The watched host that the files are on; empty: they are here."""

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:
        """Show the checkpoints of this run."""
        self._origin = view.run.origin
        self._root = root_of(view, snapshot)
        self._watch = view.run.watch
        self._checkpoints = {item.id: item for item in reversed(detail.checkpoints)}
        self._evaluations = {item.epoch: item for item in detail.evaluations}
        self._show()

    def _show(self) -> None:
        columns = [
            Column(c.key, metric_name(self._watch), right=True, priority=1) if c.key == "value" else c
            for c in COLUMNS
        ]
        self.show([self._line(item) for item in self._checkpoints.values()], columns=columns)

    def _line(self, item: Checkpoint) -> Line:
        evaluation = self._evaluations.get(item.epoch)
        role = " ".join(word for word, yes in (("★ best", item.is_best), ("last", item.is_last)) if yes)
        unread = f"on {self._origin}" if self._origin else "not checked"
        check = self._checks.get(item.id, Check(unread, MUTED))
        return Line(
            str(item.id),
            {
                "role": Content.styled(role, "$success" if item.is_best else MUTED),
                "epoch": Content(str(item.epoch)),
                "step": Content(thousands(item.step)),
                "value": Content(metric_value(self._watch, item.value)),
                "mrr": Content(metric_value("mrr", evaluation.mrr if evaluation else None)),
                "loss": Content(number(evaluation.loss) if evaluation and evaluation.loss else MISSING),
                "size": Content(size(item.size)),
                "sha256": Content.styled(f"{plain(item.sha256)[:12]}…", MUTED),
                "state": Content.styled(check.words, check.style),
                "time": Content(stamp(item.time)),
                "path": Content.styled(f"…/{plain(Path(item.path).name)}", MUTED),
                "path_wide": Content.styled(plain(self._shown_path(item)), MUTED),
            },
        )

    def _shown_path(self, item: Checkpoint) -> str:
        """The path within the store's folder; on a watched host the whole one, as ssh and scp take it."""
        return f"{self._origin}:{self._root / item.path}" if self._origin else item.path

    def copied(self) -> str:
        """The whole path of the file under the cursor, behind its host where that is another one."""
        item = self._checkpoints.get(int(self.cursor)) if self.cursor is not None else None
        if item is None:
            return ""
        return self._shown_path(item) if self._origin else str(self._root / item.path)

    def on_row_table_opened(self, message: RowTable.Opened) -> None:
        """Read the file in a thread: it may be large."""
        message.stop()
        item = self._checkpoints.get(int(message.key))
        if item is not None and self._origin:
            words = f"The file is on {self._origin} and is not read from here: {self._shown_path(item)}"
            self.notify(plain(words), markup=False)
            return
        if item is None or self._checks.get(item.id, Check("", "")).words == CHECKING:
            return
        self._checks[item.id] = Check(CHECKING, MUTED)
        self._show()
        self._read(item)

    @work(thread=True, group="checkpoint-sha256", description="comparing a checkpoint's sha256")
    def _read(self, item: Checkpoint) -> None:
        self.post_message(self.Checked(item.id, check_file(Path(self._root / item.path), item.sha256)))

    def on_checkpoints_table_checked(self, message: Checked) -> None:
        """Show what was found."""
        self._checks[message.checkpoint_id] = message.check
        self._show()
