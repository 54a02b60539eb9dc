"""Documents -> chunks -> vectors -> a vector set on disk that is whole or not there."""

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.data.check import CHECK
from engine.data.chunking import MIN_TOKENS, TARGET_TOKENS, chunk, clean
from engine.data.encode import Encoder, encode_blocks
from engine.data.files import folder_beside, move_into_place, replace_folder
from engine.data.npy import header
from engine.data.progress import Progress
from engine.data.sources import Document
from engine.data.vectors import DOCUMENTS, META, TEXTS, VECTORS, VectorSet, open_vectors
from lvmtui import __version__
from lvmtui.errors import DataError
from lvmtui.splits import MIN_DOCUMENTS

Dtype = Literal["float16", "float32"]
_OWN_FILES = {VECTORS, DOCUMENTS, TEXTS, META, CHECK}


@dataclass
class Chunked:
    """All chunks of a set to be, in order."""

    titles: list[str] = field(default_factory=list)
    """One a document."""
    texts: list[str] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    """Number of the document of each text."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Why -> how many chunks (or documents) were left out."""

    def drop(self, why: str, count: int) -> None:
        """Count what is left out."""
        if count:
            self.dropped[why] = self.dropped.get(why, 0) + count


@dataclass(frozen=True)
class Built:
    """A set that is in place."""

    data: VectorSet
    dropped: dict[str, int]
    notices: list[str]


def chunk_documents(
    documents: Iterable[Document], *, min_chunks: int = 1, drop_repeated: bool = False
) -> Chunked:
    """Cut documents into chunks.

    Args:
        documents: in order; those that give nothing are left out with a count.
        min_chunks: shorter documents are left out.
        drop_repeated: keep only the first of chunks with the same words, over all documents: repeated
            boilerplate would otherwise be the easiest thing to predict.
    """
    result = Chunked()
    seen: set[str] = set()
    for document in documents:
        chunks = chunk(document.text)
        result.drop("too short", chunks.too_short)
        texts = chunks.texts
        if drop_repeated:
            fresh: dict[str, str] = {}
            for text in texts:
                if (words := _words(text)) not in seen:
                    fresh.setdefault(words, text)
            result.drop("repeated", len(texts) - len(fresh))
            texts = list(fresh.values())
        if len(texts) < min_chunks:
            result.drop("documents too short", 1)
            continue
        if drop_repeated:
            seen |= fresh.keys()
        result.documents += [len(result.titles)] * len(texts)
        result.titles.append(clean(document.title))
        result.texts += texts
    return result


def _words(text: str) -> str:
    """What must be equal for two chunks to be the same: letters and digits, in any case."""
    return "".join(filter(str.isalnum, text.lower()))


def build_set(
    chunked: Chunked,
    out: Path,
    *,
    encoder: Encoder,
    dtype: Dtype = "float16",
    force: bool = False,
    sources: dict[str, Any] | None = None,
    progress: Progress,
) -> Built:
    """Encode chunks and write them as a vector set; interrupted at any point, `out` is as it was.

    Args:
        chunked: what to encode.
        out: folder to make; its parents are made too.
        dtype: of the vectors on disk.
        force: replace the vector set that is at `out`.
        sources: what to note down in `meta.json` about where the text comes from.

    Raises:
        DataError: too little text, `out` is in use, or it cannot be written.
    """
    out = out.expanduser().absolute()
    check_target(out, force)
    _check_documents(len(chunked.titles), chunked)
    notices = encoder.fit(chunked.texts, progress)
    try:
        with folder_beside(out.resolve()) as folder:
            kept = _write_set(folder, chunked, encoder, dtype, progress)
            _check_documents(kept, chunked)
            _write_meta(folder, chunked, encoder, sources or {})
            if out.exists() and any(out.iterdir()):
                check_target(out, force)
                replace_folder(folder, out.resolve())
            else:
                move_into_place(folder, out.resolve())
    except OSError as error:
        raise DataError(
            f"cannot write {out}: {error.strerror or error}", "Check free disk space and permissions."
        ) from error
    return Built(open_vectors(out, progress), chunked.dropped, notices)


def check_target(out: Path, force: bool | None) -> None:
    """Refuse to write over what is no vector set, or over one without being told to.

    Args:
        force: whether it was told; None where it cannot be.

    Raises:
        DataError: `out` is in use.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"{out} is a file", "Give a folder that does not exist yet.")
    try:
        names = {path.name for path in out.iterdir()}
    except OSError as error:
        raise DataError(f"cannot read {out}: {error.strerror}", "Give another folder.") from error
    if foreign := sorted(names - _OWN_FILES):
        raise DataError(
            f"{out} holds other files ({', '.join(foreign[:3])}{', …' if len(foreign) > 3 else ''})",
            "A vector set is a folder of its own: give one that does not exist yet.",
        )
    if names and not force:
        raise DataError(
            f"{out} holds a vector set already",
            "Give another folder." if force is None else "Replace it with --force, or give another folder.",
        )


def _check_documents(count: int, chunked: Chunked) -> None:
    if count >= MIN_DOCUMENTS:
        return
    dropped = ", ".join(f"{number} {why}" for why, number in chunked.dropped.items())
    raise DataError(
        f"{count} documents with usable text{f' (left out: {dropped})' if dropped else ''}; "
        "train, validation and test need at least one each",
        "Each file is one document: cut the text into several files (chapters, articles).",
    )


def _write_set(folder: Path, chunked: Chunked, encoder: Encoder, dtype: Dtype, progress: Progress) -> int:
    """Write vectors, documents and texts; return how many documents have any."""
    documents = np.array(chunked.documents, np.int32)
    kept = np.zeros(len(documents), bool)
    with ExitStack() as files:
        vectors = files.enter_context((folder / VECTORS).open("wb"))
        # Without a time stamp in it, the same text gives the same file.
        packed = files.enter_context(gzip.GzipFile(folder / TEXTS, "wb", compresslevel=6, mtime=0))
        done = dim = 0
        for block, usable in encode_blocks(encoder, chunked.texts, progress):
            if not done:
                dim = block.shape[1]
                vectors.write(header(len(documents), dim, dtype))
            vectors.write(block.astype(dtype).tobytes())
            kept[done : done + len(usable)] = usable
            packed.writelines(_lines(chunked, done + np.flatnonzero(usable)))
            done += len(usable)
        chunked.drop("without a known word", int(np.count_nonzero(~kept)))
        # numpy pads headers so that the number of rows can be changed in place.
        vectors.seek(0)
        vectors.write(header(int(np.count_nonzero(kept)), dim, dtype))
    np.save(folder / DOCUMENTS, documents[kept], allow_pickle=False)
    return len(np.unique(documents[kept]))


def _lines(chunked: Chunked, rows: Sequence[int] | NDArray[np.intp]) -> Iterator[bytes]:
    for row in rows:
        document = chunked.documents[row]
        line = {"doc": document, "title": chunked.titles[document], "text": chunked.texts[row]}
        yield json.dumps(line, ensure_ascii=False).encode(errors="replace") + b"\n"


def _write_meta(folder: Path, chunked: Chunked, encoder: Encoder, sources: dict[str, Any]) -> None:
    meta = {
        "lvmtui": __version__,
        "encoder": encoder.options(),
        "chunking": {"target_tokens": TARGET_TOKENS, "min_tokens": MIN_TOKENS},
        "dropped": chunked.dropped,
        "titles": chunked.titles,
        **sources,
    }
    content = json.dumps(meta, indent=1, ensure_ascii=False).encode(errors="replace")
    (folder / META).write_bytes(content + b"\n")
