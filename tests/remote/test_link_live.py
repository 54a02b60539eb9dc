"""A run at work on another machine, watched through a connection that breaks again and again."""

import random
import sqlite3
from contextlib import closing

from benchmarks.common.stores import begin, report
from lvmtui.remote.connection import Timing
from lvmtui.remote.link import Link
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.store.database import Database

QUICK = Timing(greeting=20.0, silence=1.0, ping=0.1, first_retry=0.02, last_retry=0.2)

ROWS = {
    "metric": "SELECT key, step, value FROM metric ORDER BY key, step",
    "evaluation": "SELECT split, epoch, step, hit5 FROM evaluation ORDER BY epoch",
    "event": "SELECT kind, message FROM event ORDER BY id",
    "run": "SELECT status, epoch, step, best_epoch FROM run ORDER BY created",
}


def rows(path):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return {table: connection.execute(sql).fetchall() for table, sql in ROWS.items()}


def test_nothing_is_lost_or_doubled(ssh_hosts, wait_until):
    hosts = ssh_hosts("gpu1")
    gpu = hosts["gpu1"]
    store = gpu.home / "runs.db"
    database = Database.open(store)
    run, writer = begin(database, 0)
    host = hosts.host("gpu1")
    mirror = Mirror.open(host)
    link = Link(host, mirror, ssh=hosts.ssh, on_change=lambda: None, timing=QUICK)
    link.start()
    try:
        link.want([run.id])
        link.wait_detailed(run.id, 30)
        chance = random.Random(5)
        breaks = [gpu.proxy.cut, gpu.kill_agents, gpu.proxy.hold, lambda: None, lambda: None]
        for epoch in range(1, 31):
            writer.epoch(report(epoch, 0.1 + epoch / 500))
            chance.choice(breaks)()
            if chance.random() < 0.5:
                gpu.proxy.go_on()
                link.retry_now()
                wait_until(lambda: link.view.is_whole, "that it is back", 30)
        gpu.proxy.go_on()
        wait_until(lambda: rows(mirror.path) == rows(store), "all rows, each once", 30)
        assert len(rows(store)["metric"]) == 330
    finally:
        link.stop()
        database.close()


def test_several_hosts_do_not_wait_for_each_other(ssh_hosts, wait_until):
    hosts = ssh_hosts("gpu1", "gpu2")
    links = {}
    for name in ("gpu1", "gpu2"):
        Database.open(hosts[name].home / "runs.db").close()
        host = hosts.host(name)
        links[name] = Link(host, Mirror.open(host), ssh=hosts.ssh, on_change=lambda: None, timing=QUICK)
    hosts["gpu1"].freeze()
    try:
        for link in links.values():
            link.start()
        links["gpu2"].wait_listed(30)
        assert not links["gpu1"].view.is_whole
        hosts["gpu1"].thaw()
        wait_until(lambda: links["gpu1"].view.is_whole, "the other one")
    finally:
        for link in links.values():
            link.stop()
