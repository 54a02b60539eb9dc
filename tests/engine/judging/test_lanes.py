"""Lanes as given, and as clusters."""

import json

import numpy as np
import pytest
import torch

from engine import lanes
from engine.data.split import split_documents
from engine.data.vectors import open_vectors
from engine.lanes import lanes_of, read_lanes, spherical_kmeans
from lvmtui.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """A set of 300 vectors in 30 documents, around 20 directions."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(20, 24))
    vectors = centres[random.integers(0, 20, 300)] + 0.2 * random.normal(size=(300, 24))
    np.save(tmp_path / "vectors.npy", vectors.astype(np.float32))
    np.save(tmp_path / "documents.npy", np.arange(300) // 10)
    return tmp_path


def blobs(sizes, dim=32, noise=0.3, seed=0):
    random = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(sizes)), sizes)
    rows = random.normal(size=(len(sizes), dim))[label] + noise * random.normal(size=(len(label), dim))
    unit = torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True)).float()
    return unit, label


def test_clusters_are_found_the_largest_first():
    unit, label = blobs([40, 200, 90, 15])
    found = (unit @ spherical_kmeans(unit, 4).T).argmax(1).numpy()
    order = {1: 0, 2: 1, 0: 2, 3: 3}
    assert found.tolist() == [order[k] for k in label.tolist()]


def test_clustering_is_the_same_each_time_and_of_unit_length():
    unit = blobs([50] * 8, noise=2.0)[0]
    first = spherical_kmeans(unit, 16)
    assert torch.equal(first, spherical_kmeans(unit, 16))
    assert torch.allclose(torch.linalg.vector_norm(first, dim=1), torch.ones(16))
    assert torch.bincount((unit @ first.T).argmax(1), minlength=16).min() > 0


@pytest.mark.parametrize(("distinct", "lanes_found"), [(1, 1), (3, 3), (16, 16), (40, 16)])
def test_there_are_no_more_clusters_than_different_vectors(distinct, lanes_found):
    unit = blobs([1] * distinct)[0].repeat(3, 1)
    assert len(spherical_kmeans(unit, 16)) == lanes_found


def test_clusters_survive_vectors_that_cancel_out():
    unit = torch.tensor([[1.0, 0.0], [-1.0, 0.0]] * 20 + [[0.0, 1.0], [0.0, -1.0]] * 3)
    for most in (1, 2, 3, 4, 16):
        centres = spherical_kmeans(unit, most)
        assert torch.isfinite(centres).all()
        assert len(centres) <= 4


def test_without_given_lanes_each_target_gets_its_nearest_cluster(folder):
    splits = split_documents(open_vectors(folder), 0)
    split = splits["validation"]
    positions = np.array([3, 1, 7])
    found = lanes_of(split, positions, splits["train"])
    centres = lanes.cluster(splits["train"])
    wanted = (torch.from_numpy(split.take(0, len(split))[positions]) @ centres.T).argmax(1)
    assert found.number.tolist() == wanted.tolist()
    assert len(found.names) == 16
    assert found.source == "16 clusters of the training vectors (spherical k-means)"


def test_clusters_are_made_of_a_sample(folder, monkeypatch):
    monkeypatch.setattr(lanes, "CLUSTERED", 5)
    assert len(lanes.cluster(split_documents(open_vectors(folder), 0)["train"])) <= 5


def test_given_lanes_are_used_with_their_names(folder):
    given = np.random.default_rng(1).integers(0, 3, 300).astype(np.uint8)
    np.save(folder / "lanes.npy", given)
    (folder / "meta.json").write_text(json.dumps({"lanes": ["prose", "[b]verse", 3]}))
    split = split_documents(open_vectors(folder), 0)["validation"]
    found = lanes_of(split, np.arange(5), split)
    assert found.number.tolist() == given[split.rows[:5]].tolist()
    assert found.names == ("prose", "[b]verse", "3")
    assert found.source == "given in lanes.npy"


def test_names_that_are_no_list_are_none(folder):
    np.save(folder / "lanes.npy", np.zeros(300, np.int64))
    (folder / "meta.json").write_text(json.dumps({"lanes": "prose"}))
    split = split_documents(open_vectors(folder), 0)["validation"]
    assert lanes_of(split, np.arange(5), split).names == ()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(300), "holds float64 where integers are needed"),
        (np.zeros(299, int), r"has the shape \(299,\) for 300 vectors"),
        (np.zeros((300, 1), int), r"has the shape \(300, 1\) for 300 vectors"),
        (np.full(300, -2), "holds -2, which is no lane"),
        (np.full(300, 2**63, np.uint64), "holds 9223372036854775808, which is no lane"),
    ],
)
def test_lanes_that_are_none_are_refused(folder, array, words):
    np.save(folder / "lanes.npy", array)
    with pytest.raises(DataError, match=words) as raised:
        read_lanes(open_vectors(folder))
    assert "lanes.npy" in str(raised.value)


def test_pickled_and_broken_lanes_are_refused(folder):
    np.save(folder / "lanes.npy", np.array([{}] * 300), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        read_lanes(open_vectors(folder))
    (folder / "lanes.npy").write_bytes(b"lanes")
    with pytest.raises(DataError, match=r"is no \.npy file"):
        read_lanes(open_vectors(folder))
    (folder / "lanes.npy").unlink()
    assert read_lanes(open_vectors(folder)) is None
    (folder / "lanes.npy").symlink_to(folder / "nowhere.npy")
    with pytest.raises(DataError, match="is missing"):
        read_lanes(open_vectors(folder))
