import dataclasses

import numpy as np
import pytest
import torch

from engine.baselines import (
    NAMES,
    POWERS,
    RATES,
    Choice,
    TrainStatistics,
    check_copy_last,
    compute_baselines,
    start_from_details,
    tuned_start,
    weighted_means,
)
from engine.baselines import means as means_module
from engine.data.split import split_documents
from engine.data.vectors import open_vectors
from engine.evaluate import Judge
from engine.models import build_model
from engine.models.composer import recency_weights
from engine.predict import predict_queries
from lvmtui import stats
from lvmtui.errors import DataError, TrainingError
from lvmtui.recipe import ModelSection
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import NewRun
from lvmtui.store.writer import Writer

CPU = torch.device("cpu")
CONTEXT = 20


@pytest.fixture(scope="module")
def computed(splits, judge):
    return compute_baselines(splits, judge, context=CONTEXT, device=CPU)


def named(evaluations, name):
    return next(evaluation for evaluation in evaluations if evaluation.baseline == name)


@pytest.mark.parametrize("within_document", [False, True])
@pytest.mark.parametrize("context", [1, 3, 20, 500])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_weighted_means_are_the_sums_they_say(data, splits, monkeypatch, within_document, context, rate):
    monkeypatch.setattr(means_module, "_BLOCK", 16)
    judge = Judge.build(data, splits, "validation", split_seed=0, within_document=within_document, device=CPU)
    means = weighted_means(judge, judge.asked, rate=rate, context=context).numpy()
    vectors = judge.split.take(0, len(judge.split)).astype(np.float64)
    for query, position in enumerate(judge.queries):
        start = judge.asked.document_start[query] if within_document else 0
        past = vectors[max(start, position - context) : position][::-1]
        weights = recency_weights(rate, len(past)).numpy() if rate else np.ones(len(past))
        assert means[query] == pytest.approx(weights @ past / weights.sum(), abs=1e-6)


def test_means_of_some_queries_are_those_of_all(judge):
    index = np.array([0, 5, 6, 60, len(judge.queries) - 1])
    some = weighted_means(judge, judge.asked.subset(index), rate=0.3, context=CONTEXT)
    every = weighted_means(judge, judge.asked, rate=0.3, context=CONTEXT)
    assert torch.allclose(some, every[index], atol=1e-6)


def test_every_baseline_is_judged_once_and_says_what_it_is(computed, judge):
    assert tuple(evaluation.baseline for evaluation in computed) == NAMES
    for evaluation in computed:
        assert (evaluation.context, evaluation.split, evaluation.n) == (
            CONTEXT,
            "validation",
            judge.protocol.n,
        )
        assert evaluation.hit5_interval.low <= evaluation.hit5 <= evaluation.hit5_interval.high
        assert len(stats.unpack_ranks(evaluation.ranks)) == evaluation.n
    known = {
        "ridge": {"lambda", "inputs", "ewm_rate", "pairs"},
        "random": {"seed"},
        "nearest-successor": set(),
    }
    for evaluation in computed:
        expected = known.get(evaluation.baseline, {"rate", "centre", "g"})
        assert set(evaluation.details) == expected | {"mrr_interval"}
    weighted = [evaluation for evaluation in computed if evaluation.baseline not in known]
    chosen = {e.baseline: (e.details["rate"], e.details["centre"], e.details["g"]) for e in weighted}
    assert chosen["copy-last"] == (1.0, 0.0, 0.0)
    assert chosen["mean"] == (0.0, 0.0, 0.0)
    assert chosen["ewm"][1:] == (0.0, 0.0)
    assert chosen["ewm-centred"][1:] == (1.0, 0.0)
    assert chosen["ewm-whitened"][1] == 1.0


def test_copy_last_is_the_last_vector(computed, judge):
    copy = named(computed, "copy-last")
    assert copy.copyness == pytest.approx(1.0, abs=1e-6)
    last = torch.from_numpy(judge.split.take(0, len(judge.split))[judge.queries - 1])
    assert stats.unpack_ranks(copy.ranks).tolist() == judge.rank(last).tolist()


def test_the_choice_is_the_best_of_the_whole_grid(splits, judge, computed):
    statistics = TrainStatistics(splits["train"])

    def mrr(rate, centre, g):
        means = weighted_means(judge, judge.asked, rate=rate, context=CONTEXT)
        return stats.mrr(judge.rank(statistics.apply(means, Choice(rate, centre, g))))

    for name, centre, powers in (
        ("ewm", 0.0, [0.0]),
        ("ewm-centred", 1.0, [0.0]),
        ("ewm-whitened", 1.0, POWERS),
    ):
        best = max(mrr(rate, centre, g) for rate in RATES for g in powers)
        assert named(computed, name).mrr == pytest.approx(best, abs=1e-9)
    assert named(computed, "ewm-whitened").mrr >= named(computed, "ewm-centred").mrr
    # These vectors are noisy, off-centre and stretched: every step must pay.
    ladder = [named(computed, name).mrr for name in ("copy-last", "ewm", "ewm-centred", "ewm-whitened")]
    assert ladder == sorted(set(ladder))
    assert named(computed, "ewm").details["rate"] < 1
    assert named(computed, "ewm-whitened").details["g"] > 0


def test_the_whitening_is_a_power_of_the_floored_covariance(splits):
    train = splits["train"]
    vectors = train.take(0, len(train)).astype(np.float64)
    statistics = TrainStatistics(train)
    assert statistics.mean.numpy() == pytest.approx(vectors.mean(axis=0), abs=1e-6)
    values, axes = np.linalg.eigh(np.cov(vectors.T, bias=True))
    values = np.maximum(values, 1e-3 * values.max())
    for g in (0.25, 0.5):
        expected = (axes * (values / values.mean()) ** -g) @ axes.T
        assert statistics.whitening(g).numpy() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert statistics.whitening(0.0) is None


def test_eigenvalues_of_nothing_are_floored(tmp_path):
    random = np.random.default_rng(0)
    vectors = np.zeros((300, 6), np.float32)
    vectors[:, :2] = random.normal(size=(300, 2))
    np.save(tmp_path / "vectors.npy", vectors)
    np.save(tmp_path / "documents.npy", np.repeat(np.arange(30), 10))
    train = split_documents(open_vectors(tmp_path), 0)["train"]
    whitening = TrainStatistics(train).whitening(0.5)
    assert torch.isfinite(whitening).all()
    assert torch.linalg.cond(whitening).item() == pytest.approx(1000**0.5, rel=1e-3)


def test_equal_training_vectors_have_no_covariance(make_split):
    statistics = TrainStatistics(make_split(np.ones((40, 4)), [20, 20], "train"))
    with pytest.raises(DataError, match="all training vectors"):
        statistics.whitening(0.25)


def test_the_start_comes_back_from_what_the_store_keeps(splits, computed, judge, tmp_path):
    database = Database.open(tmp_path / "runs.db", create=True)
    run = Controller(database).create_run(
        NewRun("p", "{}", "hash", 0, "gru", CONTEXT, "hit5", "here", epochs=1, patience=1)
    )
    writer = Writer(database, run.id)
    for evaluation in computed:
        writer.save_baseline(evaluation)
    stored = Reader(database).baselines(judge.protocol.id)
    start = tuned_start(splits, stored)
    composable = [named(computed, name) for name in ("copy-last", "ewm", "ewm-centred", "ewm-whitened")]
    strongest = max(composable, key=lambda evaluation: evaluation.mrr)
    assert (start.rate, start.centre) == (strongest.details["rate"], strongest.details["centre"])
    again = tuned_start(splits, computed)
    assert torch.equal(start.mean, again.mean)
    assert (start.whitening is None) == (again.whitening is None)
    assert start.whitening is None or torch.equal(start.whitening, again.whitening)
    copy = start_from_details(splits, named(stored, "copy-last").details)
    assert (copy.rate, copy.centre, copy.whitening) == (1.0, 0.0, None)


@pytest.mark.parametrize("name", ["random", "mean", "ridge", "nearest-successor"])
def test_no_composer_starts_at_what_it_cannot_express(splits, computed, name):
    with pytest.raises(TrainingError, match="no baseline"):
        tuned_start(splits, [dataclasses.replace(named(computed, name), mrr=1.0)])


@pytest.mark.parametrize("name", ["gru", "memory_gru"])
def test_step_0_of_a_composer_scores_as_its_baseline(splits, judge, computed, name):
    whitened = named(computed, "ewm-whitened")
    start = start_from_details(splits, whitened.details)
    torch.manual_seed(0)
    section = ModelSection(name=name, hidden=16, layers=1, slots=4, chunk=8, head="composer")
    model = build_model(section, dim=12, context=CONTEXT, start=start)
    # A window of twice the baseline's reach gives every query all that the baseline weighs.
    predictions = predict_queries(model, judge, context=500, batch=4, device=CPU)
    evaluation = judge.evaluation(predictions, epoch=0, step=0)
    same = stats.unpack_ranks(evaluation.ranks) == stats.unpack_ranks(whitened.ranks)
    assert same.mean() > 0.97
    assert evaluation.mrr == pytest.approx(whitened.mrr, abs=0.01)


def test_the_test_split_is_judged_with_what_validation_chose(data, splits, computed):
    judge = Judge.build(data, splits, "test", split_seed=0, within_document=False, device=CPU)
    tested = compute_baselines(splits, judge, context=CONTEXT, device=CPU)
    for on_test, on_validation in zip(tested, computed, strict=True):
        assert on_test.split == "test"
        for key in on_validation.details.keys() - {"mrr_interval"}:
            assert on_test.details[key] == on_validation.details[key]


def test_what_was_tuned_before_is_not_tuned_again(splits, judge, computed):
    stale = [
        dataclasses.replace(named(computed, "ewm"), details={"rate": 0.1, "centre": 0.0, "g": 0.0}),
        dataclasses.replace(named(computed, "ridge"), details={"lambda": 3.0}),
    ]
    again = compute_baselines(
        splits, judge, context=CONTEXT, device=CPU, names=["ridge", "ewm", "copy-last"], tuned=stale
    )
    assert [item.baseline for item in again] == ["copy-last", "ewm", "ridge"]
    assert named(again, "ewm").details["rate"] == 0.1
    assert named(again, "ridge").details["lambda"] == 3.0
    assert named(again, "ridge").ranks != named(computed, "ridge").ranks


def test_copy_last_must_give_its_known_ranks(judge, computed):
    known = named(computed, "copy-last")
    check_copy_last(judge, known)
    ranks = stats.unpack_ranks(known.ranks)
    ranks[3] += 1
    with pytest.raises(TrainingError, match="self-check failed: copying the last vector"):
        check_copy_last(judge, dataclasses.replace(known, ranks=stats.pack_ranks(ranks)))


def test_computing_twice_gives_equal_evaluations(splits, judge, computed):
    again = compute_baselines(splits, judge, context=CONTEXT, device=CPU)
    assert [dataclasses.replace(e, time=0.0) for e in again] == [
        dataclasses.replace(e, time=0.0) for e in computed
    ]
