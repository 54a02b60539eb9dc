"""Opening vector sets: what is refused and how, what is remembered, what the files may not do."""

import gzip
import json
import os
import pickle
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from engine.data.check import CHECK
from engine.data.info import describe
from engine.data.npy import ArrayFile
from engine.data.progress import silent
from engine.data.vectors import open_vectors
from lvmtui.errors import DataError
from lvmtui.splits import SPLITS

MakeSet = Callable[..., Path]


def save(folder: Path, vectors: ArrayLike | None = None, documents: ArrayLike | None = None) -> None:
    """Replace arrays of a set."""
    for name, array in (("vectors.npy", vectors), ("documents.npy", documents)):
        if array is not None:
            np.save(folder / name, array, allow_pickle=True)


def test_opens_a_set(make_set: MakeSet) -> None:
    folder = make_set((5, 7, 4), dim=8)
    data = open_vectors(folder)
    assert data.vectors.shape == (16, 8)
    assert data.vectors.dtype == np.float16
    assert isinstance(data.vectors, np.memmap)
    assert not data.vectors.flags.writeable
    assert data.documents.dtype == np.int64
    assert len(data.fingerprint) == 16
    assert data.norms is not None
    lengths = np.linalg.norm(data.vectors.astype(np.float32), axis=1)
    assert np.allclose(data.norms, (lengths.min(), lengths.mean(), lengths.max()), rtol=1e-5)
    assert data.texts(0) is None


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.array([[{}] * 3] * 12, dtype=object), "Python objects"),
        (np.ones((12, 3), np.float64), "float64 where float16 or float32"),
        (np.ones((12, 3), ">f4"), ">f4 where"),
        (np.ones((12, 3), np.int32), "int32 where"),
        (np.ones(12, np.float32), r"shape \(12,\)"),
        (np.ones((12, 3, 2), np.float32), r"shape \(12, 3, 2\)"),
        (np.ones((12, 1), np.float32), r"shape \(12, 1\)"),
        (np.ones((0, 3), np.float32), "no vectors"),
        (np.asfortranarray(np.ones((12, 3), np.float32)), "column by column"),
        (np.ones((11, 3), np.float32), r"shape \(12,\) for 11 vectors"),
        (np.array([[1, 1]] * 7 + [[np.nan, 1]] * 2 + [[1, 1]] * 3, "f4"), "2 of 12 .* the first in row 7"),
        (np.array([[1, 1]] * 11 + [[np.inf, 1]], "f2"), "1 of 12 .* the first in row 11"),
        (np.array([[1, 1]] * 11 + [[3e38, 3e38]], "f4"), "far too large"),
        (np.array([[0, 0]] * 3 + [[1, 1]] * 9, "f4"), "3 of 12 vectors are zero, the first in row 0"),
    ],
)
def test_refuses_vectors(make_set: MakeSet, vectors: ArrayLike, message: str) -> None:
    folder = make_set((3, 4, 5), dim=3)
    save(folder, vectors=vectors)
    with pytest.raises(DataError, match=message) as caught:
        open_vectors(folder)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        (np.zeros(12, int), "one document;"),
        (np.repeat([0, 1], 6), "2 documents;"),
        (np.array([0, 0, 1, 1, 0, 0, 2, 2, 2, 2, 2, 2]), "document 0 is in several pieces"),
        (np.repeat([0.0, 1.0, 2.0], 4), "integers are needed"),
        (np.array([None] * 12), "integers are needed|Python objects"),
        (np.repeat(np.array([2**63, 1, 2], np.uint64), 4), "above"),
        (np.arange(11), r"shape \(11,\) for 12 vectors"),
        (np.zeros((12, 1), int), r"shape \(12, 1\)"),
    ],
)
def test_refuses_documents(make_set: MakeSet, documents: ArrayLike, message: str) -> None:
    folder = make_set((3, 4, 5))
    save(folder, documents=documents)
    with pytest.raises(DataError, match=message):
        open_vectors(folder)


def test_refuses_what_is_no_set(tmp_path: Path, make_set: MakeSet) -> None:
    with pytest.raises(DataError, match="does not exist") as caught:
        open_vectors(tmp_path / "nothing")
    assert "data build" in caught.value.hint
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is a file"):
        open_vectors(tmp_path / "file")
    folder = make_set()
    (folder / "vectors.npy").rename(folder / "moved.npy")
    with pytest.raises(DataError, match=r"vectors\.npy is missing"):
        open_vectors(folder)
    (folder / "moved.npy").rename(folder / "vectors.npy")
    (folder / "documents.npy").unlink()
    os.mkfifo(folder / "documents.npy")
    with pytest.raises(DataError, match="is no file"):
        open_vectors(folder)


def test_opens_a_stream_without_documents(make_set: MakeSet) -> None:
    folder = make_set((5, 7, 4), dim=8)
    before = open_vectors(folder)
    assert before.has_documents
    (folder / "documents.npy").unlink()
    data = open_vectors(folder)
    assert not data.has_documents
    assert data.documents.tolist() == [0] * 16
    assert data.fingerprint != before.fingerprint
    assert open_vectors(folder).fingerprint == data.fingerprint


def test_lost_documents_are_not_taken_for_none(make_set: MakeSet) -> None:
    folder = make_set()
    (folder / "documents.npy").unlink()
    (folder / "meta.json").write_text('{"titles": ["a", "b", "c", "d"]}')
    with pytest.raises(DataError, match=r"documents\.npy is missing, though meta\.json tells of documents"):
        open_vectors(folder)
    (folder / "meta.json").unlink()
    (folder / "documents.npy").symlink_to(folder / "nowhere.npy")
    with pytest.raises(DataError, match=r"documents\.npy is missing"):
        open_vectors(folder)


@pytest.mark.parametrize("bytes_left", [0, 5, 60, 200])
def test_refuses_truncated_files(make_set: MakeSet, bytes_left: int) -> None:
    folder = make_set()
    with (folder / "vectors.npy").open("r+b") as file:
        file.truncate(bytes_left)
    with pytest.raises(DataError, match=r"truncated|is no \.npy file"):
        open_vectors(folder)


def test_refuses_trailing_bytes_and_lying_headers(make_set: MakeSet) -> None:
    folder = make_set((5, 7, 4), dim=8)
    content = (folder / "vectors.npy").read_bytes()
    (folder / "vectors.npy").write_bytes(content + b"\0")
    with pytest.raises(DataError, match="damaged"):
        open_vectors(folder)
    for shape in (b"(16, 9)", b"(2**60, 8)", b"(-1, 8) ", b"(16.0,8)", b"(99999999999999, 99999999999)"):
        lie = content.replace(b"(16, 8)", shape)
        (folder / "vectors.npy").write_bytes(lie)
        with pytest.raises(DataError, match=r"truncated|damaged|is no \.npy file"):
            open_vectors(folder)


def test_never_unpickles(make_set: MakeSet, tmp_path: Path) -> None:
    mark = tmp_path / "was run"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.mkdir, (str(mark),))

    folder = make_set()
    (folder / "vectors.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match=r"no \.npy file"):
        open_vectors(folder)
    save(folder, vectors=np.array([Trap()] * 25, dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        open_vectors(folder)
    assert not mark.exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(
    header=st.binary(max_size=200),
    version=st.sampled_from([b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x07\x00"]),
)
def test_any_header_is_an_array_or_an_error(tmp_path: Path, header: bytes, version: bytes) -> None:
    path = tmp_path / "any.npy"
    length = len(header).to_bytes(2 if version[0] == 1 else 4, "little")
    path.write_bytes(b"\x93NUMPY" + version + length + header)
    with suppress(DataError):
        ArrayFile.open(path).map()


@pytest.mark.parametrize(
    "header",
    [
        "{" * 4000,
        "(" * 4000,
        "-" * 4000 + "1",
        "{'descr': '<f4', 'fortran_order': False, 'shape': ()}",
        "1L",
        "'''",
    ],
)
def test_hostile_headers(tmp_path: Path, header: str) -> None:
    path = tmp_path / "any.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(DataError):
        ArrayFile.open(path)


def test_fingerprint_is_of_content(make_set: MakeSet) -> None:
    first = make_set(name="first")
    second = make_set(name="second")
    assert open_vectors(first).fingerprint == open_vectors(second).fingerprint
    documents = np.load(second / "documents.npy")
    save(second, documents=documents.astype(np.int32))
    assert open_vectors(second).fingerprint == open_vectors(first).fingerprint
    save(second, documents=documents + 1)
    assert open_vectors(second).fingerprint != open_vectors(first).fingerprint
    save(second, documents=documents)
    vectors = np.load(second / "vectors.npy")
    vectors[3, 2] += 1
    save(second, vectors=vectors)
    assert open_vectors(second).fingerprint != open_vectors(first).fingerprint


def reads(folder: Path) -> int:
    """How often an opening reports that it reads vectors."""
    calls: list[str] = []
    open_vectors(folder, lambda stage, done, total: calls.append(stage))
    return len(calls)


def test_reads_once_and_again_after_a_change(make_set: MakeSet) -> None:
    folder = make_set()
    assert reads(folder) == 1
    assert (folder / CHECK).exists()
    assert reads(folder) == 0
    vectors = np.load(folder / "vectors.npy")
    stamp = (folder / "vectors.npy").stat()
    vectors[0] = 0
    save(folder, vectors=vectors)
    os.utime(folder / "vectors.npy", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(DataError, match="zero"):
        open_vectors(folder)


def test_check_that_came_with_a_copy_is_not_believed(make_set: MakeSet, tmp_path: Path) -> None:
    folder = make_set()
    open_vectors(folder)
    folder.rename(tmp_path / "moved")
    assert reads(tmp_path / "moved") == 1
    for content in ("", "[]", "{", json.dumps({"key": None, "fingerprint": "x"})):
        (tmp_path / "moved" / CHECK).write_text(content)
        assert reads(tmp_path / "moved") == 1


def test_check_of_read_only_data_is_kept_in_the_cache(make_set: MakeSet, cache: Path) -> None:
    folder = make_set()
    folder.chmod(0o555)
    try:
        assert reads(folder) == 1
        assert reads(folder) == 0
        assert not (folder / CHECK).exists()
        assert len(list((cache / "checks").iterdir())) == 1
    finally:
        folder.chmod(0o755)


def test_first_reading_has_constant_memory(make_set: MakeSet) -> None:
    folder = make_set((100_000, 100_000, 50_000), dim=64, dtype="float32")
    tracemalloc.start()
    try:
        open_vectors(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (folder / "vectors.npy").stat().st_size / 2


def test_texts(make_set: MakeSet) -> None:
    folder = make_set((2, 2, 2))
    lines = [{"doc": 0, "title": "t", "text": f"row {row} \x1b[31mred\u202e"} for row in range(6)]
    write_texts(folder, lines)
    data = open_vectors(folder)
    assert [data.texts(row) for row in (5, 0, 3)] == ["row 5 [31mred", "row 0 [31mred", "row 3 [31mred"]
    for row in (-1, 6):
        with pytest.raises(IndexError):
            data.texts(row)


@pytest.mark.parametrize("lines", [5, 7])
def test_refuses_texts_of_another_set(make_set: MakeSet, lines: int) -> None:
    folder = make_set((2, 2, 2))
    write_texts(folder, [{"text": "x"}] * lines)
    with pytest.raises(DataError, match=f"{lines} lines for 6 vectors"):
        open_vectors(folder).texts(0)


def test_refuses_damaged_texts(make_set: MakeSet) -> None:
    folder = make_set((2, 2, 2))
    (folder / "texts.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="cannot read"):
        open_vectors(folder).texts(0)
    write_texts(folder, [["text"]] * 6)
    with pytest.raises(DataError, match="line 1 of"):
        open_vectors(folder).texts(0)
    packed = gzip.compress(b'{"text": "x"}\n' * 6)
    (folder / "texts.jsonl.gz").write_bytes(packed[:-6])
    with pytest.raises(DataError, match="cannot read"):
        open_vectors(folder).texts(0)


def write_texts(folder: Path, lines: Sequence[object]) -> None:
    with gzip.open(folder / "texts.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_real_vectors(real_data: Path) -> None:
    data = open_vectors(real_data / "wikitext2")
    assert data.vectors.shape == (16934, 768)
    assert not (real_data / "wikitext2" / CHECK).exists()
    text = data.texts(0)
    assert text is not None
    assert text.startswith("Homarus gammarus")


def test_info_tells_of_a_stream_without_inventing_documents(make_set: MakeSet) -> None:
    folder = make_set((300, 200, 100), dim=8)
    (folder / "documents.npy").unlink()
    info = describe(open_vectors(folder), 0, silent)
    assert info.documents == 0
    assert {name: sizes["documents"] for name, sizes in info.splits.items()} == dict.fromkeys(SPLITS, 0)
    assert info.longest_context == 30
    assert info.random_cosine != 0.0
