import dataclasses

import numpy as np
import pytest
import torch

from engine import evaluate
from engine.evaluate import Judge
from lvmtui import stats
from lvmtui.errors import DataError, TrainingError
from lvmtui.store.records import Interval

CPU = torch.device("cpu")


def noisy(judge, amount=2.0, seed=0):
    targets = judge.targets()
    noise = torch.randn(targets.shape, generator=torch.Generator().manual_seed(seed))
    return targets + amount * noise


def test_the_protocol_record_tells_what_was_asked(judge, data, splits):
    split = splits["validation"]
    protocol = judge.protocol
    assert protocol.n == len(split) - protocol.documents == len(judge.queries)
    assert (protocol.pool, protocol.documents, protocol.split) == (len(split), 6, "validation")
    assert protocol.data_fingerprint == data.fingerprint == protocol.spec["data"]
    groups = stats.unpack_ranks(protocol.query_groups)
    for group in range(6):
        assert len(np.unique(split.document[judge.queries[groups == group]])) == 1
    assert len(np.unique(groups)) == 6


def test_an_evaluation_holds_its_ranks_scores_and_intervals(judge):
    predictions = noisy(judge)
    evaluation = judge.evaluation(predictions, epoch=3, step=120, context=16)
    ranks = stats.unpack_ranks(evaluation.ranks)
    groups = stats.unpack_ranks(judge.protocol.query_groups)
    assert ranks.tolist() == judge.rank(predictions).tolist()
    assert 0 < evaluation.hit1 < evaluation.hit5 < evaluation.hit10 < 1
    for k, interval in ((1, "hit1_interval"), (5, "hit5_interval"), (10, "hit10_interval")):
        assert getattr(evaluation, f"hit{k}") == stats.hit_at(ranks, k)
        assert getattr(evaluation, interval) == stats.bootstrap_interval(stats.hits(ranks, k), groups)
    low, high = evaluation.details["mrr_interval"]
    assert low < evaluation.mrr == stats.mrr(ranks) < high
    assert (evaluation.epoch, evaluation.step, evaluation.context) == (3, 120, 16)
    assert (evaluation.n, evaluation.pool) == (judge.protocol.n, judge.protocol.pool)
    assert evaluation.protocol_id == judge.protocol.id
    assert evaluation.interval_method == "bootstrap over 6 documents"


def test_cosines_and_the_loss_that_goes_with_them(judge):
    predictions = noisy(judge)
    evaluation = judge.evaluation(predictions, epoch=1, step=1)
    last = torch.from_numpy(judge.split.data.vectors[judge.split.rows[judge.queries - 1]].astype(np.float32))
    cosine = torch.nn.functional.cosine_similarity
    assert evaluation.cosine == pytest.approx(cosine(predictions, judge.targets()).mean().item(), abs=1e-5)
    assert evaluation.copyness == pytest.approx(cosine(predictions, last).mean().item(), abs=1e-5)
    assert evaluation.loss == pytest.approx(1 - evaluation.cosine)
    assert judge.evaluation(predictions, epoch=1, step=1, loss=2.5).loss == 2.5
    assert judge.evaluation(last, epoch=1, step=1).copyness == pytest.approx(1.0)


def test_the_true_targets_are_perfect(judge):
    evaluation = judge.evaluation(judge.targets(), epoch=0, step=0)
    assert (evaluation.hit1, evaluation.mrr, evaluation.cosine) == (1.0, 1.0, pytest.approx(1.0))
    assert evaluation.hit1_interval == stats.wilson_interval(evaluation.n, evaluation.n)
    assert isinstance(evaluation.hit10_interval, Interval)


def test_the_length_of_a_prediction_does_not_matter(judge):
    predictions = noisy(judge)
    scale = torch.rand(len(predictions), 1, generator=torch.Generator().manual_seed(1)) * 1e6
    assert judge.rank(predictions).tolist() == judge.rank(predictions * scale).tolist()


def test_one_bad_prediction_is_fatal(judge):
    predictions = noisy(judge)
    predictions[5, 3] = torch.nan
    with pytest.raises(TrainingError, match="query 5") as caught:
        judge.evaluation(predictions, epoch=1, step=1)
    assert "diverged" in caught.value.hint


def test_vectors_that_are_all_alike_are_refused(make_split, judge_of):
    with pytest.raises(DataError, match="too much alike"):
        judge_of(make_split(np.ones((40, 6)), [20, 20]))
    almost = np.random.default_rng(0).normal(size=(40, 6)) * 1e-3 + 1
    with pytest.raises(DataError, match=r"100\.0% of the queries"):
        judge_of(make_split(almost, [20, 20]))


def test_the_share_of_duplicates_is_told(make_split, judge_of):
    vectors = np.random.default_rng(0).normal(size=(60, 16))
    vectors[50] = vectors[10]
    # Position 10 has a copy after it, in another document; so has 50. The other 56 queries have none.
    judge = judge_of(make_split(vectors, [20, 40]))
    assert judge.protocol.duplicate_share == pytest.approx(2 / 58)


def test_a_judge_that_ranks_wrongly_does_not_come_to_be(make_split, judge_of, monkeypatch):
    split = make_split(np.random.default_rng(0).normal(size=(60, 6)), [30, 30])
    judge_of(split)
    right = evaluate.rank
    monkeypatch.setattr(evaluate, "rank", lambda *args: right(*args) + 1)
    with pytest.raises(TrainingError, match=r"the true targets as .* Hit@1 = 0\.00%, not 100\.00%"):
        judge_of(split)
    monkeypatch.setattr(evaluate, "rank", lambda *args: np.ones(len(args[0]), np.uint32))
    with pytest.raises(TrainingError, match=r"shuffled targets as .* mean rank 1\.0, not"):
        judge_of(split)


def test_a_judge_that_begins_to_err_gives_no_score(make_split, judge_of, monkeypatch):
    """Each evaluation is checked, not only the first."""
    judge = judge_of(make_split(np.random.default_rng(0).normal(size=(60, 6)), [30, 30]))
    predictions = noisy(judge)
    judge.evaluation(predictions, epoch=1, step=1)
    right = evaluate.rank

    def wrong_for_copies(made, *args):
        """Takes vectors of the split for better than they are."""
        copies = (made[:, None] == torch.from_numpy(judge.split.take(0, 60))).all(2).any(1).numpy()
        return np.where(copies, 1, right(made, *args)).astype(np.uint32)

    monkeypatch.setattr(evaluate, "rank", wrong_for_copies)
    with pytest.raises(TrainingError, match="self-check failed: shuffled targets"):
        judge.evaluation(predictions, epoch=2, step=2)


def test_vectors_that_change_during_a_run_are_noticed(make_split, judge_of):
    judge = judge_of(make_split(np.random.default_rng(0).normal(size=(60, 6)), [30, 30]))
    vectors = np.load(judge.split.data.path / "vectors.npy", mmap_mode="r+")
    vectors[:] = np.random.default_rng(1).normal(size=(60, 6))
    vectors.flush()
    with pytest.raises(TrainingError, match="self-check failed") as caught:
        judge.evaluation(torch.ones(58, 6), epoch=1, step=1)
    assert "vectors have changed" in caught.value.hint


def test_queries_of_a_single_document_get_wilsons_interval(make_split, judge_of):
    judge = judge_of(make_split(np.random.default_rng(0).normal(size=(40, 6)), [5, *[1] * 35]))
    evaluation = judge.evaluation(noisy(judge), epoch=1, step=1)
    assert evaluation.interval_method == "Wilson over 4 queries: all in one document"
    hits = int((stats.unpack_ranks(evaluation.ranks) <= 5).sum())
    assert evaluation.hit5_interval == stats.wilson_interval(hits, 4)
    assert "mrr_interval" not in evaluation.details


@pytest.mark.parametrize("lengths", [[2, *[1] * 20], [3, *[1] * 20], [2, 2, *[1] * 20]])
def test_a_handful_of_queries_raises_no_false_alarm(make_split, judge_of, lengths):
    vectors = np.random.default_rng(0).normal(size=(sum(lengths), 6))
    vectors[1:3] = vectors[0] + 0.3 * vectors[1:3]
    judge_of(make_split(vectors, lengths))


def test_clustered_and_duplicated_data_raise_no_false_alarm(make_split, judge_of):
    random = np.random.default_rng(0)
    topics = np.repeat(random.normal(size=(3, 8)), 100, axis=0)
    judge_of(make_split(topics + 0.5 * random.normal(size=(300, 8)), [100] * 3))
    few = random.normal(size=(20, 8))[random.integers(0, 20, 300)]
    judge_of(make_split(few, [100] * 3))
    judge_of(make_split(random.normal(size=(12, 3)), [2] * 6))


def test_each_split_and_option_has_its_own_protocol(data, splits):
    ids = {
        Judge.build(data, splits, name, split_seed=0, within_document=within, device=CPU).protocol.id
        for name in ("validation", "test")
        for within in (False, True)
    }
    assert len(ids) == 4


def test_a_judge_is_the_same_every_time(data, splits, judge):
    again = Judge.build(data, splits, "validation", split_seed=0, within_document=False, device=CPU)
    assert again.protocol == judge.protocol
    first, second = (j.evaluation(noisy(judge), epoch=1, step=1) for j in (judge, again))
    assert dataclasses.replace(first, time=0.0) == dataclasses.replace(second, time=0.0)
