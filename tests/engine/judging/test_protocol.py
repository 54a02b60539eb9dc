import json
import re

import numpy as np
import pytest

from engine.protocol import FRACTIONS, protocol_id, protocol_spec, select_queries
from lvmtui.errors import DataError
from lvmtui.splits import Blocks

SPEC = {
    "data_fingerprint": "0123456789abcdef",
    "split_name": "validation",
    "split_seed": 0,
    "within_document": False,
}


def test_the_id_is_12_hex_digits_and_survives_json():
    spec = protocol_spec(**SPEC)
    assert re.fullmatch("[0-9a-f]{12}", protocol_id(spec))
    assert protocol_id(json.loads(json.dumps(spec))) == protocol_id(spec)
    assert protocol_id(dict(reversed(spec.items()))) == protocol_id(spec)


def test_the_id_stays_what_it_was_when_stores_were_written():
    """Whoever changes it on purpose: raise VERSION, old scores are not comparable any more."""
    assert protocol_id(protocol_spec(**SPEC)) == "1e746fbad77a"


def test_the_id_of_a_stream_stays_what_it_was_too():
    spec = protocol_spec(**SPEC, blocks=Blocks.of(10_000))
    assert spec["split"]["gap"] == 500
    assert "seed" not in spec["split"]
    assert spec["stretch"] == "90 vectors in a row, for want of documents"
    assert protocol_id(spec) == "1e85cb5bec27"
    assert protocol_id(protocol_spec(**SPEC | {"split_seed": 1}, blocks=Blocks.of(10_000))) == protocol_id(
        spec
    )


def test_how_flaws_are_worded_does_not_change_the_id():
    spec = protocol_spec(**SPEC)
    assert protocol_id(spec | {"flaws": ["It leaks."]}) == protocol_id(spec)


@pytest.mark.parametrize(
    "change",
    [
        {"data_fingerprint": "f" * 16},
        {"split_name": "test"},
        {"split_seed": 1},
        {"within_document": True},
    ],
)
def test_whatever_changes_a_score_changes_the_id(change):
    assert protocol_id(protocol_spec(**SPEC | change)) != protocol_id(protocol_spec(**SPEC))


def test_the_spec_says_how_the_data_are_really_split(splits):
    documents = {name: len(np.unique(split.document)) for name, split in splits.items()}
    assert documents == {name: round(60 * share) for name, share in FRACTIONS.items()}


def test_queries_are_the_vectors_with_a_predecessor(make_split):
    split = make_split(np.random.default_rng(0).normal(size=(20, 4)), [3, 1, 6, 10])
    queries = select_queries(split)
    assert queries.positions.tolist() == [1, 2, *range(5, 10), *range(11, 20)]
    assert queries.document_start.tolist() == [0, 0, *[4] * 5, *[10] * 9]
    assert queries.groups.tolist() == [0, 0, *[2] * 5, *[3] * 9]
    assert queries.documents == 4


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ([1] * 20, "nothing to predict: none of its 20 vectors has a predecessor"),
        ([30], "30 vectors in 1 document leave 1 candidate for the last vector of document 0 "),
        ([4, 5], "9 vectors in 2 documents leave 5 candidates"),
        ([8, 20], "28 vectors in 2 documents leave 9 candidates for the last vector of document 1"),
    ],
)
def test_a_split_too_small_to_judge_on_is_refused_in_words(make_split, lengths, words):
    split = make_split(np.random.default_rng(0).normal(size=(sum(lengths), 4)), lengths)
    with pytest.raises(DataError, match=words):
        select_queries(split)
