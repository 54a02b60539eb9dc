"""The best evaluation cut by lane, position, context and similarity: where a model is good, and where not."""

from __future__ import annotations

from collections.abc import Iterator

from textual.content import Content

from lvmtui.experts import expert_use
from lvmtui.format import MISSING, percent, plain, signed, small, thousands
from lvmtui.snapshot import RunDetail, RunView, Slice, Slicing, Snapshot
from lvmtui.widgets.cells import MUTED, with_interval
from lvmtui.widgets.row_table import Column, Line, RowTable

COLUMNS = (
    Column("label", "slice", shrinks=True),
    Column("n", "n", right=True),
    Column("hit1", "Hit@1", right=True, priority=4),
    Column("hit5", "Hit@5", right=True),
    Column("hit5_interval", "Hit@5 [95 %]", right=True, priority=1, wider_than="hit5"),
    Column("hit10", "Hit@10", right=True, priority=5),
    Column("mrr", "MRR", right=True, priority=6),
    Column("baseline", "baseline", right=True, priority=3),
    Column("gain", "gain", right=True, priority=2),
)


class SlicesTable(RowTable):
    """The slices of one run's best evaluation."""

    def __init__(self) -> None:
        super().__init__(
            COLUMNS,
            empty="No slices: no evaluation yet, or one of a version that kept no facts about queries.",
            id="slices-table",
        )

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:  # noqa: ARG002
        """Show the slices of this run."""
        blocks = [list(slicing_lines(slicing)) for slicing in detail.slices]
        # Lanes come first; what follows lets the cursor scroll past the lines about experts.
        blocks.insert(1, list(expert_lines(view)))
        self.show([line for block in blocks for line in block])


def slicing_lines(slicing: Slicing) -> Iterator[Line]:
    """A heading that says what is cut, and a line for each slice."""
    heading = Content.assemble((plain(slicing.name), "bold"), (f"  {plain(slicing.meaning)}", MUTED))
    yield Line(f"{slicing.name}/", heading=heading)
    for index, part in enumerate(slicing.slices):
        yield Line(f"{slicing.name}/{index}/{part.label}", _cells(part))


def expert_lines(view: RunView) -> Iterator[Line]:
    """Which experts the best evaluation asked, lane by lane; nothing for a model without experts."""
    use = expert_use(view.best.details) if view.best is not None else None
    if use is None:
        return
    meaning = f"  asked for the targets of each lane: {use.source}"
    yield Line("experts/", heading=Content.assemble(("experts", "bold"), (meaning, MUTED)))
    for index, lane in enumerate([use.everywhere, *use.lanes]):
        yield Line(f"experts/{index}", heading=Content(f"  {lane.lane}  {lane.words}"))


def _cells(part: Slice) -> dict[str, Content]:
    base = part.baseline_hit5
    gain = part.hit5 - base if base is not None else None
    style = "" if gain is None or gain == 0 else "$success" if gain > 0 else "$error"
    return {
        "label": Content(f"  {plain(part.label)}"),
        "n": Content(thousands(part.n)),
        "hit1": Content(percent(part.hit1)),
        "hit5": Content(percent(part.hit5)),
        "hit5_interval": with_interval(part.hit5, part.hit5_interval),
        "hit10": Content(percent(part.hit10)),
        "mrr": Content(small(part.mrr)),
        "baseline": Content.styled(percent(base) if base is not None else MISSING, MUTED),
        "gain": Content.styled(signed(gain), style),
    }
