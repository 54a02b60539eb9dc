import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmtui import stats
from lvmtui.errors import StoreCorrupt


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_packed_ranks_come_back(values):
    back = stats.unpack_ranks(stats.pack_ranks(np.array(values, np.int64)))
    assert back.dtype == np.uint32
    assert back.tolist() == values


@pytest.mark.parametrize(
    ("largest", "width"), [(0, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 4), (2**32 - 1, 4)]
)
def test_packing_takes_the_narrowest_width(largest, width):
    assert stats.pack_ranks(np.array([largest], np.uint64))[0] == width


@pytest.mark.parametrize("values", [[-1], [2**32], [1.5], [[1, 2]]])
def test_what_is_no_rank_is_not_packed(values):
    with pytest.raises(ValueError, match="ranks are"):
        stats.pack_ranks(np.array(values))


@pytest.mark.parametrize("blob", [b"\x09abc", b"\x01abc", stats.pack_ranks(np.arange(300))[:-3], b"\x01"])
def test_damaged_ranks_are_refused_in_words(blob):
    with pytest.raises(StoreCorrupt, match="damaged"):
        stats.unpack_ranks(blob)


def test_no_ranks_at_all():
    assert stats.unpack_ranks(b"").size == 0
    assert math.isnan(stats.hit_at([], 5))
    assert math.isnan(stats.mrr([]))


def test_scores_by_hand():
    ranks = np.array([1, 2, 5, 6, 100], np.uint32)
    assert stats.hit_at(ranks, 1) == 0.2
    assert stats.hit_at(ranks, 5) == 0.6
    assert stats.mrr(ranks) == pytest.approx((1 + 1 / 2 + 1 / 5 + 1 / 6 + 1 / 100) / 5)
