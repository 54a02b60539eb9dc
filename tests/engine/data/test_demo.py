"""The demo data: out of a small library that is written here, and out of this Python's own."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.data import demo
from engine.data.locate import resolve_data
from engine.data.progress import silent
from engine.data.split import split_documents
from lvmtui.errors import DataError

SENTENCE = "{} number {} of module {} returns the {} of its argument and never raises an error for part {}."


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A standard library of 30 modules with eight docstrings each, and two topics."""
    folder = tmp_path / "lib"
    (folder / "pydoc_data").mkdir(parents=True)
    text = "\n\n".join(SENTENCE.format("Topic", i, "one", "meaning", i * 7) for i in range(9))
    (folder / "pydoc_data" / "topics.py").write_text(
        f"topics = {{'b': {text!r}, 'a': {text.replace('Topic', 'Subject')!r}}}"
    )
    for module in range(30):
        lines = [
            f'"""{SENTENCE.format("Module", module, module, "sum", module)}"""',
            "raise SystemExit('run!')",
        ]
        for function in range(7):
            words = SENTENCE.format("Function", function, module, f"value{function}", function * module)
            lines += [f"def f{function}():", f'    r"""{words}', "", "    >>> f0()", "    0", '    """']
        (folder / f"module{module:02}.py").write_text("\n".join(lines))
    (folder / "broken.py").write_text("def (")
    (folder / "binary.py").write_bytes(b"\0\xff")
    for name in ("test", "site-packages", "lib2to3"):
        (folder / name).mkdir()
        (folder / name / "skipped.py").write_text(
            (folder / "module00.py").read_text().replace("module", "skipped")
        )
    monkeypatch.setattr("engine.data.demo.sysconfig.get_path", lambda name: str(folder))
    return folder


def test_documents_in_order_without_running_anything(library: Path) -> None:
    documents = list(demo.python_documents(library, silent))
    titles = [document.title for document in documents]
    assert titles == ["topic a", "topic b", *(f"module{number:02}" for number in range(30))]
    text = documents[2].text
    assert text.index("Module number 0") < text.index("Function number 0") < text.index("Function number 6")
    assert ">>>" not in text


def test_builds_once(library: Path, cache: Path) -> None:
    stages: list[str] = []
    data = resolve_data("demo", lambda stage, done, total: stages.append(stage))
    assert "encoding" in stages
    assert data.path == demo.demo_path()
    assert data.path.parent == cache
    assert {line[:5] for line in (data.texts(row) or "" for row in range(len(data)))} <= {
        "Topic",
        "Subje",
        "Modul",
        "Funct",
    }
    stages.clear()
    assert (
        resolve_data("demo", lambda stage, done, total: stages.append(stage)).fingerprint == data.fingerprint
    )
    assert stages == []
    assert [path.name for path in cache.iterdir()] == [data.path.name]


def test_builds_again_when_damaged(library: Path) -> None:
    data = demo.ensure_demo()
    (data.path / "vectors.npy").write_bytes(b"")
    assert demo.ensure_demo().fingerprint == data.fingerprint


def test_two_processes_at_once(library: Path, cache: Path) -> None:
    code = (
        "import sys; from engine.data import demo; demo.sysconfig.get_path = lambda name: sys.argv[1];"
        "print(demo.ensure_demo().fingerprint)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, library], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs == [demo.ensure_demo().fingerprint + "\n"] * 2
    assert [path.name for path in cache.iterdir()] == [demo.demo_path().name]


def test_removes_what_a_killed_build_left(library: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    old, new = (cache / f".{demo.demo_path().name}.new-{name}" for name in ("old", "young"))
    for folder in (old, new):
        folder.mkdir()
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    demo.ensure_demo()
    assert not old.exists()
    assert new.exists()


def test_too_little_is_said(library: Path) -> None:
    for path in library.glob("module[12]*.py"):
        path.unlink()
    with pytest.raises(DataError, match="brings only 12 documents") as caught:
        demo.ensure_demo()
    assert "data build" in caught.value.hint


def test_works_without_topics(library: Path) -> None:
    (library / "pydoc_data" / "topics.py").unlink()
    assert len(demo.ensure_demo()) == 30 * 8


@pytest.mark.slow
def test_this_python_gives_data_worth_learning() -> None:
    """Order carries signal, copying the last vector is far above chance and far from everything."""
    data = demo.ensure_demo()
    assert data.vectors.shape[1] == 768
    assert 10_000 < len(data) < 60_000
    view = split_documents(data, 0)["validation"]
    vectors = view.take(0, len(view))
    cosines = vectors @ vectors.T
    neighbours = np.flatnonzero(view.document[1:] == view.document[:-1])
    assert cosines[neighbours, neighbours + 1].mean() > cosines.mean() + 0.1
    hits = 0
    for last in neighbours:
        better = cosines[last] >= cosines[last, last + 1]
        better[view.document_start[last] : last + 1] = False
        hits += int(better.sum() <= 5)
    assert 0.1 < hits / len(neighbours) < 0.6
