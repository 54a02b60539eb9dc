"""The list of runs in groups: by phase, by tag, by recipe or by host. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from textual.content import Content

from lvmtui.format import MISSING, counted, percent, plain
from lvmtui.snapshot import RunView
from lvmtui.widgets.cells import INK, MUTED

GROUPS: Mapping[str, str] = {
    "": "",
    "phase": "by phase",
    "tags": "by first tag",
    "recipe": "by recipe",
    "host": "by host",
}
"""What runs can be grouped by -> in words. A run with several tags stands under the first."""

AMONG_HOSTS = "host"
"""What groups say something of only where hosts are watched."""

GROUP_KEY = "group:"
"""Keys of headings begin with it."""

LONGEST_TITLE = 60
"""Characters of a group's title that are shown."""


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs that have something in common."""

    key: str
    title: str
    views: tuple[RunView, ...]


def grouped(views: Iterable[RunView], by: str) -> list[RunGroup]:
    """The groups in the order of their first run, runs in their order; those without a tag at the end."""
    members: dict[str, list[RunView]] = {}
    pick = _PICK.get(by, _phase)
    for view in views:
        members.setdefault(pick(view), []).append(view)
    values = sorted(members, key=lambda value: not value)
    return [
        RunGroup(f"{GROUP_KEY}{by}:{value}", _title(by, value, members[value]), tuple(members[value]))
        for value in values
    ]


def heading_of(group: RunGroup, *, folded: bool, note: str = "") -> Content:
    """`▾ phase-3  12 runs · best 17.9 · 2 running`.

    Args:
        group: the group.
        folded: its runs are not shown.
        note: something else that is to be known of it.
    """
    running = sum(view.state.is_active for view in group.views)
    said = [counted(len(group.views), "run"), _best(group.views)]
    parts = [
        ("▸ " if folded else "▾ ", MUTED),
        (group.title, "bold $foreground"),
        (f"  {' · '.join(filter(None, said))}", MUTED),
    ]
    if running:
        parts.append((f" · {running} running", INK.success))
    if note:
        parts.append((f" · {note}", MUTED))
    return Content.assemble(*parts)


def _best(views: Sequence[RunView]) -> str:
    """The best Hit@5 of a group; scores under several protocols are not compared."""
    judged = [view.best for view in views if view.best is not None]
    if not judged:
        return ""
    if len({best.protocol_id for best in judged}) > 1:
        return "several protocols"
    return f"best {percent(max(best.hit5 for best in judged))}"


def _phase(view: RunView) -> str:
    return view.run.phase


def _tag(view: RunView) -> str:
    tags = (tag.strip() for tag in view.run.tags.split(","))
    return next(filter(None, tags), "")


def _recipe(view: RunView) -> str:
    return view.run.recipe_hash


def _host(view: RunView) -> str:
    # A watched host may be called as a machine of this store.
    return f"@{view.run.origin}" if view.run.origin else view.run.host or view.run.host_wanted


_PICK: Mapping[str, Callable[[RunView], str]] = {
    "phase": _phase,
    "tags": _tag,
    "recipe": _recipe,
    "host": _host,
}


def _title(by: str, value: str, views: Sequence[RunView]) -> str:
    if by == "recipe":
        run = views[0].run
        value = f"{value[:8]} {run.phase[:LONGEST_TITLE]} · {run.model}"
    elif by == "tags" and not value:
        value = "without a tag"
    elif by == "host":
        value = views[0].run.origin or value or "no host yet"
    return plain(value[: 4 * LONGEST_TITLE])[:LONGEST_TITLE] or MISSING
