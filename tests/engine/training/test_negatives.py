"""Hard negatives: the nearest of what can be wrong, and nothing that may be right."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from engine.candidates import SAME_VECTOR
from engine.data.split import SplitView, split_documents
from engine.data.vectors import open_vectors
from engine.learner import Learner
from engine.losses import build_objective
from engine.negatives import HardNegatives
from lvmtui.recipe import LossSection, Recipe

CPU = torch.device("cpu")


@pytest.fixture
def train(tmp_path: Path) -> SplitView:
    """30 documents of 10 vectors; every third vector of one in two has a near duplicate in the next."""
    random = np.random.default_rng(4)
    vectors = random.normal(size=(30, 10, 6))
    vectors[1::2, ::3] = vectors[::2, ::3] * 3 + 0.01 * random.normal(size=(15, 4, 6))
    np.save(tmp_path / "vectors.npy", vectors.reshape(300, 6).astype(np.float32))
    np.save(tmp_path / "documents.npy", np.repeat(np.arange(30), 10))
    return split_documents(open_vectors(tmp_path), 0)["train"]


def mined(train: SplitView, k: int = 4, seed: int = 0) -> HardNegatives:
    return HardNegatives(train, k=k, seed=seed, device=CPU)


def test_they_are_the_nearest_that_are_not_left_out(train: SplitView) -> None:
    table = mined(train).mine()
    vectors = functional.normalize(torch.from_numpy(train.take(0, len(train))), dim=-1)
    cosine = (vectors @ vectors.T).numpy()
    duplicates = 0
    for position, neighbours in enumerate(table):
        allowed = [
            other
            for other in range(len(train))
            if cosine[position, other] <= SAME_VECTOR
            and not train.document_start[position] <= other <= position
        ]
        duplicates += int((cosine[position] > SAME_VECTOR).sum()) - 1
        expected = sorted(allowed, key=lambda other: -cosine[position, other])[:4]
        assert neighbours.tolist() == expected
    assert duplicates > 50, "there was nothing to leave out"


def test_they_are_read_by_row(train: SplitView) -> None:
    hard = mined(train)
    rows = train.rows[[[3, 4], [200, 17]]]
    found = hard.of(rows)
    assert found.shape == (2, 2, 4, 6)
    for place in np.ndindex(2, 2):
        position = int(np.searchsorted(train.rows, rows[place]))
        expected = train.data.vectors[train.rows[hard.mine()[position]]]
        assert np.array_equal(found[place], expected)


def test_where_there_are_fewer_the_rest_is_zero(train: SplitView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.negatives.PAIRS", 1)
    monkeypatch.setattr("engine.negatives.LEAST_CANDIDATES", 3)
    hard = mined(train, k=5)
    table = hard.mine()
    assert len(np.unique(table[table >= 0])) == 3, "as many candidates as may be compared"
    assert (table[:, 3:] == -1).all()
    assert not hard.of(train.rows[None, :50])[:, :, 3:].any()
    assert np.array_equal(mined(train, k=5).mine(), table)
    assert not np.array_equal(mined(train, k=5, seed=1).mine(), table)


@pytest.mark.parametrize("name", ["nce", "published"])
def test_a_loss_with_hard_negatives_is_the_one_written_out(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    predictions, targets = (torch.randn(3, 2, 8, generator=generator) for _ in range(2))
    bank, hard = torch.randn(9, 8, generator=generator), torch.randn(3, 2, 4, 8, generator=generator)
    hard[0, 0, 1] = 0.0
    hard[1, 1, 2] = 5 * targets[1, 1]
    objective = build_objective(LossSection(name=name, alpha=0.5, temperature=0.2), "all")
    p, t, b, h = (functional.normalize(part, dim=-1) for part in (predictions, targets, bank, hard))
    losses, cosines = [], []
    for row in range(3):
        for at in range(2):
            kept = [h[row, at, i] for i in range(4) if (row, at, i) not in {(0, 0, 1), (1, 1, 2)}]
            others = list(b) if name == "nce" else [t[other, at] for other in range(3) if other != row]
            scores = torch.stack([each @ p[row, at] for each in (t[row, at], *others, *kept)]) / 0.2
            losses.append(-scores.log_softmax(dim=0)[0])
            cosines.append(t[row, at] @ p[row, at])
    expected = torch.stack(losses).mean()
    if name == "published":
        expected = 1 - torch.stack(cosines).mean() + 0.5 * expected
    predictions.requires_grad_()
    loss, _ = objective(predictions, targets, bank, hard)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert predictions.grad is not None
    assert predictions.grad.isfinite().all()


@pytest.mark.parametrize("name", ["nce", "published"])
def test_it_separates_from_what_is_alike(
    recipe: Callable[..., Recipe], learner: Callable[[Recipe], Learner], name: str
) -> None:
    """Predictions end farther from their targets' neighbours than without them."""

    def margin(hard: int) -> float:
        made = learner(
            recipe(
                loss__name=name,
                loss__hard=str(hard),
                loss__alpha="1",
                loss__bank="8",
                model__dropout="0",
                model__head="residual",
                train__schedule="constant",
                train__batch="8",
                train__accumulation="1",
            )
        )
        order = made.windows.order(0)[:8]
        for number in range(60):
            made.step(order, number)
        others = learner(recipe(loss__hard="4"))
        x, targets, neighbours = others._read(order, 6)
        assert neighbours is not None
        with made.evaluating():
            predictions = functional.normalize(made.model(x)[0], dim=-1)
        near = functional.normalize(neighbours(0, 6), dim=-1)
        right = (predictions * functional.normalize(targets, dim=-1)).sum(dim=-1)
        wrong = torch.einsum("btd,btkd->btk", predictions, near).mean(dim=-1)
        return float((right - wrong).mean())

    assert margin(4) > margin(0) + 0.02
