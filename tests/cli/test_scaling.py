"""`lvmtui scaling`: stored runs by context, and what was published."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lvmtui import cli, stats
from lvmtui.findings import Finding
from lvmtui.recipe import build
from lvmtui.store.records import EpochReport, Progress, Protocol, QueryFact, Run
from lvmtui.store.writer import Writer
from tests.cli.conftest import DOCUMENTS, POOL, QUERIES, Done, Stored, evaluation

Lvmtui = Callable[..., Done]


def finished(stored: Stored, context: int, score: float, seed: int = 0, **values: object) -> Run:
    recipe = build({"name": "phase-1", "data": {"context": context}})
    return stored.finished(
        score, recipe=recipe.to_json(), recipe_hash=recipe.hash, context=context, seed=seed, **values
    )


def facts(stored: Stored) -> None:
    packed = stats.pack_ranks(np.full(QUERIES, POOL))
    Writer(stored.database, 1).save_query_facts("p1", [QueryFact("candidates", packed)])


def two_contexts(stored: Stored, *, tags: str = "") -> None:
    for seed in range(3):
        finished(stored, 100, 0.30 + seed / 1000, seed, tags=tags)
    for seed in range(3):
        finished(stored, 400, 0.30 + seed / 1000, seed, tags=tags)


def test_contexts_with_their_seeds_and_baselines(stored: Stored, lvmtui: Lvmtui) -> None:
    two_contexts(stored)
    done = lvmtui("scaling")
    assert done.code == 0, done.err
    assert "Hit@5 by context, as judged: doc-v1 on demo" in done.out
    shown = " ".join(done.out.split())
    assert "100 phase-1 #1 #2 #3 30.1" in shown
    assert "±0.1" in shown
    assert "12.0 ewm" in shown
    assert "↑ above it" in shown
    assert "≈ No gain from context shown: Hit@5 at 400 against 100 is +0.0" in shown
    assert "┬" in done.out, "the chart"


def test_the_lag_curve_stands_beside(stored: Stored, lvmtui: Lvmtui) -> None:
    two_contexts(stored)
    found = Finding("lag-curve", "m", evidence={"lags": [1, 100, 1000], "horizon": 100}, data="f" * 16)
    Writer(stored.database, 1).events([found.event(5.0)], of_run=False)
    assert "Lag curve: context beyond lag 100 carries nothing, so 400 has nothing" in lvmtui("scaling").out
    assert json.loads(lvmtui("scaling", "--json").out)[0]["horizon"] == 100


def test_runs_phases_tags_and_protocols_choose(stored: Stored, lvmtui: Lvmtui) -> None:
    finished(stored, 100, 0.3, tags="first, grid")
    finished(stored, 400, 0.3, tags="grid, group:phase-1@2")
    stored.finished(0.2, phase="other")
    contexts = lambda *options: [  # noqa: E731
        item["run_ids"] for item in json.loads(lvmtui("scaling", "--json", *options).out)
    ]
    assert contexts("--tag", "grid") == [[1], [2]]
    assert contexts("--tag", "first") == [[1]]
    assert contexts("--tag", "phase-1@2") == contexts("--tag", "group:phase-1@2") == [[2]]
    assert contexts("--phase", "other") == [[3]]
    assert contexts("--phase", "phase-1..phase-3") == [[1], [2]]
    assert contexts("2", "#1") == [[1], [2]]
    assert len(contexts("--protocol", "doc-v1")) == 3
    nobody = lvmtui("scaling", "--tag", "none")
    assert nobody.code == 1
    assert "no run with the tag none is in the store" in nobody.err
    wrong = lvmtui("scaling", "--protocol", "nope")
    assert wrong.code == 2
    assert "none of these runs was judged by 'nope'" in wrong.err


def test_one_pool(stored: Stored, lvmtui: Lvmtui) -> None:
    two_contexts(stored)
    facts(stored)
    done = lvmtui("scaling", "--pool", "115")
    assert "on a pool of 115" in done.out
    assert "Estimates in closed form from the stored ranks." in done.out
    records = json.loads(lvmtui("scaling", "--pool", "115", "--json").out)
    ranks = stats.unpack_ranks(evaluation(0.30, seed=1).ranks)
    assert records[0]["scores"]["hit5"]["mean"] == pytest.approx(
        stats.equated_hits(ranks, POOL, 115, 5).mean(), abs=0.01
    )
    assert (records[0]["pool"], records[0]["own_pool"]) == (115, POOL)
    assert lvmtui("scaling", "--pool", "5").code == 2


def test_json_has_every_number_with_what_it_was_measured_on(stored: Stored, lvmtui: Lvmtui) -> None:
    two_contexts(stored)
    first, last = json.loads(lvmtui("scaling", "--json", "--metric", "hit10").out)
    assert (first["context"], last["context"]) == (100, 400)
    for item in (first, last):
        assert (item["protocol_id"], item["data_fingerprint"]) == ("p1", "f" * 16)
        assert (item["n"], item["pool"], item["seeds"]) == (QUERIES, POOL, 3)
        assert item["slope"]["metric"] == "hit10"
        low, high = item["slope"]["interval"]
        assert low <= item["slope"]["difference"] <= high
        assert item["comparable"]
        assert item["baseline"] == "ewm"


def test_names_cannot_steer_the_terminal_and_markup_is_text(stored: Stored, lvmtui: Lvmtui) -> None:
    finished(stored, 100, 0.3)
    finished(stored, 400, 0.3, data="de\x1b]0;title\x07mo")
    with sqlite3.connect(stored.path) as database:
        database.execute("UPDATE run SET phase = ? WHERE id = 1", ("[red]x\x1b[31m",))
    done = lvmtui("scaling")
    assert done.code == 0, done.err
    assert "\x1b" not in done.out
    assert "[red]x" in done.out
    assert "doc-v1 on demo" in done.out


def test_nothing_one_run_and_no_evaluation(stored: Stored, lvmtui: Lvmtui) -> None:
    empty = lvmtui("scaling")
    assert empty.code == 1
    assert "the store has no runs yet" in empty.err
    stored.new()
    waiting = lvmtui("scaling")
    assert waiting.code == 0
    assert "phase-1 #1 has no evaluation yet." in waiting.out
    assert json.loads(lvmtui("scaling", "--json").out) == []
    finished(stored, 100, 0.3)
    assert "One context only, 100" in lvmtui("scaling").out


@pytest.mark.parametrize("width", [40, 80, 120])
def test_any_terminal(stored: Stored, lvmtui: Lvmtui, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    two_contexts(stored)
    for module in (cli.scaling, cli.tables):
        monkeypatch.setattr(module, "terminal_width", lambda: width)
    shown = lvmtui("scaling").out
    assert max(map(len, shown.splitlines())) <= width
    assert "30.1" in shown
    assert "No gain from context" in shown


def test_ascii(stored: Stored, lvmtui: Lvmtui) -> None:
    two_contexts(stored)
    chart = lvmtui("--ascii", "scaling").out.split("context, as judged")[1].split("runs")[0]
    assert chart.isascii()


def test_what_was_published_needs_no_store(
    tmp_path: Path, lvmtui: Lvmtui, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = lvmtui("scaling", "--published")
    assert done.code == 0, done.err
    shown = " ".join(done.out.split())
    assert "the rise shows nothing by itself" in shown
    assert "Hit@5 by context, as judged: published" in shown
    assert "Estimates from Hit@1/5/10 alone" in shown
    assert "an estimate, other queries" in shown
    assert "phase-3" in shown
    pool = json.loads(lvmtui("scaling", "--published", "--pool", "115", "--json").out)
    assert {item["pool"] for item in pool if item["how"].startswith("estimated")} == {115}


def test_histories(tmp_path: Path, lvmtui: Lvmtui) -> None:
    files = []
    for context, n in ((500, 230), (1000, 115)):
        rows = [(n // 5, n // 3, n // 2), (n // 4, n // 2, n // 2 + 3)]
        entries = [
            {"epoch": epoch, **{f"hit@{k}": count / n for k, count in zip((1, 5, 10), row, strict=True)}}
            for epoch, row in enumerate(rows, 1)
        ]
        path = tmp_path / f"h{context}.json"
        path.write_text(json.dumps({"history": entries, "args": {"output_dir": f"run_{context}ctx"}}))
        files += ["--history", str(path)]
    done = lvmtui("scaling", *files)
    assert done.code == 0, done.err
    assert "the pool shrinks from 230 to 115" in done.out
    assert "h500.json: context 500, as its paths say" in done.err
    assert lvmtui("scaling", "--history", str(tmp_path / "none.json")).code == 1


def test_windows_of_several_lengths_are_one_series(stored: Stored, lvmtui: Lvmtui) -> None:
    for number, (context, pool) in enumerate(((100, 640), (400, 700)), 1):
        writer = stored.started(context=context)
        key = f"w{number}"
        groups = stats.pack_ranks(np.repeat(np.arange(DOCUMENTS), QUERIES // DOCUMENTS))
        writer.save_protocol(
            Protocol(key, "window-v0", "f" * 16, {}, "validation", QUERIES, pool, 0.0, DOCUMENTS, groups)
        )
        judged = replace(evaluation(0.4), protocol_id=key, pool=pool, context=context)
        progress = Progress(1, 3, 10, 30, 900.0, 1.5, 0, 3, 0.4, 1, 0.4)
        writer.epoch(EpochReport(progress, (), judged))
    shown = " ".join(lvmtui("scaling").out.split())
    assert "the pool grows from 640 to 700 as the context grows" in shown
    equal = " ".join(lvmtui("scaling", "--pool", "0").out.split())
    assert "on a pool of 640" in equal
    assert "other queries, so not paired" in equal
