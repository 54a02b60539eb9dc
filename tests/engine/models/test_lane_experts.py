"""Experts: routed by the lanes at first, all of them used, and known by lane."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.data.split import SplitView, split_documents
from engine.data.vectors import open_vectors
from engine.evaluate import Judge
from engine.expert_use import LARGEST, expert_use
from engine.lanes import centres
from engine.models import ComposerStart, NextVectorModel, build_model
from engine.models.lane_experts import LaneExperts
from lvmtui.errors import DataError, TrainingError
from lvmtui.recipe import ModelSection

Make = Callable[..., NextVectorModel]
Vectors = Callable[..., Tensor]
LANES, DIM = 6, 24


def with_lanes(lanes: Tensor, **fields: object) -> LaneExperts:
    """A small model whose routing starts from `lanes` (k, D)."""
    values = {"name": "lane_experts", "hidden": 16, "layers": 1, "rank": 3, "experts": len(lanes), **fields}
    torch.manual_seed(0)
    start = ComposerStart.copy_last(torch.zeros(lanes.shape[1]))
    section = ModelSection.model_validate(values)
    model = build_model(section, dim=lanes.shape[1], context=8, start=start, lanes=lanes)
    assert isinstance(model, LaneExperts)
    return model


def around(lanes: Tensor, *shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Unit vectors (*shape, D) near to lanes at random, and which."""
    generator = torch.Generator().manual_seed(seed)
    lane = torch.randint(len(lanes), shape, generator=generator)
    noise = 0.08 * torch.randn(*shape, lanes.shape[1], generator=generator)
    return torch.nn.functional.normalize(lanes[lane] + noise, dim=-1), lane


@pytest.fixture(scope="module")
def lanes() -> Tensor:
    return torch.linalg.qr(torch.randn(DIM, LANES, generator=torch.Generator().manual_seed(1)))[0].T


@pytest.mark.parametrize("active", [1, 2, 6])
@torch.no_grad()
def test_the_expert_of_the_last_vectors_lane_is_asked_first(lanes: Tensor, active: int) -> None:
    model = with_lanes(lanes, active=active).eval()
    x, lane = around(lanes, 3, 20)
    model(x)
    routes = model.routes()
    assert routes is not None
    assert torch.equal(routes.argmax(dim=-1), lane)
    assert ((routes > 0).sum(dim=-1) == active).all()
    torch.testing.assert_close(routes.sum(dim=-1), torch.ones(3, 20))


@pytest.mark.parametrize("active", [1, 2])
def test_every_expert_and_the_router_learn_over_a_few_batches(lanes: Tensor, active: int) -> None:
    model = with_lanes(lanes, active=active).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    maps = torch.zeros(LANES)
    for batch in range(6):
        x, _ = around(lanes, 2, 9, seed=batch)
        optimizer.zero_grad()
        prediction, _ = model(x[:, :-1])
        (1 - torch.cosine_similarity(prediction, x[:, 1:], dim=-1)).mean().backward()
        optimizer.step()
        gradient = model.experts.inwards.weight.grad
        assert gradient is not None
        maps += gradient.view(LANES, -1).abs().sum(dim=-1)
    assert (maps > 0).all()
    for parameter in model.router.parameters():
        assert parameter.grad is not None
        assert parameter.grad.any()


def test_the_balance_is_1_for_even_use_and_falls_when_it_is_minimised(lanes: Tensor) -> None:
    model = with_lanes(lanes, active=1).train()
    x = around(lanes, 8, 50)[0]
    model(x)
    even = model.auxiliary()
    assert even is not None
    assert even.item() == pytest.approx(1.0, abs=0.05)
    one_lane = around(lanes[:1], 8, 50)[0]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    values = []
    for _ in range(60):
        model(one_lane)
        balance = model.auxiliary()
        assert balance is not None
        values.append(balance.item())
        optimizer.zero_grad()
        balance.backward()
        optimizer.step()
    assert values[0] > 4
    assert values[-1] < 0.5 * values[0]


@torch.no_grad()
def test_there_is_no_balance_without_gradients_and_no_routes_before_a_forward(lanes: Tensor) -> None:
    model = with_lanes(lanes).eval()
    assert model.routes() is None
    assert "experts/in_use" not in model.diagnostics()
    model(around(lanes, 2, 200)[0])
    assert model.auxiliary() is None
    assert model.diagnostics()["experts/in_use"] == pytest.approx(LANES, abs=0.3)
    assert model.diagnostics()["experts/largest_share"] == pytest.approx(1 / LANES, abs=0.05)


@torch.no_grad()
def test_the_lanes_are_in_the_checkpoint(lanes: Tensor) -> None:
    model = with_lanes(lanes).eval()
    section = ModelSection.model_validate(
        {"name": "lane_experts", "hidden": 16, "layers": 1, "rank": 3, "experts": LANES}
    )
    start = ComposerStart.copy_last(torch.zeros(DIM))
    other = build_model(section, dim=DIM, context=8, start=start).eval()
    other.load_state_dict(model.state_dict())
    x = around(lanes, 2, 20)[0]
    assert torch.equal(other(x)[0], model(x)[0])


def test_lanes_of_another_number_or_width_are_refused(lanes: Tensor) -> None:
    with pytest.raises(TrainingError, match="centres of the lanes"):
        with_lanes(lanes, experts=5)


@pytest.fixture
def folder(tmp_path: Path, lanes: Tensor) -> Path:
    """600 vectors of 60 documents around 6 lanes, which are not yet given."""
    x, lane = around(lanes, 600)
    np.save(tmp_path / "vectors.npy", x.numpy())
    np.save(tmp_path / "documents.npy", np.arange(600) // 10)
    np.save(tmp_path / "truth.npy", lane.numpy())
    return tmp_path


def train_of(folder: Path) -> SplitView:
    return split_documents(open_vectors(folder), 0)["train"]


def give(folder: Path, numbers: np.ndarray) -> None:
    np.save(folder / "lanes.npy", numbers.astype(np.int32))


@pytest.mark.parametrize("source", ["auto", "kmeans"])
def test_clusters_are_the_lanes_where_none_are_given(folder: Path, lanes: Tensor, source: str) -> None:
    found = centres(train_of(folder), LANES, source)  # type: ignore[arg-type]
    torch.testing.assert_close(torch.linalg.vector_norm(found, dim=1), torch.ones(LANES))
    assert ((found @ lanes.T).amax(dim=1) > 0.95).all()
    assert sorted((found @ lanes.T).argmax(dim=1).tolist()) == list(range(LANES))


@pytest.mark.parametrize("source", ["auto", "given"])
def test_given_lanes_are_taken_the_largest_first(folder: Path, lanes: Tensor, source: str) -> None:
    truth = np.load(folder / "truth.npy")
    # Lanes 0 to 3 become one; numbers need not be without gaps.
    give(folder, np.where(truth < 4, 70, truth))
    found = centres(train_of(folder), 2, source)  # type: ignore[arg-type]
    joined = torch.nn.functional.normalize(lanes[:4].sum(dim=0), dim=0)
    assert (found[0] @ joined).item() > 0.95
    assert (found[1] @ lanes[4:].T).max().item() > 0.95


def test_clusters_fill_up_what_given_lanes_leave(folder: Path) -> None:
    give(folder, np.zeros(600))
    train = train_of(folder)
    found = centres(train, 4, "given")
    assert found.shape == (4, DIM)
    torch.testing.assert_close(found[1:], centres(train, 3, "kmeans"))


def test_there_is_a_centre_for_each_expert_however_few_vectors_differ(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.tile(np.eye(4, 8, dtype=np.float32), (60, 1)))
    np.save(tmp_path / "documents.npy", np.arange(240) // 8)
    train = train_of(tmp_path)
    found = centres(train, 16)
    torch.testing.assert_close(torch.linalg.vector_norm(found, dim=1), torch.ones(16))
    assert torch.equal(found, centres(train, 16))


def test_given_lanes_that_are_not_there_are_missed(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no lanes given .* data.lanes = given") as caught:
        centres(train_of(folder), LANES, "given")
    assert "lanes.npy" in caught.value.hint
    assert "kmeans" in caught.value.hint


@pytest.mark.parametrize("numbers", [np.zeros(10), np.full(600, -1)])
def test_damaged_lanes_are_refused(folder: Path, numbers: np.ndarray) -> None:
    give(folder, numbers)
    with pytest.raises(DataError, match=r"lanes\.npy"):
        centres(train_of(folder), LANES, "auto")


def judge_of(folder: Path) -> tuple[Judge, SplitView]:
    data = open_vectors(folder)
    splits = split_documents(data, 0)
    judge = Judge.build(
        data, splits, "validation", split_seed=0, within_document=False, device=torch.device("cpu")
    )
    return judge, splits["train"]


def test_use_is_told_by_lane_of_the_target_with_its_number_of_queries(folder: Path) -> None:
    truth = np.load(folder / "truth.npy")
    give(folder, truth)
    (folder / "meta.json").write_text(json.dumps({"lanes": ["news", "law"]}))
    judge, train = judge_of(folder)
    lane = truth[judge.split.rows[judge.asked.positions]]
    use = expert_use(np.eye(LANES)[lane] * 0.75 + 0.25 * np.eye(LANES)[[0]], judge, train)
    counts = np.bincount(lane, minlength=LANES)
    assert [row["n"] for row in use["lanes"]] == sorted(counts.tolist(), reverse=True)
    assert sum(row["n"] for row in use["lanes"]) == len(judge.asked)
    for row in use["lanes"]:
        names = ["news", "law", *(f"lane {number}" for number in range(2, LANES))]
        number = names.index(row["name"])
        assert row["n"] == counts[number]
        assert row["share"][number] == (1.0 if number == 0 else 0.75)
    assert sum(use["share"]) == pytest.approx(1.0, abs=1e-3)
    json.dumps(use)


def test_very_many_lanes_are_told_as_the_largest_and_the_rest(folder: Path) -> None:
    give(folder, np.arange(600))
    judge, train = judge_of(folder)
    use = expert_use(np.full((len(judge.asked), 2), 0.5), judge, train)
    assert len(use["lanes"]) == LARGEST + 1
    assert use["lanes"][-1]["name"] == f"{len(judge.asked) - LARGEST} smaller lanes"
    assert use["lanes"][-1]["n"] == len(judge.asked) - LARGEST
