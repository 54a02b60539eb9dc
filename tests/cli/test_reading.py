"""A whole snapshot from one reading."""

import math
import time

from lvmtui.merge import snapshot
from lvmtui.snapshot import State
from lvmtui.store.control import Controller
from lvmtui.store.reader import Reader
from lvmtui.store.records import DeviceSample


def test_a_snapshot_has_everything_newest_first(stored, alive):
    stored.finished(0.1, 0.3)
    Controller(stored.database).promote(1)
    writer = stored.started(*alive)
    now = time.time()
    writer.device_samples(
        [DeviceSample("here", "cpu", "CPU", now - 1, 0.5), DeviceSample("here", "cpu", "CPU", now)]
    )
    Controller(stored.database).request_stop(2)
    stored.started()

    taken = snapshot(Reader(stored.database), looked_at=[1], now=now)

    assert [(view.run.id, view.state) for view in taken.runs] == [
        (3, State.LOST),
        (2, State.RUNNING),
        (1, State.COMPLETED),
    ]
    lost, running, finished = taken.runs
    assert lost.lost_reason == "process 4194303 is gone"
    assert running.stop_requested
    assert (finished.aliases, finished.best.epoch, finished.last.epoch) == (("champion",), 2, 2)
    assert finished.baseline.baseline == "ewm"
    assert finished.best.ranks == b""
    assert [item.baseline for item in taken.baselines["p1"]] == ["copy-last", "ewm"]
    assert taken.protocols["p1"].pool == 640
    (device,) = taken.devices
    assert (device.history, device.stale) == ((0.5, None), False)
    detail = taken.details[1]
    assert detail.series["val/hit5"].value.tolist() == [0.1, 0.3]
    assert math.isnan(detail.series["train/loss"].value[0])
    assert [item.epoch for item in detail.evaluations] == [1, 2]
    assert [event.kind for event in detail.events][-2:] == ["completed", "promoted"]
    assert list(taken.details) == [1]
