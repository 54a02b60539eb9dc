"""Baselines out of a store: computed once, completed where some are missing, checked, first writer first."""

import dataclasses

import numpy as np
import pytest
import torch

from engine.baselines import NAMES, compute_baselines
from engine.baselines import kept as kept_module
from engine.baselines.kept import kept_baselines, rivals, rivals_among
from engine.validate import beside
from engine.verdict import UNPAIRED, verdict
from lvmtui import stats
from lvmtui.errors import TrainingError
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import QUERY_FACTS
from lvmtui.store.writer import Writer
from lvmtui.versus import versus_of

CPU = torch.device("cpu")
CONTEXT = 20


@pytest.fixture
def database(tmp_path):
    database = Database.open(tmp_path / "runs.db")
    yield database
    database.close()


@pytest.fixture
def call(database):
    writer = Writer(database, 0)
    return lambda work: work(writer)


@pytest.fixture(scope="module")
def computed(splits, judge):
    return compute_baselines(splits, judge, context=CONTEXT, device=CPU)


def kept(judge, splits, call, **options):
    return kept_baselines(judge, splits, **{"context": CONTEXT, "device": CPU, "call": call} | options)


def test_they_are_computed_once_and_come_with_protocol_and_facts(
    judge, splits, call, database, computed, monkeypatch
):
    first = kept(judge, splits, call)
    assert {item.baseline for item in first} == set(NAMES)
    assert {item.baseline: item.ranks for item in first} == {item.baseline: item.ranks for item in computed}
    assert [item.hit5 for item in first] == sorted(item.hit5 for item in first)
    reader = Reader(database)
    assert [protocol.id for protocol in reader.protocols()] == [judge.protocol.id]
    assert set(reader.query_facts(judge.protocol.id)) == set(QUERY_FACTS)
    monkeypatch.setattr(kept_module, "compute_baselines", None)
    monkeypatch.setattr(kept_module, "_keep_facts", lambda *_: None)
    assert kept(judge, splits, call) == first


def test_a_store_that_has_some_gets_the_others(judge, splits, call, database, computed):
    ewm = next(item for item in computed if item.baseline == "ewm-centred")
    old = dataclasses.replace(ewm, details={"rate": 0.1, "centre": 1.0, "g": 0.0})
    call(lambda writer: writer.save_baseline(old))
    found = {item.baseline: item for item in kept(judge, splits, call)}
    assert set(found) == set(NAMES)
    assert found["ewm-centred"].details["rate"] == 0.1
    assert found["ridge"].details["ewm_rate"] == 0.1  # what the store has of it stands
    assert len(Reader(database).baselines(judge.protocol.id)) == len(NAMES)


def test_every_context_has_its_own(judge, splits, call, database):
    kept(judge, splits, call)
    short = kept(judge, splits, call, context=2)
    assert {item.context for item in short} == {2}
    assert len(Reader(database).baselines(judge.protocol.id)) == 2 * len(NAMES)


def test_a_copy_last_with_other_ranks_ends_it(judge, splits, call, computed):
    copy = next(item for item in computed if item.baseline == "copy-last")
    ranks = stats.unpack_ranks(copy.ranks)
    ranks[0] += 1
    call(lambda writer: writer.save_baseline(dataclasses.replace(copy, ranks=stats.pack_ranks(ranks))))
    with pytest.raises(TrainingError, match="copying the last vector"):
        kept(judge, splits, call)


def test_on_the_test_split_validation_has_chosen(judge, splits, call):
    tuned = kept(judge, splits, call)
    other = dataclasses.replace(judge.other("test"), other=None)  # the validation split is not needed again
    found = {item.baseline: item for item in kept(other, splits, call, tuned=tuned)}
    assert {item.split for item in found.values()} == {"test"}
    for item in tuned:
        chosen = {key: value for key, value in item.details.items() if not key.startswith("mrr_interval")}
        assert found[item.baseline].details | chosen == found[item.baseline].details


def test_rivals_are_the_strongest_of_any_context_and_copy_last(judge, splits, call):
    assert rivals(judge, call) == []
    kept(judge, splits, call)
    kept(judge, splits, call, context=2)
    strongest, copy = rivals(judge, call)
    every = call(lambda writer: Reader(writer.database).baselines(judge.protocol.id))
    assert strongest.hit5 == max(item.hit5 for item in every)
    assert copy.baseline == "copy-last"
    assert rivals_among([copy]) == [copy]


def test_an_evaluation_is_compared_query_by_query(judge, computed):
    strongest = max(computed, key=lambda item: (item.hit5, item.mrr))
    evaluation = judge.evaluation(judge.targets() + 0.3, epoch=4, step=9)
    compared = beside(evaluation, computed, judge)
    first, second = versus_of(compared)
    assert (first.baseline, second.baseline) == (strongest.baseline, "copy-last")
    ours, theirs = (stats.hits(stats.unpack_ranks(e.ranks), 5) for e in (evaluation, strongest))
    expected = stats.paired_bootstrap(ours, theirs, judge.asked.groups)
    assert first.difference == pytest.approx(expected.difference)
    assert (first.interval, first.p) == (expected.interval, expected.p)
    assert first.detectable > 0
    assert beside(evaluation, [], judge) == evaluation


def test_the_verdict_goes_by_the_paired_comparison(judge, computed):
    strongest = max(computed, key=lambda item: (item.hit5, item.mrr))
    itself = beside(dataclasses.replace(strongest, baseline=None, epoch=4), computed, judge)
    words = verdict(itself, computed, "hit5")
    score = f"{100 * strongest.hit5:.1f} %"
    assert words == (
        f"Hit@5 {score} at epoch 4: within noise of its best baseline {strongest.baseline} "
        f"({score}, +0.0 [+0.0, +0.0] over the same queries)"
    )
    better = beside(judge.evaluation(judge.targets(), epoch=1, step=1), computed, judge)
    assert f"above its best baseline {strongest.baseline}" in verdict(better, computed, "mrr")
    assert "MRR 1.000 at epoch 1: Hit@5 100.0 % above" in verdict(better, computed, "mrr")
    random = next(item for item in computed if item.baseline == "random")
    worse = beside(dataclasses.replace(random, baseline=None), computed, judge)
    assert f"below its best baseline {strongest.baseline} (" in verdict(worse, computed, "hit5")


def test_with_a_single_document_the_words_say_why_nothing_is_paired(make_split, judge_of):
    import numpy as np

    vectors = np.random.default_rng(0).normal(size=(60, 6))
    judge = judge_of(make_split(vectors, [1] * 20 + [40]))
    train = make_split(np.random.default_rng(1).normal(size=(60, 6)), [20, 40], "train")
    found = compute_baselines({"train": train, "validation": judge.split}, judge, context=5, device=CPU)
    evaluation = beside(judge.evaluation(judge.targets(), epoch=1, step=1), found, judge)
    assert versus_of(evaluation) == ()
    assert evaluation.details[UNPAIRED] == "a single document has queries"
    words = verdict(evaluation, found, "hit5")
    assert words.endswith("; not paired: a single document has queries")


def test_lanes_that_are_given_later_replace_the_clusters_and_go_with_their_file(
    judge, splits, call, database
):
    def lane():
        return Reader(database).query_facts(judge.protocol.id)["lane"]

    kept(judge, splits, call)
    clusters = lane()
    file = judge.split.data.path / "lanes.npy"
    np.save(file, np.zeros(len(judge.split.data), np.int32))
    try:
        kept(judge, splits, call)
        assert lane().meta["source"] == "given in lanes.npy"
        assert set(stats.unpack_ranks(lane().packed).tolist()) == {0}
    finally:
        file.unlink()
    kept(judge, splits, call)
    assert lane() == clusters
