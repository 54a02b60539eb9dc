import json

import numpy as np
import pytest

from lvmtui import stats
from lvmtui.errors import DataError
from lvmtui.legacy import History, Metadata, estimate_hit, infer_queries, read_published, whole_counts


def single(value):
    return float(np.float32(value))


def history(n, counts, **more):
    """A file's content: counts of hits at 1, 5 and 10 for each epoch, None for one without."""
    epochs = []
    for number, found in enumerate(counts, start=1):
        entry = {"epoch": number, "val_loss": 0.3}
        if found:
            entry |= {f"hit@{k}": single(hits / n) for k, hits in zip((1, 5, 10), found, strict=True)}
        epochs.append(entry)
    return {"model_type": "memory_gru", "history": epochs, **more}


def read(tmp_path, content, name="run.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_published(path)


def test_the_best_epoch_and_the_number_of_queries_are_found(tmp_path):
    found = read(tmp_path, history(115, [(62, 73, 84), None, (71, 87, 94), (68, 87, 93)]))
    assert isinstance(found, History)
    assert (found.name, found.epoch, found.epochs) == ("run.json", 3, 4)
    assert found.hits[5] == pytest.approx(87 / 115)
    assert found.queries == (115, True)
    assert found.notes == ()


@pytest.mark.parametrize("n", [58, 115, 230, 1148, 4627])
def test_scores_give_away_what_they_are_multiples_of(n):
    random = np.random.default_rng(n)
    fractions = [single(count / n) for count in random.integers(1, n, 24)]
    assert infer_queries(fractions) == (n, True)


def test_what_may_be_an_accident_is_not_taken_for_sure():
    assert infer_queries([0.4007, 0.5932, 0.6516]).sure is False
    assert infer_queries([0.5]) == (2, False)
    assert infer_queries([0.5, 0.7217391304347827]) == (230, True)
    assert infer_queries([0.0, 1.0]) is None
    assert infer_queries([single(np.sqrt(2) / 2), single(np.pi / 4), single(np.e / 4)] * 2) is None


def test_contradictions_in_the_file_are_told(tmp_path):
    content = history(
        230,
        [(88, 128, 145), (115, 153, 172)],
        best_hit5=0.7,
        stopped_epoch=9,
        args={"data": "x/data_ctx100.npz", "output_dir": "x/run_500ctx_warm"},
    )
    text = " | ".join(read(tmp_path, content).notes)
    assert "best_hit5 is 0.7000, the best Hit@5 in the history 0.6652" in text
    assert "stopped_epoch is 9, but the history ends after 2 epochs" in text
    assert "the data path says a context of 100, the output path 500" in text


def test_metadata_is_told_from_histories(tmp_path):
    found = read(tmp_path, {"context_length": 1000, "val_sequences": 127}, "meta_ctx100.json")
    assert found == Metadata(
        "meta_ctx100.json", 127, ("the file's name says a context of 100, its content 1000",)
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{not json", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("\x00\x01", "no JSON"),
        ([1, 2], "no published training history"),
        ({"epochs": []}, "no published training history"),
        ({"history": []}, "no epoch with"),
        ({"history": [3, None, {"epoch": 1}]}, "no epoch with"),
        ({"history": [{"epoch": 1, "hit@1": 0.5, "hit@5": 0.4, "hit@10": 0.6}]}, "no epoch with"),
        ({"history": [{"epoch": 1, "hit@1": "a", "hit@5": True, "hit@10": None}]}, "no epoch with"),
        ({"history": [{"epoch": "x", "hit@1": 0.1, "hit@5": 0.2, "hit@10": 0.3}]}, "no epoch with"),
    ],
)
def test_other_files_are_refused_in_words(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        read(tmp_path, content)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_published(tmp_path / "none.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_published(tmp_path)


def test_on_their_own_pool_scores_are_what_they_were():
    hits = {1: 0.4, 5: 0.6, 10: 0.7}
    for k in (1, 5, 10):
        assert estimate_hit(hits, 300, 300, k) == pytest.approx((hits[k],) * 3)


def test_the_truth_lies_between_the_bounds_and_the_estimate_too():
    random = np.random.default_rng(0)
    for _ in range(20):
        ranks = 1 + (random.beta(random.uniform(0.2, 1), random.uniform(1, 9), 500) * 999).astype(int)
        hits = {k: stats.hit_at(ranks, k) for k in (1, 5, 10)}
        for pool in (50, 115, 700):
            for k in (1, 5, 10, 20):
                truth = stats.equated_hits(ranks, 1000, pool, k).mean()
                value, low, high = estimate_hit(hits, 1000, pool, k)
                assert low - 1e-9 <= truth <= high + 1e-9
                assert low <= value <= high


def test_an_estimate_is_exact_where_its_assumption_holds():
    # Shares that are straight over the logarithm of the rank between 1, 5, 10 and 1000.
    known = {1: 0.2, 5: 0.4, 10: 0.5, 1000: 1.0}
    share = np.interp(np.log(np.arange(1, 1001)), np.log(list(known)), list(known.values()))
    mass = np.diff(share, prepend=0)
    truth = mass @ stats.equated_hits(np.arange(1, 1001), 1000, 115, 5)
    assert estimate_hit(known, 1000, 115, 5).value == pytest.approx(truth)


def test_pools_only_shrink():
    with pytest.raises(ValueError, match="cannot be put"):
        estimate_hit({1: 0.1, 5: 0.2, 10: 0.3}, 100, 101, 5)
    with pytest.raises(ValueError, match="cannot be put"):
        estimate_hit({1: 0.1, 5: 0.2, 10: 0.3}, 9, 5, 5)


def test_scores_of_whole_queries():
    scores = {1: 0.4007, 5: 0.5932, 10: 0.6516}
    assert whole_counts(scores, 1148, 4)
    assert not whole_counts(scores, 500, 4)
