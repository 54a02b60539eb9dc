"""Demo data out of what every Python brings along: its language reference and docstrings, as vectors.

Sources are parsed, never imported or run. Nothing is downloaded.
"""

import ast
import hashlib
import json
import platform
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from engine.data.build import build_set, chunk_documents
from engine.data.encode import TfidfSvd
from engine.data.files import remove_leftovers
from engine.data.progress import Progress, silent
from engine.data.sources import Document
from engine.data.vectors import VectorSet, open_vectors
from lvmtui.errors import DataError

BUILDER_VERSION = 2
"""Raise it when other vectors would come out: old caches are then left aside."""
MIN_CHUNKS = 5
"""Documents with fewer chunks are left out."""
_LEAST_DOCUMENTS = 20
"""With fewer, curves would show noise only."""
_NO_PROSE = {"test", "tests", "idle_test", "lib2to3", "site-packages", "dist-packages", "__pycache__"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def demo_path() -> Path:
    """The folder that the demo data of this Python are cached in."""
    facts = json.dumps([BUILDER_VERSION, MIN_CHUNKS, TfidfSvd.MAX_TERMS, TfidfSvd.ITERATIONS])
    digest = hashlib.blake2b(facts.encode(), digest_size=4).hexdigest()
    return Path(platformdirs.user_cache_dir("lvmtui")) / f"demo-{platform.python_version()}-{digest}"


def ensure_demo(progress: Progress = silent) -> VectorSet:
    """The demo data, built on first use.

    Two processes may do this at once: the first to finish provides the set for both.

    Raises:
        DataError: this Python has too little text, or the cache cannot be written.
        MissingDependency: scikit-learn is not installed.
    """
    path = demo_path()
    damaged = False
    if path.exists():
        try:
            return open_vectors(path, progress)
        except DataError:
            damaged = True
    encoder = TfidfSvd()
    remove_leftovers(path)
    chunked = chunk_documents(
        python_documents(Path(sysconfig.get_path("stdlib")), progress),
        min_chunks=MIN_CHUNKS,
        drop_repeated=True,
    )
    if len(chunked.titles) < _LEAST_DOCUMENTS:
        raise DataError(
            f"this Python ({platform.python_version()}) brings only {len(chunked.titles)} documents along",
            "Its sources or pydoc topics are not installed. Use your own text: "
            "lvmtui data build TEXTFILES --out DIR, then -o data=DIR",
        )
    try:
        built = build_set(
            chunked,
            path,
            encoder=encoder,
            force=damaged,
            sources={"source": f"Python {platform.python_version()} standard library"},
            progress=progress,
        )
    except DataError:
        if damaged or not path.exists():
            raise
        return open_vectors(path, progress)
    return built.data


def python_documents(library: Path, progress: Progress) -> Iterator[Document]:
    """Topics of the language reference by name, then the docstrings of each module in module order.

    Args:
        library: folder of the standard library.
    """
    yield from _topics(library / "pydoc_data" / "topics.py")
    files = sorted(
        path
        for path in library.rglob("*.py")
        if _NO_PROSE.isdisjoint(path.relative_to(library).parts) and path.parent.name != "pydoc_data"
    )
    for number, path in enumerate(files, 1):
        tree = _parse(path)
        if tree is not None:
            title = path.relative_to(library).with_suffix("").as_posix().replace("/", ".")
            yield Document(title.removesuffix(".__init__"), "\n\n".join(_docstrings(tree)))
        progress("reading the standard library", number, len(files))


def _topics(path: Path) -> Iterator[Document]:
    """The topics, from the one dictionary literal of the file."""
    tree = _parse(path)
    for statement in tree.body if tree else ():
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Dict):
            continue
        for name, text in sorted(ast.literal_eval(statement.value).items()):
            yield Document(f"topic {name}", _without_rules(text))


def _without_rules(text: str) -> str:
    """Text without the lines that only underline headings or frame tables."""
    return "\n".join("" if line.strip(" *=-~^+|") == "" else line for line in text.splitlines())


def _parse(path: Path) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            # Old escapes in somebody else's sources are not our user's business.
            warnings.simplefilter("ignore")
            return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _docstrings(node: ast.AST) -> Iterator[str]:
    """The docstrings of a module, its classes and functions, in the order of the source."""
    if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
        yield _without_examples(text)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _docstrings(child)


def _without_examples(text: str) -> str:
    """A docstring without interactive examples and rules: its prose."""
    lines = []
    in_example = False
    for line in _without_rules(text).splitlines():
        # What an example prints ends with an empty line, as doctest has it.
        in_example = bool(line.strip()) and (in_example or line.lstrip().startswith(">>>"))
        lines.append("" if in_example else line)
    return "\n".join(lines)
