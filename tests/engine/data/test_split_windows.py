"""Splits by document and windows over them."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.data.split import SplitView, split_documents
from engine.data.vectors import VectorSet, open_vectors
from engine.data.windows import ListedWindows, Windows
from lvmtui.errors import DataError
from lvmtui.splits import MIN_STREAM, SPLITS, Blocks

MakeSet = Callable[..., Path]
Lengths = list[int]

some_lengths = st.lists(st.integers(1, 12), min_size=3, max_size=40)


def set_of(lengths: Lengths, ids: list[int] | None = None) -> VectorSet:
    """A set in memory whose vectors are (row, 1)."""
    rows = sum(lengths)
    vectors = np.stack([np.arange(rows), np.ones(rows)], axis=1).astype(np.float32)
    documents = np.repeat(np.array(ids or range(len(lengths)), np.int64), lengths)
    return VectorSet(Path("memory"), vectors, documents, "0" * 16)


@given(lengths=some_lengths, seed=st.integers(0, 2**31 - 1), first_id=st.integers(-5, 10**12))
def test_split_is_a_partition_into_whole_documents(lengths: Lengths, seed: int, first_id: int) -> None:
    data = set_of(lengths, [first_id + 3 * number for number in range(len(lengths))][::-1])
    splits = split_documents(data, seed)
    assert tuple(splits) == SPLITS
    rows = np.concatenate([view.rows for view in splits.values()])
    assert sorted(rows) == list(range(len(data)))
    ids = [set(view.document.tolist()) for view in splits.values()]
    assert all(ids)
    assert sum(map(len, ids)) == len(set.union(*ids)) == len(lengths)
    for view in splits.values():
        assert (np.diff(view.rows) > 0).all()
        assert (data.documents[view.rows] == view.document).all()
        for position, start in enumerate(view.document_start):
            assert start <= position
            assert (view.document[start : position + 1] == view.document[position]).all()
            assert start == 0 or view.document[start - 1] != view.document[position]


def test_split_shares_and_seeds() -> None:
    data = set_of([2] * 200)
    splits = split_documents(data, 0)
    assert [len(splits[name]) for name in SPLITS] == [320, 40, 40]
    assert (split_documents(data, 0)["test"].rows == splits["test"].rows).all()
    assert set(split_documents(data, 1)["test"].rows) != set(splits["test"].rows)


def test_split_is_the_same_in_another_process() -> None:
    code = (
        "import numpy as np; from pathlib import Path; from engine.data.split import split_documents;"
        "from engine.data.vectors import VectorSet;"
        "data = VectorSet(Path(), np.ones((30, 2), 'f4'), np.arange(30), '');"
        "print(split_documents(data, 7)['validation'].rows.tolist())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    data = VectorSet(Path(), np.ones((30, 2), np.float32), np.arange(30), "")
    assert result.stdout.strip() == str(split_documents(data, 7)["validation"].rows.tolist())


def test_split_needs_three_documents() -> None:
    with pytest.raises(DataError, match="2 documents"):
        split_documents(set_of([5, 5]), 0)


@given(rows=st.integers(MIN_STREAM, 200_000))
def test_a_stream_is_cut_into_blocks_with_gaps(rows: int) -> None:
    blocks = Blocks.of(rows)
    train, validation, test = blocks.rows().values()
    assert (train.start, test.stop) == (0, rows)
    assert validation.start - train.stop == test.start - validation.stop == blocks.gap
    assert len(validation) == len(test) == blocks.held_out
    assert 0.79 * rows < len(train) + 2 * blocks.gap < 0.84 * rows
    assert blocks.gap == min(2000, rows // 20)
    # The last vector of a stretch still has enough candidates.
    assert blocks.held_out - blocks.stretch >= 10
    assert 4 <= blocks.stretch <= 1000


def test_stretches_stand_in_for_documents_in_a_stream() -> None:
    rows = 1000
    vectors = np.stack([np.arange(rows), np.ones(rows)], axis=1).astype(np.float32)
    data = VectorSet(Path(), vectors, np.zeros(rows, np.int64), "0" * 16, has_documents=False)
    splits = split_documents(data, 0)
    assert tuple(splits) == SPLITS
    view = splits["validation"]
    assert view.rows.tolist() == list(range(770, 860))
    assert view.document_start.tolist() == [position // 9 * 9 for position in range(90)]
    assert (view.document == view.rows[view.document_start]).all()
    for name in SPLITS:
        assert (split_documents(data, 1)[name].rows == splits[name].rows).all()


def test_a_short_stream_is_refused() -> None:
    rows = MIN_STREAM - 1
    data = VectorSet(
        Path("x"), np.ones((rows, 2), np.float32), np.zeros(rows, np.int64), "", has_documents=False
    )
    with pytest.raises(DataError, match="199 vectors and no documents; 200 vectors are needed"):
        split_documents(data, 0)


def test_take_gives_float32_copies(make_set: MakeSet) -> None:
    view = split_documents(open_vectors(make_set((5, 7, 4, 9))), 0)["train"]
    taken = view.take(1, 4)
    assert taken.dtype == np.float32
    assert (taken == view.data.vectors[view.rows[1:4]]).all()
    assert taken.flags.writeable
    assert not np.shares_memory(taken, view.data.vectors)


def whole(lengths: Lengths) -> SplitView:
    """All documents as one split; vector `i` is (i, 1)."""
    data = set_of(lengths)
    starts = np.repeat(np.cumsum(lengths) - np.array(lengths), lengths)
    return SplitView("train", data, np.arange(len(data)), starts, data.documents)


@settings(deadline=None)
@given(
    lengths=some_lengths,
    context=st.integers(1, 15),
    stride=st.integers(0, 20),
    per_epoch=st.none() | st.integers(1, 50),
    within=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
    epoch=st.integers(0, 1000),
)
def test_windows_are_in_bounds_and_repeatable(
    lengths: Lengths, context: int, stride: int, per_epoch: int | None, within: bool, seed: int, epoch: int
) -> None:
    view = whole(lengths)

    def windows() -> Windows:
        return Windows(
            view, context=context, stride=stride, per_epoch=per_epoch, seed=seed, within_document=within
        )

    longest = max(lengths) if within else len(view)
    if longest < context + 1:
        with pytest.raises(DataError, match=f"needs {context + 1} vectors") as caught:
            windows()
        assert "Add more text" in caught.value.hint or f"context is {longest - 1}" in caught.value.hint
        return
    starts = windows().order(epoch)
    assert len(starts) == len(windows())
    assert (starts == windows().order(epoch)).all()
    batch = windows().batch(starts)
    assert batch.shape == (len(starts), context + 1, 2)
    assert batch.dtype == np.float32
    assert (batch[:, :, 0] == starts[:, None] + np.arange(context + 1)).all()
    if within:
        assert (view.document[starts] == view.document[starts + context]).all()
    if per_epoch is None:
        assert len(set(starts.tolist())) == len(starts)


def test_a_pass_has_windows_a_stride_apart_from_an_offset_that_moves() -> None:
    windows = Windows(
        whole([100, 100, 100]), context=20, stride=10, per_epoch=None, seed=3, within_document=False
    )
    offsets = set()
    for epoch in range(60):
        starts = windows.order(epoch)
        assert (np.diff(np.sort(starts)) == 10).all()
        assert not (np.diff(starts) == 10).all()
        offsets.add(int(starts.min()))
    assert offsets == set(range(10))


def test_every_start_comes_up_in_time() -> None:
    view = whole([30, 3, 25])
    for within, possible in ((True, {*range(20), *range(33, 48)}), (False, set(range(48)))):
        for per_epoch in (None, 16):
            windows = Windows(view, context=10, stride=7, per_epoch=per_epoch, seed=0, within_document=within)
            seen: set[int] = set()
            for epoch in range(100):
                seen |= set(windows.order(epoch).tolist())
            # A pass leaves out what does not fill a last stride.
            assert seen == possible or (per_epoch is None and seen <= possible and len(seen) > 20)


def test_epochs_and_seeds_differ() -> None:
    def order(seed: int, epoch: int) -> NDArray[np.int64]:
        windows = Windows(
            whole([200]), context=10, stride=5, per_epoch=None, seed=seed, within_document=False
        )
        return windows.order(epoch)

    assert (order(0, 0) != order(0, 1)).any()
    assert (order(0, 0) != order(1, 0)).any()
    assert (order(1, 0) != order(0, 1)).any()


def test_windows_do_not_cost_memory(make_set: MakeSet) -> None:
    """Overlapping windows of a long context over 13 MB would be gigabytes if they were copied."""
    data = open_vectors(make_set((20_000, 20_000, 12_000), dim=64))
    view = split_documents(data, 0)["train"]
    tracemalloc.start()
    try:
        windows = Windows(view, context=1000, stride=1, per_epoch=None, seed=0, within_document=False)
        starts = windows.order(0)
        peak = tracemalloc.get_traced_memory()[1]
        batch = windows.batch(starts[:4])
    finally:
        tracemalloc.stop()
    assert len(starts) > 10_000
    assert peak < 5_000_000
    assert batch.nbytes == 4 * 1001 * 64 * 4


@pytest.mark.parametrize("per_epoch", [None, 5, 50])
def test_listed_windows_start_where_they_are_told_to(per_epoch: int | None) -> None:
    listed = np.array([0, 7, 8, 30])
    windows = ListedWindows(whole([40]), listed, context=9, per_epoch=per_epoch, seed=1)
    orders = [windows.order(epoch) for epoch in range(20)]
    assert {len(order) for order in orders} == {len(windows)} == {per_epoch or 4}
    assert {start for order in orders for start in order.tolist()} == set(listed.tolist())
    assert (windows.order(3) == orders[3]).all()
    assert len({tuple(order) for order in orders}) > 1
    assert windows.batch(np.array([30]))[0, :, 0].tolist() == list(range(30, 40))
    if per_epoch is None:
        assert all(sorted(order) == listed.tolist() for order in orders)


def test_no_document_is_long_enough() -> None:
    with pytest.raises(DataError, match="each document of the train split has at most 12") as caught:
        Windows(whole([12, 8]), context=12, stride=0, per_epoch=None, seed=0, within_document=True)
    assert "largest possible context is 11" in caught.value.hint
    assert "within_document = false" in caught.value.hint
