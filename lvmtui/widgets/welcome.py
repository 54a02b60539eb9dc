"""What a store without runs shows: what this is, and how to begin."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from lvmtui.format import fit, plain
from lvmtui.snapshot import Snapshot


class Welcome(Widget):
    """The empty dashboard, and all that there is to say about a store that cannot be read."""

    DEFAULT_CSS = """
    Welcome {
        height: 1fr;
        padding: 0 2;
        align: center middle;
        content-align: center middle;
    }
    """

    snapshot: reactive[Snapshot | None] = reactive[Snapshot | None](None, repaint=False)

    def __init__(self) -> None:
        super().__init__()
        self._shown = ("", "", "")

    def watch_snapshot(self, snapshot: Snapshot | None) -> None:
        """Only its place, what is wrong with it and what may still come matter here."""
        shown = (snapshot.store, snapshot.problem, _coming(snapshot)) if snapshot else ("", "", "")
        if shown != self._shown:
            self._shown = shown
            self.refresh(layout=True)

    def render(self) -> Content:
        store, problem, coming = self._shown
        if problem:
            return Content.assemble(
                ("✖ The run store cannot be read\n\n", "bold $text-error"),
                "\n".join(plain(line) for line in problem.splitlines()),
                "\n\nIt is looked at again whenever it changes; nothing was written to it.",
            )
        return Content.assemble(
            ("lvmtui", "bold $text-primary"),
            " shows training runs as they learn, and starts, stops,\nresumes and promotes them. ",
            "Runs go on when it is closed.\n\n",
            ("There are no runs yet.", "bold"),
            f"\n{coming}" if coming else "",
            "\n\n",
            ("n", "bold $text-accent"),
            "            launch a run of a phase\n",
            ("lvmtui demo", "bold $text-accent"),
            "  in a shell: train a small model\n             on data made on this machine\n",
            ("?", "bold $text-accent"),
            "            all keys\n\n",
            (f"run store  {plain(store)}", "$text-muted"),
        )


def _coming(snapshot: Snapshot) -> str:
    """Which hosts have not said what runs they have."""
    asked = [host.name for host in snapshot.hosts if not host.is_whole]
    return fit(f"Those of {', '.join(asked)} come as soon as they answer.", 66) if asked else ""
