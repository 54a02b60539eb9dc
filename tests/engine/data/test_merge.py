"""Several vector sets as one: what is kept, what is dropped, what does not go together."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from engine.data.command import main
from engine.data.merge import merge_sets
from engine.data.vectors import open_vectors
from lvmtui.errors import DataError


def write(folder: Path, lengths: list[int], *, seed: int = 0, dtype: str = "float16", dim: int = 8) -> Path:
    """A set whose document ids begin at 5, with texts, lanes and a record of its encoder."""
    folder.mkdir()
    n = sum(lengths)
    np.save(folder / "vectors.npy", np.random.default_rng(seed).normal(size=(n, dim)).astype(dtype))
    ids = np.repeat(np.arange(5, 5 + len(lengths)), lengths)
    np.save(folder / "documents.npy", ids)
    np.save(folder / "lanes.npy", (np.arange(n) % 3).astype(np.int16))
    with gzip.open(folder / "texts.jsonl.gz", "wt") as file:
        for row, number in enumerate(ids.tolist()):
            file.write(
                json.dumps({"doc": number, "title": f"t{number}", "text": f"{folder.name} {row}"}) + "\n"
            )
    meta = {
        "encoder": {"name": "x"},
        "lanes": ["a", "b", "c"],
        "titles": ["-"] * 5 + [f"T{i}" for i in lengths],
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "a", [3, 4, 5]), write(tmp_path / "b", [6, 2, 7, 1], seed=1)


def test_everything_stands_in_order_and_documents_are_distinct(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    merged = merge_sets(pair, tmp_path / "out")
    data, parts = merged.data, [open_vectors(path) for path in pair]
    assert (data.vectors == np.concatenate([part.vectors for part in parts])).all()
    assert data.vectors.dtype == np.float16
    assert data.documents.tolist() == np.repeat(np.arange(7), [3, 4, 5, 6, 2, 7, 1]).tolist()
    assert (merged.repeated, merged.notices) == (0, [])
    assert [data.texts(row) for row in (0, 11, 12, 27)] == ["a 0", "a 11", "b 0", "b 15"]
    with gzip.open(data.path / "texts.jsonl.gz") as file:
        numbers = [json.loads(line)["doc"] for line in file]
    assert numbers == data.documents.tolist()
    assert np.load(data.path / "lanes.npy").tolist() == [*(np.arange(12) % 3), *(np.arange(16) % 3)]
    assert data.meta["titles"] == [f"T{length}" for length in (3, 4, 5, 6, 2, 7, 1)]
    assert (data.meta["lanes"], data.meta["encoder"]) == (["a", "b", "c"], {"name": "x"})
    recorded = data.meta["merged"]
    assert isinstance(recorded, list)
    assert [entry["fingerprint"] for entry in recorded] == [part.fingerprint for part in parts]
    assert [entry["first_document"] for entry in recorded] == [0, 3]
    assert not list(tmp_path.glob(".out*"))


def test_the_same_sets_give_the_same_fingerprint_and_files(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    first, second = (merge_sets(pair, tmp_path / name).data for name in ("one", "two"))
    assert first.fingerprint == second.fingerprint
    for name in ("vectors.npy", "documents.npy", "texts.jsonl.gz", "lanes.npy", "meta.json"):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()


def test_what_not_all_sets_have_is_left_out_and_said(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    for name in ("texts.jsonl.gz", "lanes.npy", "meta.json"):
        (pair[1] / name).unlink()
    merged = merge_sets(pair, tmp_path / "out")
    assert {path.name for path in merged.data.path.iterdir()} <= {
        "vectors.npy",
        "documents.npy",
        "meta.json",
        ".lvmtui-check.json",
    }
    said = "\n".join(merged.notices)
    assert f"texts.jsonl.gz is left out: {pair[1]} has none" in said
    assert f"lanes.npy is left out: {pair[1]} has none" in said
    assert f"not recorded which encoder made {pair[1]}" in said
    assert "encoder" not in merged.data.meta
    assert "titles" not in merged.data.meta


def test_mixed_precision_becomes_float32_without_loss(tmp_path: Path) -> None:
    sets = [write(tmp_path / "a", [3, 4, 5]), write(tmp_path / "b", [6, 2, 7], seed=1, dtype="float32")]
    merged = merge_sets(sets, tmp_path / "out")
    assert merged.data.vectors.dtype == np.float32
    assert (merged.data.vectors[12:] == open_vectors(sets[1]).vectors).all()
    assert "float32 holds both without loss" in merged.notices[0]


def test_documents_that_repeat_are_reported(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    vectors = np.load(pair[1] / "vectors.npy")
    vectors[6:8] = vectors[0:2]  # within one set: no matter of merging
    vectors[8:15] = np.concatenate([np.load(pair[0] / "vectors.npy")[7:12], vectors[13:15]])
    np.save(pair[1] / "vectors.npy", vectors)
    np.save(pair[1] / "documents.npy", np.repeat([0, 1, 2, 3, 4], [6, 2, 5, 2, 1]))
    merged = merge_sets(pair, tmp_path / "out")
    assert merged.repeated == 1
    assert (
        "1 document repeats one of another set exactly: b's document 2 (now 5) as a's document 2 (now 2)"
        in (merged.notices[0])
    )


def damage(pair: tuple[Path, Path], what: str) -> None:
    second = pair[1]
    if what == "dim":
        np.save(second / "vectors.npy", np.ones((16, 9), np.float16))
    elif what == "encoder":
        (second / "meta.json").write_text('{"encoder": {"name": "y"}}')
    elif what == "tfidf":
        for folder in pair:
            (folder / "meta.json").write_text('{"encoder": {"name": "tfidf-svd"}}')
    elif what == "documents":
        (second / "documents.npy").unlink()
        (second / "meta.json").unlink()
    elif what == "nan":
        np.save(second / "vectors.npy", np.full((16, 8), np.nan, np.float16))
    elif what == "texts":
        with gzip.open(second / "texts.jsonl.gz", "at") as file:
            file.write('{"text": "one too many"}\n')
    elif what == "no JSON":
        with gzip.open(second / "texts.jsonl.gz", "wt") as file:
            file.write("{}\n[1]\n")
    elif what == "lanes":
        np.save(second / "lanes.npy", np.zeros(3))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("dim", "have 9 numbers, those of .* 8"),
        ("encoder", "was encoded with .*x.*, .* with .*y"),
        ("tfidf", "learns its axes from the text of each set"),
        ("documents", "does not say where documents begin"),
        ("nan", "vectors are NaN"),
        ("texts", "has not one line for each of the 16 vectors"),
        ("no JSON", "line 2 of .* is no JSON object"),
        ("lanes", "lanes.npy holds float64 of the shape"),
    ],
)
def test_what_does_not_go_together_is_refused_and_leaves_nothing(
    tmp_path: Path, pair: tuple[Path, Path], what: str, message: str
) -> None:
    damage(pair, what)
    with pytest.raises(DataError, match=message) as raised:
        merge_sets(pair, tmp_path / "out")
    assert raised.value.hint
    assert {path.name for path in tmp_path.iterdir()} <= {"a", "b", "cache"}


def test_the_same_set_twice_and_a_single_one_are_refused(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match="hold the same vectors"):
        merge_sets([pair[0], pair[1], pair[0]], tmp_path / "out")
    with pytest.raises(DataError, match="one vector set alone"):
        merge_sets(pair[:1], tmp_path / "out")


def test_a_folder_in_use_is_left_alone_and_an_empty_one_taken(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    merge_sets(pair, out)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    with pytest.raises(DataError, match="holds"):
        merge_sets(pair, out)
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match="No space left"):
        merge_sets(pair, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} <= {"a", "b", "cache"}


def test_the_command_says_what_came_of_it(
    tmp_path: Path, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["merge", *map(str, pair), "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["vectors"], result["documents"], result["repeated_documents"]) == (28, 7, 0)
    assert main(words) == 1
    assert "error: " in capsys.readouterr().err
    assert main([*words[:-1], str(tmp_path / "more")]) == 0
    assert "28 vectors of 8 numbers, 7 documents" in capsys.readouterr().out
