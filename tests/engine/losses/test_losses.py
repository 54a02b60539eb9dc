"""What is minimised is what is written down, for every position on its own."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.candidates import SAME_VECTOR, Window
from engine.losses import TEMPERATURE_RANGE, BankNce, build_objective
from lvmtui.errors import RecipeError
from lvmtui.recipe import LossSection


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def written_out(prediction: Tensor, target: Tensor, bank: Tensor, temperature: float) -> float:
    """NCE of one position."""
    prediction, target, bank = (functional.normalize(part, dim=-1) for part in (prediction, target, bank))
    negatives = [row for row in bank if row @ target <= SAME_VECTOR]
    scores = torch.stack([target @ prediction, *(row @ prediction for row in negatives)]) / temperature
    return -scores.log_softmax(dim=0)[0].item()


@pytest.mark.parametrize("positions", ["all", "last"])
def test_nce_equals_the_one_written_out(positions: str) -> None:
    predictions, targets, bank = 3 * draw(2, 5, 8), 2 * draw(2, 5, 8, seed=1), 5 * draw(20, 8, seed=2)
    bank[3] = targets[0, 4] * 1.5
    loss, terms = build_objective(LossSection(temperature=0.1), positions)(predictions, targets, bank)
    where = range(5) if positions == "all" else [4]
    each = [written_out(predictions[b, t], targets[b, t], bank, 0.1) for b in range(2) for t in where]
    assert loss.item() == pytest.approx(sum(each) / len(each), rel=1e-5)
    assert terms["nce"].item() == pytest.approx(loss.item())
    assert terms["temperature"].item() == pytest.approx(0.1)
    assert not any(term.requires_grad for term in terms.values())


def test_the_cosine_term_is_weighted() -> None:
    predictions, targets, bank = draw(2, 3, 8), draw(2, 3, 8, seed=1), draw(9, 8, seed=2)
    loss, terms = build_objective(LossSection(cosine=0.1), "all")(predictions, targets, bank)
    cosine = functional.cosine_similarity(predictions, targets, dim=-1).mean()
    assert terms["cosine"].item() == pytest.approx(cosine.item(), abs=1e-6)
    assert loss.item() == pytest.approx((terms["nce"] + 0.1 * (1 - cosine)).item(), rel=1e-5)


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    weight, targets, bank = draw(8, 8), draw(6, 4, 8, seed=1), draw(30, 8, seed=2)
    x = draw(6, 4, 8, seed=3)

    def gradient(sizes: list[int]) -> tuple[Tensor, Tensor]:
        objective = build_objective(LossSection(), "all")
        layer = weight.clone().requires_grad_()
        for inputs, outputs in zip(x.split(sizes), targets.split(sizes), strict=True):
            loss, _ = objective(inputs @ layer, outputs, bank)
            (loss * len(inputs) / 6).backward()
        assert isinstance(objective, BankNce)
        assert layer.grad is not None
        assert objective.log_temperature.grad is not None
        return layer.grad, objective.log_temperature.grad

    torch.testing.assert_close(gradient([6]), gradient([2, 3, 1]))


def test_targets_and_bank_are_frozen() -> None:
    predictions = draw(2, 3, 8).requires_grad_()
    bank = draw(9, 8, seed=2).requires_grad_()
    loss, _ = build_objective(LossSection(), "all")(predictions, draw(2, 3, 8, seed=1), bank)
    loss.backward()
    assert predictions.grad is not None
    assert bank.grad is None


def test_a_bank_of_nothing_but_the_target_costs_nothing() -> None:
    target = draw(1, 1, 8)
    predictions = draw(1, 1, 8, seed=1).requires_grad_()
    loss, _ = build_objective(LossSection(), "all")(predictions, target, target[0].repeat(4, 1))
    loss.backward()
    assert loss.item() == 0.0
    assert predictions.grad is not None
    assert predictions.grad.isfinite().all()


@pytest.mark.parametrize("section", [LossSection(), LossSection(name="published")])
def test_a_zero_prediction_is_finite(section: LossSection) -> None:
    predictions = torch.zeros(2, 3, 8, requires_grad=True)
    loss, terms = build_objective(section, "all")(predictions, draw(2, 3, 8), draw(9, 8, seed=2))
    loss.backward()
    assert loss.isfinite()
    assert terms["cosine"].item() == 0.0
    assert predictions.grad is not None
    assert predictions.grad.isfinite().all()


def test_half_precision_is_computed_in_full() -> None:
    predictions, targets, bank = draw(2, 3, 8).half(), draw(2, 3, 8, seed=1).half(), draw(9, 8, seed=2).half()
    loss, _ = build_objective(LossSection(temperature=0.01), "all")(predictions, targets, bank)
    assert loss.dtype == torch.float32
    assert loss.isfinite()


def test_the_temperature_is_learnt_inside_its_range() -> None:
    objective = build_objective(LossSection(temperature=0.9), "all")
    assert isinstance(objective, BankNce)
    optimizer = torch.optim.SGD(objective.parameters(), lr=1.0)
    with torch.no_grad():
        objective.log_temperature.fill_(math.log(50.0))
    predictions = draw(4, 4, 8)
    _, terms = objective(predictions, predictions, draw(30, 8, seed=2))
    assert terms["temperature"].item() == pytest.approx(TEMPERATURE_RANGE[1])
    loss, _ = objective(predictions, predictions, draw(30, 8, seed=2))
    loss.backward()
    optimizer.step()
    assert objective.log_temperature.item() < 0.0


def test_a_fixed_temperature_is_not_trained() -> None:
    objective = build_objective(LossSection(learn_temperature=False, temperature=2.0), "all")
    assert not any(parameter.requires_grad for parameter in objective.parameters())
    _, terms = objective(draw(1, 2, 8), draw(1, 2, 8, seed=1), draw(5, 8, seed=2))
    assert terms["temperature"].item() == pytest.approx(2.0)


@pytest.mark.parametrize("positions", ["all", "last"])
def test_published_equals_the_one_written_out(positions: str) -> None:
    predictions, targets = draw(4, 3, 8), draw(4, 3, 8, seed=1)
    section = LossSection(name="published", alpha=0.05)
    loss, terms = build_objective(section, positions)(predictions, targets)
    p, t = (functional.normalize(part, dim=-1) for part in (predictions, targets))
    where = range(3) if positions == "all" else [2]
    contrast = torch.stack(
        [functional.cross_entropy(p[:, at] @ t[:, at].T / 0.07, torch.arange(4)) for at in where]
    ).mean()
    cosine = torch.stack([(p[:, at] * t[:, at]).sum(dim=-1) for at in where]).mean()
    assert terms["info_nce"].item() == pytest.approx(contrast.item(), rel=1e-5)
    assert loss.item() == pytest.approx((1 - cosine + 0.05 * contrast).item(), rel=1e-5)


def test_published_without_contrast_or_others_is_the_cosine() -> None:
    predictions, targets = draw(1, 3, 8), draw(1, 3, 8, seed=1)
    alone, _ = build_objective(LossSection(name="published"), "all")(predictions, targets)
    plain, terms = build_objective(LossSection(name="published", alpha=0.0), "all")(predictions, targets)
    assert alone.item() == pytest.approx(plain.item())
    assert set(terms) == {"cosine"}


def a_window() -> tuple[Tensor, Window]:
    """3 windows of 5 targets, in documents that change inside, one target standing twice."""
    targets = 3 * draw(3, 5, 8, seed=1)
    targets[0, 4] = 2 * targets[0, 1]
    documents = torch.tensor([[7, 7, 7, 7, 7], [7, 7, 8, 8, 8], [1, 2, 2, 3, 3]])
    asked = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 0, 1, 0, 1]]).bool()
    bank_documents = torch.tensor([7, 7, 8, 1, 5, 5, 3, 9, 9])
    return targets, Window(targets, documents, asked, bank_documents)


def candidates(window: Window, bank: Tensor, b: int, t: int) -> tuple[list[Tensor], list[Tensor]]:
    """Those of the bank and of the window that one target has, as unit vectors."""
    own, target = window.documents[b, t], functional.normalize(window.vectors[b, t], dim=-1)
    assert window.bank_documents is not None
    of_bank = [v for v, document in zip(bank, window.bank_documents, strict=True) if document != own]
    later = [window.vectors[b, m] for m in range(t + 1, 5) if window.documents[b, m] == own]
    sides = [[functional.normalize(v, dim=-1) for v in side] for side in (of_bank, later)]
    first, second = ([v for v in side if v @ target <= SAME_VECTOR] for side in sides)
    return first, second


@pytest.mark.parametrize("positions", ["all", "last"])
def test_the_smooth_rank_equals_the_one_written_out(positions: str) -> None:
    targets, window = a_window()
    predictions, bank = draw(3, 5, 8), draw(9, 8, seed=2)
    bank[4] = targets[0, 0]
    section = LossSection(name="rank", temperature=0.1, pool=27, depth=2.0)
    each = []
    for b in range(3):
        for t in range(5) if positions == "all" else [4]:
            prediction = functional.normalize(predictions[b, t], dim=-1)
            own = functional.normalize(targets[b, t], dim=-1) @ prediction
            of_bank, later = candidates(window, bank, b, t)
            rank = sum(3 * torch.sigmoid((v @ prediction - own) / 0.1) for v in of_bank)
            rank += sum(torch.sigmoid((v @ prediction - own) / 0.1) for v in later)
            each.append(float(rank / (rank + 2)) * bool(window.asked[b, t]))
    predictions.requires_grad_()
    loss, terms = build_objective(section, positions)(predictions, targets, bank, window=window)
    loss.backward()
    assert loss.item() == pytest.approx(sum(each) / len(each), rel=1e-5)
    assert terms["rank"].item() == pytest.approx(loss.item())
    assert predictions.grad is not None
    assert predictions.grad.isfinite().all()


def test_the_rank_is_that_of_the_evaluation_as_the_temperature_falls() -> None:
    predictions, targets, bank = draw(1, 1, 8), draw(1, 1, 8, seed=1), draw(500, 8, seed=2)
    section = LossSection(name="rank", temperature=1e-6, pool=500, depth=5.0)
    loss, _ = build_objective(section, "all")(predictions, targets, bank)
    scores = functional.cosine_similarity(predictions[0], torch.cat([targets[0], bank]), dim=-1)
    above = float((scores[1:] > scores[0]).sum())
    assert loss.item() == pytest.approx(above / (above + 5))


def test_nce_takes_what_follows_in_the_window_too() -> None:
    targets, window = a_window()
    predictions, bank = draw(3, 5, 8), draw(9, 8, seed=2)
    section = LossSection(window_negatives=True, temperature=0.1)
    loss, _ = build_objective(section, "all")(predictions, targets, bank, window=window)
    each = []
    for b in range(3):
        for t in range(5):
            prediction, target = (functional.normalize(v[b, t], dim=-1) for v in (predictions, targets))
            everything = [target, *(v for side in candidates(window, bank, b, t) for v in side)]
            scores = torch.stack([v @ prediction for v in everything]) / 0.1
            each.append(-scores.log_softmax(dim=0)[0].item())
    assert loss.item() == pytest.approx(sum(each) / len(each), rel=1e-5)


def test_segments_of_a_window_add_up() -> None:
    targets, window = a_window()
    predictions, bank = draw(3, 5, 8), draw(9, 8, seed=2)
    objective = build_objective(LossSection(name="rank"), "all")
    whole, _ = objective(predictions, targets, bank, window=window)
    parts = 0.0
    for begin, end in ((0, 2), (2, 5)):
        piece = (predictions[:, begin:end], targets[:, begin:end], bank)
        parts += (end - begin) / 5 * objective(*piece, window=window._replace(begin=begin))[0]
    torch.testing.assert_close(parts, whole)


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(RecipeError, match="first"):
        build_objective(LossSection(), "first")
    with pytest.raises(RecipeError, match="mse"):
        build_objective(LossSection().model_copy(update={"name": "mse"}), "all")
    with pytest.raises(ValueError, match="bank"):
        build_objective(LossSection(), "all")(draw(1, 2, 8), draw(1, 2, 8))
