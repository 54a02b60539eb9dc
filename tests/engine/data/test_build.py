"""Text files to vector sets, through the command line of the engine."""

import gzip
import json
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.data.build import build_set, chunk_documents
from engine.data.command import main
from engine.data.encode import BLOCK, TfidfSvd, encode_blocks, make_encoder
from engine.data.progress import silent, terminal_progress
from engine.data.sources import Document
from engine.data.vectors import open_vectors
from lvmtui.errors import DataError

ENGINE = [sys.executable, "-P", "-m", "engine", "data"]


def leftovers(folder: Path) -> list[str]:
    """Hidden files and folders: what an unfinished build would leave."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def build(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Run `data build` in this process: exit code, output, errors."""
    code = main(["build", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_builds_a_set(texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "set"
    code, output, errors = build(capsys, texts, "--out", out, "--json")
    assert code == 0, errors
    result = json.loads(output)
    data = open_vectors(out)
    assert result["fingerprint"] == data.fingerprint
    assert result["documents"] == 5
    assert result["vectors"] == len(data)
    assert result["dim"] == data.dim < 768
    assert "dimensions, not 768" in result["notices"][0]
    assert data.vectors.dtype == np.float16
    assert np.allclose(np.linalg.norm(data.vectors.astype(np.float32), axis=1), 1, atol=2e-3)
    assert leftovers(out.parent) == []
    with gzip.open(out / "texts.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert [line["doc"] for line in lines] == data.documents.tolist()
    assert {line["title"] for line in lines} == {f"chapter{number}.txt" for number in range(5)}
    original = " ".join((texts / "chapter0.txt").read_text().split())
    assert " ".join(line["text"] for line in lines if line["doc"] == 0) == original
    assert data.texts(3) == lines[3]["text"]
    assert data.meta["encoder"]["name"] == "tfidf-svd"  # type: ignore[index]
    assert data.meta["source"] == [str(texts)]


def test_same_text_gives_the_same_files(texts: Path, tmp_path: Path) -> None:
    environments = ({"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "7"})
    for name, extra in zip(("first", "second"), environments, strict=True):
        subprocess.run(
            [*ENGINE, "build", texts, "--out", tmp_path / name],
            env=os.environ | extra,
            check=True,
            capture_output=True,
        )
    names = {path.name for path in (tmp_path / "first").iterdir()} - {".lvmtui-check.json"}
    assert names == {"vectors.npy", "documents.npy", "texts.jsonl.gz", "meta.json"}
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_float32(texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(capsys, texts, "--out", tmp_path / "set", "--dtype", "float32")[0] == 0
    assert open_vectors(tmp_path / "set").vectors.dtype == np.float32


def test_neighbours_are_nearer_than_strangers(tmp_path: Path) -> None:
    """Each document speaks of its own things, so the encoder must tell documents apart."""
    documents = [
        Document(
            str(number),
            " ".join(f"Word{number}x{i % 9} and word{number}x{i % 7} meet again here." for i in range(60)),
        )
        for number in range(8)
    ]
    data = build_set(chunk_documents(documents), tmp_path / "set", encoder=TfidfSvd(), progress=silent).data
    vectors = data.vectors.astype(np.float32)
    same = data.documents[:, None] == data.documents
    cosines = vectors @ vectors.T
    assert cosines[same].mean() > cosines[~same].mean() + 0.2


def test_refuses_to_write_over_anything(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    out.mkdir()
    assert build(capsys, texts, "--out", out)[0] == 0
    before = open_vectors(out)
    code, output, errors = build(capsys, texts / "chapter0.txt", "--out", out)
    assert (code, output) == (1, "")
    assert errors.startswith("error: ")
    assert "--force" in errors
    (texts / "chapter0.txt").write_text("Something quite different stands in this chapter. " * 5)
    assert build(capsys, texts, "--out", out, "--force")[0] == 0
    assert open_vectors(out).fingerprint != before.fingerprint
    assert len(before.vectors[:]) == len(before), "a process that has the old set open keeps it"
    (out / "notes.txt").write_text("mine")
    code, _, errors = build(capsys, texts, "--out", out, "--force")
    assert code == 1
    assert "other files (notes.txt)" in errors
    assert (out / "notes.txt").exists()
    assert build(capsys, texts, "--out", texts / "chapter1.txt")[0] == 1
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n\t ", "is empty"),
        (b"\x7fELF\x02\x00\x00", "is binary"),
        ("Größe".encode("latin1") * 9, "is not UTF-8"),
        (None, "does not exist"),
    ],
)
def test_a_named_file_must_be_text(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    wrong = tmp_path / "wrong"
    if content is not None:
        wrong.write_bytes(content)
    code, output, errors = build(capsys, texts, wrong, "--out", tmp_path / "set")
    assert (code, output) == (1, "")
    assert f"error: {wrong} {message}" in errors
    assert not (tmp_path / "set").exists()


def test_files_in_folders_are_skipped_with_a_count(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (texts / "picture.png").write_bytes(b"\x89PNG\0\0")
    (texts / "empty.txt").write_text("")
    (texts / ".hidden").write_text("This must not be read at all by anybody.")
    os.mkfifo(texts / "pipe")
    code, output, _ = build(capsys, texts, texts / "chapter1.txt", "--out", tmp_path / "set", "--json")
    assert code == 0
    result = json.loads(output)
    assert result["documents"] == 5
    assert result["skipped"] == {"binary": 1, "empty": 1, "no file": 1}


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (["One text with enough words to be a chunk."] * 2, "2 documents"),
        (
            ["One text with enough words.", "too short", "also short"],
            "left out: 2 too short, 2 documents too short",
        ),
        (["1 2 3 4 5 6 7 8"] * 4, "no words"),
        (["same words again here"] * 4, "too little to encode"),
    ],
)
def test_too_little_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], contents: Sequence[str], message: str
) -> None:
    folder = tmp_path / "little"
    folder.mkdir()
    for number, content in enumerate(contents):
        (folder / f"{number}.txt").write_text(content)
    code, _, errors = build(capsys, folder, "--out", tmp_path / "set")
    assert code == 1
    assert message in errors
    assert not (tmp_path / "set").exists()
    assert leftovers(tmp_path) == []


class OneZero:
    """An encoder that knows nothing of texts with `zero` in them, and cannot encode `nan`."""

    def fit(self, texts: Sequence[str], progress: object) -> list[str]:
        return []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array(
            [[0, 0] if "zero" in t else [np.nan, 1] if "nan" in t else [3, 4] for t in texts], "f4"
        )

    def options(self) -> dict[str, object]:
        return {"name": "one-zero"}


def test_zero_and_nan_vectors_are_dropped_with_a_count(tmp_path: Path) -> None:
    words = ["zero" if row % 500 == 7 else "nan" if row % 1000 == 3 else "good" for row in range(BLOCK + 900)]
    text = "\n\n".join(f"{word} words {' '.join(['filler'] * 18)}" for word in words)
    documents = [Document(str(number), text) for number in range(3)]
    built = build_set(chunk_documents(documents), tmp_path / "set", encoder=OneZero(), progress=silent)
    assert built.dropped == {"without a known word": 27}
    assert len(built.data) == 3 * len(words) - 27
    assert np.allclose(built.data.vectors, [0.6, 0.8], atol=1e-3)
    for row in (0, 7, len(built.data) - 1):
        assert (built.data.texts(row) or "").startswith("good")


def test_repeated_chunks_and_short_documents_can_be_dropped() -> None:
    same = (
        "This very long boilerplate sentence stands in each and every one of the documents that we have here."
    )
    own = (
        "While this other sentence number {} says what nobody else says in any of the other documents at all."
    )
    documents = [Document("short", same)] + [
        Document(
            str(number), f"{same}\n\n{own.format(number)}\n\n{same.upper()}\n\n{own.format(number + 50)}"
        )
        for number in range(3)
    ]
    chunked = chunk_documents(documents, min_chunks=2, drop_repeated=True)
    assert chunked.titles == ["0", "1", "2"]
    assert chunked.dropped == {"documents too short": 1, "repeated": 5}
    assert chunked.documents == [0, 0, 0, 1, 1, 2, 2]
    assert chunked.texts[0] == same


def test_large_inputs_are_fitted_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TfidfSvd, "FIT_CHUNKS", 50)
    encoder = TfidfSvd(dimensions=4)
    texts = [f"word{row % 13} word{row % 7} word{row % 5}" for row in range(500)]
    assert "fitted on 50 evenly spaced chunks of 500" in encoder.fit(texts, silent)[-1]
    blocks = list(encode_blocks(encoder, texts, silent))
    assert sum(len(vectors) for vectors, _ in blocks) == 500


def test_encoders_by_name(capsys: pytest.CaptureFixture[str], texts: Path, tmp_path: Path) -> None:
    code, _, errors = build(capsys, texts, "--out", tmp_path / "set", "--encoder", "word2vec")
    assert code == 2
    assert "Known: tfidf-svd, sentence-transformers:NAME" in errors


def test_missing_sentence_transformers(
    capsys: pytest.CaptureFixture[str], texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    code, _, errors = build(
        capsys, texts, "--out", tmp_path / "set", "--encoder", "sentence-transformers:mini"
    )
    assert code == 1
    assert "pip install 'lvmtui[encode]'" in errors


def test_sentence_transformers_are_loaded_without_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library itself is no dependency of the tests: its two calls are stood in for."""

    class Model:
        def __init__(self, name: str, model_kwargs: dict[str, object]) -> None:
            if name == "missing":
                raise OSError("no such model\nlong story")
            assert model_kwargs == {"use_safetensors": True}

        def encode(self, texts: list[str], **options: object) -> NDArray[np.float64]:
            return np.ones((len(texts), 3))

    module = types.ModuleType("sentence_transformers")
    monkeypatch.setattr(module, "SentenceTransformer", Model, raising=False)
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    encoder = make_encoder("sentence-transformers:mini")
    assert encoder.fit(["a"], silent) == []
    assert encoder.encode(["a", "b"]).dtype == np.float32
    assert encoder.options() == {"name": "sentence-transformers:mini"}
    with pytest.raises(DataError, match="'missing': no such model\n"):
        make_encoder("sentence-transformers:missing")


def test_interrupting_leaves_nothing(texts: Path, tmp_path: Path, wait_until: Callable[..., None]) -> None:
    """A real process, interrupted while it encodes into its folder beside the target."""
    for number in range(60):
        (texts / f"more{number}.txt").write_text((texts / "chapter0.txt").read_text() * 40)
    process = subprocess.Popen(
        [*ENGINE, "build", texts, "--out", tmp_path / "set"], stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: leftovers(tmp_path) or process.poll() is not None, "the build to write")
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert errors.endswith("interrupted; nothing was written\n")
    assert not (tmp_path / "set").exists()
    assert leftovers(tmp_path) == []


def test_disk_trouble_is_told(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.data.files.os.fsync", full)
    code, _, errors = build(capsys, texts, "--out", tmp_path / "set")
    assert code == 1
    assert "No space left on device" in errors
    assert not (tmp_path / "set").exists()
    assert leftovers(tmp_path) == []


def test_usage_and_help() -> None:
    for arguments, code in (
        ([], 2),
        (["build"], 2),
        (["build", "x"], 2),
        (["--help"], 0),
        (["build", "-h"], 0),
    ):
        result = subprocess.run([*ENGINE, *arguments], capture_output=True, text=True, check=False)
        assert result.returncode == code
        assert "usage: lvmtui data" in result.stdout + result.stderr


def test_info(make_set: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_set((5, 7, 4, 9), dim=16)
    vectors = np.load(folder / "vectors.npy")
    vectors[1] = vectors[0]
    vectors[20] = vectors[0]
    np.save(folder / "vectors.npy", vectors)
    assert main(["info", str(folder), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["vectors"] == 25
    assert info["document_length"] == {"min": 4, "median": 6.0, "max": 9}
    assert info["duplicate_share"] == pytest.approx(2 / 25)
    assert sum(sizes["vectors"] for sizes in info["splits"].values()) == 25
    assert info["pairs"] == 21
    values = vectors.astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    documents = np.repeat(range(4), (5, 7, 4, 9))
    cosines = (values[1:] * values[:-1]).sum(axis=1)[documents[1:] == documents[:-1]]
    assert info["neighbour_cosine"] == pytest.approx(cosines.mean(), abs=1e-5)
    assert main(["info", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "25 × 16 float16" in text
    assert "8.0% of the vectors repeat" in text
    assert main(["info", str(folder / "nothing")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_what_data_say_cannot_steer_the_terminal(
    make_set: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_set()
    (folder / "meta.json").write_text(
        json.dumps({"encoder": {"name": "x\x1b[2J"}, "dropped": {"\x1b]0;": 1}})
    )
    assert main(["info", str(folder)]) == 0
    assert "\x1b" not in capsys.readouterr().out
    (folder / "meta.json").write_text("[")
    assert main(["info", str(folder)]) == 0


def test_progress_without_a_terminal_is_a_few_lines() -> None:
    stream = StringIO()
    with terminal_progress(stream) as progress:
        for step in range(1, 1001):
            progress("reading", step, 1000)
        progress("factorising", 0, 0)
    assert stream.getvalue() == "reading 1/1000\nfactorising\n"


def test_progress_on_a_terminal_is_a_bar() -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with terminal_progress(stream) as progress:
        progress("reading [bold]", 1, 2)
        progress("factorising", 0, 0)
    assert "reading [bold]" in stream.getvalue()
    assert "factorising" in stream.getvalue()
