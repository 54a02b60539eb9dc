"""What is known of queries, against the definitions, one query at a time."""

import dataclasses

import numpy as np
import pytest
import torch

from engine.evaluate import Judge
from engine.facts import query_facts
from engine.lanes import lanes_of
from lvmtui import stats
from lvmtui.store.records import QUERY_FACTS


def unpacked(judge, train):
    return {fact.name: stats.unpack_ranks(fact.packed).tolist() for fact in query_facts(judge, train)}


def cosine(a, b):
    return float(a @ b / np.sqrt(a @ a) / np.sqrt(b @ b))


@pytest.fixture
def copied(make_split, judge_of):
    """A judge of 90 vectors in 6 documents, some of them copies of others."""
    random = np.random.default_rng(3)
    vectors = random.normal(size=(90, 10))
    vectors[[5, 40, 41, 77]] = vectors[[60, 60, 20, 21]]
    vectors[30] = vectors[29]
    return judge_of(make_split(vectors, [15] * 6))


def test_the_facts_are_those_that_the_store_documents(judge, splits):
    facts = query_facts(judge, splits["train"])
    assert tuple(fact.name for fact in facts) == QUERY_FACTS
    assert all(len(stats.unpack_ranks(fact.packed)) == len(judge.asked) for fact in facts)
    lane = facts[-1].meta
    assert lane["source"] == "16 clusters of the training vectors (spherical k-means)"
    assert len(lane["names"]) == 16


def test_candidates_are_the_pool_without_the_past_and_the_targets_copies(copied):
    split = copied.split
    vectors = split.take(0, len(split)).astype(np.float64)
    wanted = []
    for position in copied.queries.tolist():
        start = int(split.document_start[position])
        others = [
            j
            for j in range(len(split))
            if not start <= j <= position and cosine(vectors[j], vectors[position]) <= 0.98
        ]
        wanted.append(1 + len(others))
    assert unpacked(copied, split)["candidates"] == wanted


def test_no_rank_is_beyond_the_candidates(copied):
    ranks = copied.rank(-copied.targets())
    candidates = np.array(unpacked(copied, copied.split)["candidates"])
    assert (ranks <= candidates).all()
    alone = np.bincount(copied.duplicates.query) == 1
    # The opposite of the target comes after everything else.
    assert (ranks == candidates)[alone].all()


def test_position_and_predecessors(copied):
    facts = unpacked(copied, copied.split)
    assert facts["position"] == [*range(1, 15)] * 6
    assert facts["predecessors"] == copied.queries.tolist()


def test_contexts_kept_in_the_document_hold_no_more_than_it_has(make_split, judge_of):
    split = make_split(np.random.default_rng(0).normal(size=(60, 6)), [20, 10, 30])
    facts = unpacked(judge_of(split, within_document=True), split)
    assert facts["predecessors"] == facts["position"] == [*range(1, 20), *range(1, 10), *range(1, 30)]


def test_a_protocol_with_windows_has_no_more_than_a_window(copied):
    facts = unpacked(dataclasses.replace(copied, window=12), copied.split)
    assert facts["predecessors"] == [min(12, position) for position in copied.queries.tolist()]


def test_similarity_is_that_of_the_last_vector_and_the_target(copied):
    vectors = copied.split.take(0, 90).astype(np.float64)
    wanted = [round((cosine(vectors[p - 1], vectors[p]) + 1) * 10_000) for p in copied.queries.tolist()]
    found = unpacked(copied, copied.split)["similarity"]
    assert found == wanted
    assert found[copied.queries.tolist().index(41)] == wanted[copied.queries.tolist().index(41)]
    assert max(found) <= 20_000


def test_lanes_are_the_targets(judge, splits):
    facts = unpacked(judge, splits["train"])
    assert facts["lane"] == lanes_of(judge.split, judge.queries, splits["train"]).number.tolist()


def test_candidates_may_be_other_than_the_stream(make_split, judge_of):
    """The pool is what ranks are among: its size counts, not the stream's."""
    random = np.random.default_rng(0)
    stream = judge_of(make_split(random.normal(size=(60, 6)), [20] * 3))
    small = stream.split.rows[stream.queries]
    pool = dataclasses.replace(
        stream.split, rows=small, document_start=np.arange(len(small)), document=stream.split.document[small]
    )
    places = np.arange(len(small))
    placed = dataclasses.replace(stream.asked, positions=places, document_start=places)
    alone = dataclasses.replace(stream.duplicates, query=places, position=places)
    judge = dataclasses.replace(stream, pool=pool, placed=placed, duplicates=alone)
    assert isinstance(judge, Judge)
    facts = unpacked(judge, stream.split)
    assert facts["candidates"] == [len(small)] * len(small)
    assert facts["predecessors"] == stream.queries.tolist()
    assert judge.rank(torch.from_numpy(stream.targets().numpy())).tolist() == [1] * len(small)
