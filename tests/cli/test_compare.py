"""`lvmtui compare`, on a real store."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lvmtui import stats
from lvmtui.recipe import build
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import EpochReport, Event, Progress, Protocol, QueryFact, Run
from lvmtui.store.writer import Writer
from tests.cli.conftest import DOCUMENTS, POOL, QUERIES, Done, Stored, evaluation

Lvmtui = Callable[..., Done]


def seeded(stored: Stored, seed: int, *scores: float, lr: str = "0.0005") -> Run:
    recipe = build({"name": "phase-1", "data": {"context": 100}, "train": {"seed": seed, "lr": float(lr)}})
    return stored.finished(*scores, recipe=recipe.to_json(), recipe_hash=recipe.hash, seed=seed)


def judged_otherwise(stored: Stored, hit5: float) -> Run:
    """A run under a protocol of its own."""
    writer = stored.started()
    groups = stats.pack_ranks(np.repeat(np.arange(DOCUMENTS), QUERIES // DOCUMENTS))
    spec = {"split_seed": 1, "within_document": False}
    writer.save_protocol(
        Protocol("p2", "doc-v1", "e" * 16, spec, "validation", QUERIES, POOL, 0.01, DOCUMENTS, groups)
    )
    found = replace(evaluation(hit5), protocol_id="p2")
    writer.epoch(EpochReport(Progress(1, 3, 10, 30, 900.0, 1.5, 0, 3, hit5, 1, hit5), (), found))
    writer.finish(Result.COMPLETED, Event("completed", "done", 1000.0))
    return writer.run()


def facts(stored: Stored, protocol_id: str = "p1") -> None:
    packed = stats.pack_ranks(np.full(QUERIES, POOL))
    Writer(stored.database, 1).save_query_facts(protocol_id, [QueryFact("candidates", packed)])


def test_who_beats_whom(stored: Stored, lvmtui: Lvmtui) -> None:
    stored.finished(0.10, 0.30)
    stored.finished(0.10)
    stored.finished(0.10)
    done = lvmtui("compare", "1", "2", "3")
    assert done.code == 0, done.err
    text = done.out
    assert "n 600 · pool 640 · 30 documents" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["phase-1", "#1", "phase-1", "#2"] in [row[:4] for row in rows], "the better one first"
    assert "▲ better" in text
    assert "≈ not told apart" in text
    assert "↑ above ewm" in text
    assert "row minus column" in text
    assert "too few seeds" in text or "1 seed" in text
    assert "a true difference below ±" in text
    assert "(Holm 1979)" in text
    assert "The recipes are the same." in text


def test_below_its_baseline_is_said_in_words(stored: Stored, lvmtui: Lvmtui) -> None:
    stored.finished(0.02)
    stored.finished(0.30)
    assert "▼ below ewm" in lvmtui("compare", "1", "2").out


def test_two_runs_need_no_matrix(stored: Stored, lvmtui: Lvmtui) -> None:
    stored.finished(0.10)
    stored.finished(0.30)
    assert "row minus column" not in lvmtui("compare", "1", "2").out


def test_seeds_and_what_differs(stored: Stored, lvmtui: Lvmtui) -> None:
    for seed, score in enumerate((0.30, 0.31, 0.32)):
        seeded(stored, seed, score)
    for seed, score in enumerate((0.10, 0.11, 0.12)):
        seeded(stored, seed, score, lr="0.001")
    done = lvmtui("compare", *"123456")
    assert done.code == 0, done.err
    text = " ".join(done.out.split())
    assert "phase-1 #1 #2 #3 3 seeds 31.0 ±1.0" in text
    assert "phase-1 #1 #2 #3 is ahead over 3 and 3 seeds: +20.0" in text
    assert "train.lr" in done.out
    assert "train.seed" in done.out
    assert "train.batch" not in done.out


def test_any_measure(stored: Stored, lvmtui: Lvmtui) -> None:
    stored.finished(0.10)
    stored.finished(0.30)
    assert "Hit@3" in lvmtui("compare", "1", "2", "--k", "3").out
    mrr = lvmtui("compare", "1", "2", "--metric", "mrr").out
    assert "MRR" in mrr
    assert "+.0" in mrr
    both = lvmtui("compare", "1", "2", "--metric", "mrr", "--k", "3")
    assert both.code == 2
    assert lvmtui("compare", "1", "2", "--k", "0").code == 2
    assert lvmtui("compare", "1", "2", "--metric", "loss").code == 2


def numbers_with_context(value: Any, path: str = "") -> list[str]:
    """Paths of objects that hold a test or scores but not what they were measured on."""
    bare = []
    if isinstance(value, dict):
        if {"tests", "scores"} & value.keys():
            needed = {"protocol_id", "data_fingerprint", "n", "pool"}
            bare += [] if needed <= value.keys() else [path]
        for key, item in value.items():
            bare += numbers_with_context(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            bare += numbers_with_context(item, f"{path}[{index}]")
    return bare


def test_json_has_every_number_with_what_it_was_measured_on(stored: Stored, lvmtui: Lvmtui) -> None:
    stored.finished(0.10)
    stored.finished(0.30)
    facts(stored)
    found = json.loads(lvmtui("compare", "1", "2", "--json", "--equate", "115").out)
    assert numbers_with_context(found) == []
    (group,) = found["groups"]
    (pair,) = group["pairs"]
    assert (pair["first_run_id"], pair["second_run_id"], pair["better_run_id"]) == (2, 1, 2)
    assert (pair["protocol_id"], pair["data_fingerprint"]) == ("p1", "f" * 16)
    assert (pair["n"], pair["pool"], pair["documents"]) == (QUERIES, POOL, DOCUMENTS)
    test = pair["tests"]["hit5"]
    assert test["low"] < test["difference"] < test["high"]
    assert test["p"] <= test["p_holm"] < 0.05
    assert test["only_first"] - test["only_second"] == round(test["difference"] * QUERIES)
    assert {item["second"] for item in group["against_baselines"]} == {"ewm", "copy-last"}
    assert group["detectable"]["least"] > 0
    assert all(item["protocol_id"] and item["n"] and item["low"] is not None for item in found["equated"])
    assert {finding["check"] for finding in found["findings"]} <= {"overlapping-intervals", "single-seed"}


def test_different_protocols_are_kept_apart(stored: Stored, lvmtui: Lvmtui) -> None:
    stored.finished(0.10)
    judged_otherwise(stored, 0.4)
    done = lvmtui("compare", "1", "2")
    assert done.code == 0, done.err
    assert "who beats whom" not in done.out
    assert "Not comparable with the first group: " in done.out
    assert "✖ error" in done.out
    facts(stored)
    facts(stored, "p2")
    equated = " ".join(lvmtui("compare", "1", "2", "--equate", "100").out.split())
    assert "Hit@5 equated to pool 100, not the same queries: unpaired intervals only" in equated


def test_a_common_pool_needs_to_know_the_candidates(stored: Stored, lvmtui: Lvmtui) -> None:
    stored.finished(0.10)
    stored.finished(0.30)
    done = lvmtui("compare", "1", "2", "--equate", "100")
    assert done.code == 0, done.err
    assert "equated to pool 100" in done.out
    assert lvmtui("compare", "1", "2", "--equate", "1").code == 2


def test_fewer_than_two_runs(stored: Stored, lvmtui: Lvmtui) -> None:
    stored.finished(0.10)
    for arguments in (("1",), ("1", "#1"), ("last", "1")):
        done = lvmtui("compare", *arguments)
        assert done.code == 2
        assert "only one run was named: phase-1 #1" in done.err
        assert "hint: Name two or more" in done.err
    assert lvmtui("compare").code == 2
    assert lvmtui("compare", "1", "9").code == 1


def test_runs_that_have_nothing_to_compare(stored: Stored, lvmtui: Lvmtui) -> None:
    stored.finished(0.10)
    stored.new()
    done = lvmtui("compare", "1", "2")
    assert done.code == 1
    assert "phase-1 #2: it has no evaluation yet" in done.err
    writer = stored.started()
    bare = replace(evaluation(0.3), ranks=b"")
    writer.epoch(EpochReport(Progress(1, 3, 10, 30, 900.0, 1.5, 0, 3, 0.3, 1, 0.3), (), bare))
    done = lvmtui("compare", "1", "3")
    assert done.code == 1
    assert "the ranks of its best evaluation are not stored" in done.err
