"""Snapshots with watched hosts: one that answers, one being connected to, one that has fallen silent, one
where nothing can be changed."""

from dataclasses import replace

from lvmtui.remote.hosts import global_id
from lvmtui.snapshot import Contact, DeviceView, HostView, PendingRequest, RunView, Snapshot
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import DeviceSample
from tests.tui import snapshots

NOW = snapshots.NOW
GIB = 1 << 30
SLOTS = {"gpu1": 1, "gpu2": 2, "gpu3": 3, "gpu4": 4}
SILENT = NOW - 4003
"""When gpu3 was last heard of."""

STOP = PendingRequest("a1", "stop phase-3 #7@gpu3", global_id(3, 7), NOW - 3000)
NOTE = PendingRequest("b2", "note on phase-2 #17@gpu1 [bold]text[/bold]", global_id(1, 17), NOW - 2, True)


def host(name: str, contact: Contact = Contact.LIVE, **changes: object) -> HostView:
    """A host that answers, unless told otherwise."""
    live = contact is Contact.LIVE
    made = HostView(
        name,
        contact,
        store=f"/home/me/{name}/runs.db" if live else "",
        version="0.2.0" if live else "",
        round_trip=0.0243 if live else None,
        is_whole=live,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


GPU1 = host("gpu1", pending=(NOTE,), skew=200.0)
GPU2 = host("gpu2", Contact.CONNECTING)
GPU3 = host(
    "gpu3",
    Contact.OFFLINE,
    store="/data/runs.db",
    reason="no answer",
    hint="Is the machine on, and does `ssh gpu3` reach it?",
    news=SILENT,
    next_try=NOW + 42,
    pending=(STOP,),
)
GPU4 = host("gpu4", readonly="lvmtui is not installed there", version="", round_trip=0.1112)
HOSTS = (GPU1, GPU2, GPU3, GPU4)


def elsewhere(view: RunView, name: str, number: int, **changes: object) -> RunView:
    """The run as one of a watched host."""
    run = replace(
        view.run,
        id=global_id(SLOTS[name], number),
        origin=name,
        host=f"{name}.cluster",
        folder=f"runs/{number}",
    )
    return replace(view, run=run, **changes)  # type: ignore[arg-type]


def views() -> tuple[RunView, ...]:
    """Some runs here and some on each host."""
    here = snapshots.views()
    running = snapshots.view(
        snapshots.run(7, "phase-3", 0.174, status=Status.RUNNING, epoch=12, best_epoch=12)
    )
    waiting = snapshots.view(snapshots.run(8, "phase-1", None, status=Status.QUEUED, epoch=0))
    failed = snapshots.view(snapshots.run(3, "phase-2", 0.131, result=Result.FAILED, epoch=9, best_epoch=6))
    done = snapshots.view(snapshots.run(4, "phase-2", 0.168))
    return (
        elsewhere(running, "gpu1", 17, pending=("note",)),
        here[0],
        here[1],
        elsewhere(running, "gpu3", 7, silent=SILENT, pending=("stop",)),
        elsewhere(waiting, "gpu3", 8, silent=SILENT),
        elsewhere(done, "gpu3", 6, silent=SILENT),
        elsewhere(failed, "gpu4", 3),
        elsewhere(done, "gpu4", 4),
        *here[2:],
    )


def sample(name: str, device: str, at: float, run_id: int | None = None) -> DeviceSample:
    """A reading of a device of a watched host."""
    busy = 0.5 + 0.4 * ((at * 7) % 1)
    model = "NVIDIA H200" if device != "cpu" else "AMD EPYC 9454 48-Core Processor"
    total = (139 if device != "cpu" else 512) * GIB
    return DeviceSample(
        name, device, model, NOW + at, busy, round(total * busy / 2), total, 36 * GIB, 61.0, 412.0, run_id
    )


def devices() -> tuple[DeviceView, ...]:
    """What gpu1 measures, and what gpu3 did."""
    found = []
    for name, device, until in (("gpu1", "gpu0", 0.0), ("gpu1", "cpu", 0.0), ("gpu3", "gpu0", SILENT - NOW)):
        run_id = global_id(SLOTS[name], 17 if name == "gpu1" else 7)
        past = tuple(sample(name, device, until + k * -1.7, run_id) for k in range(60, -1, -1))
        busy = tuple(item.utilisation for item in past)
        found.append(DeviceView(past[-1], busy, stale=until < 0, recent=past))
    return tuple(found)


def snapshot(
    *, detailed: tuple[int, ...] = (17,), hosts: tuple[HostView, ...] = HOSTS, after: float = 0.0
) -> Snapshot:
    """This store and four watched hosts, some seconds after `NOW`."""
    known = snapshots.snapshot(detailed=())
    shown = views()
    by_id = {view.run.id: view for view in shown}
    details = {number: snapshots.detail(by_id[number]) for number in detailed}
    return replace(known, taken=NOW + after, runs=shown, hosts=hosts, devices=devices(), details=details)
