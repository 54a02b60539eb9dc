"""Encoders: chunks of text -> vectors."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.data.check import ZERO_LENGTH
from engine.data.progress import Progress
from lvmtui.errors import DataError, MissingDependency, UsageError

DEFAULT_ENCODER = "tfidf-svd"
DIMENSIONS = 768
BLOCK = 2048
"""Chunks encoded at a time."""

_SENTENCE_TRANSFORMERS = "sentence-transformers:"


class Encoder(Protocol):
    """Turns texts into vectors."""

    def fit(self, texts: Sequence[str], progress: Progress) -> list[str]:
        """Learn what has to be learnt from all texts; return what the user should know."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (len(texts), D), not normalised."""

    def options(self) -> dict[str, Any]:
        """Name and settings: what makes the same vectors again."""


class TfidfSvd:
    """TF-IDF and truncated SVD (latent semantic analysis, Deerwester et al. 1990; the randomised SVD of
    Halko, Martinsson and Tropp 2011).

    Deterministic: one thread, fixed seed (another BLAS may change last digits). The factors are learnt on at
    most `FIT_CHUNKS` evenly spaced chunks, which bounds time and memory.
    """

    FIT_CHUNKS = 50_000
    MAX_TERMS = 20_000
    ITERATIONS = 2
    TOKEN = "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|\\b\\w\\w+\\b"
    """Words of two letters or more, single ideographs."""

    def __init__(self, dimensions: int = DIMENSIONS) -> None:
        try:
            from sklearn.decomposition import TruncatedSVD
            from sklearn.feature_extraction.text import TfidfVectorizer
            from threadpoolctl import threadpool_limits
        except ModuleNotFoundError as error:
            raise MissingDependency(
                "the encoder tfidf-svd needs scikit-learn, which is not installed",
                "Install it with: pip install 'lvmtui[train]'",
            ) from error
        self._dimensions = dimensions
        self._tfidf = TfidfVectorizer(
            token_pattern=self.TOKEN, max_features=self.MAX_TERMS, sublinear_tf=True, dtype=np.float32
        )
        self._new_svd = TruncatedSVD
        self._threads = threadpool_limits

    def fit(self, texts: Sequence[str], progress: Progress) -> list[str]:
        """Learn terms, their weights and the factors.

        Raises:
            DataError: too few chunks or different words for two dimensions.
        """
        sample = [texts[row] for row in _evenly(len(texts), self.FIT_CHUNKS)]
        progress("counting terms", 0, 0)
        try:
            weights = self._tfidf.fit_transform(sample)
        except ValueError as error:
            raise DataError("the text has no words to tell chunks apart by", "Give more text.") from error
        have = f"{len(set(sample))} different chunks with {weights.shape[1]} different words"
        possible = min(len(set(sample)), weights.shape[1]) - 1
        if possible < 2:
            raise DataError(f"{have} are too little to encode", "Give more text.")
        self._dimensions = min(self._dimensions, possible)
        progress("factorising (truncated SVD)", 0, 0)
        self._svd = self._new_svd(self._dimensions, n_iter=self.ITERATIONS, random_state=0)
        # More threads sum in another order, and on a busy machine they wait for each other: 33 s, not 5.
        with self._threads(1):
            self._svd.fit(weights)
        notices = []
        if self._dimensions < DIMENSIONS:
            notices.append(f"{have} give only {self._dimensions} dimensions, not {DIMENSIONS}")
        if len(sample) < len(texts):
            notices.append(f"the encoder was fitted on {len(sample)} evenly spaced chunks of {len(texts)}")
        return notices

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (len(texts), D); zero for texts without a known term."""
        weights = self._tfidf.transform(texts)
        with self._threads(1):
            return np.asarray(self._svd.transform(weights), np.float32)

    def options(self) -> dict[str, Any]:
        """Name and settings."""
        return {
            "name": DEFAULT_ENCODER,
            "dimensions": self._dimensions,
            "max_terms": self.MAX_TERMS,
            "fit_chunks": self.FIT_CHUNKS,
            "iterations": self.ITERATIONS,
            "sublinear_tf": True,
            "seed": 0,
        }


class SentenceTransformers:
    """A model of the sentence-transformers library, by name or folder; safetensors weights only."""

    def __init__(self, name: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError as error:
            raise MissingDependency(
                f"the encoder {name!r} needs sentence-transformers, which is not installed",
                "Install it with: pip install 'lvmtui[encode]'",
            ) from error
        self._name = name
        try:
            self._model = SentenceTransformer(name, model_kwargs={"use_safetensors": True})
        except (OSError, ValueError, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(
                f"cannot load the encoder {name!r}: {reason}",
                "Check the name and the network (the first use downloads it); weights must be safetensors.",
            ) from error

    def fit(self, texts: Sequence[str], progress: Progress) -> list[str]:  # noqa: ARG002
        """Nothing is left to learn."""
        return []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (len(texts), D)."""
        return np.asarray(
            self._model.encode(list(texts), convert_to_numpy=True, show_progress_bar=False), np.float32
        )

    def options(self) -> dict[str, Any]:
        """Name of the model."""
        return {"name": f"{_SENTENCE_TRANSFORMERS}{self._name}"}


def make_encoder(name: str) -> Encoder:
    """The encoder of a name as written on the command line.

    Raises:
        UsageError: no such encoder.
        MissingDependency: its package is not installed.
        DataError: its model cannot be loaded.
    """
    if name == DEFAULT_ENCODER:
        return TfidfSvd()
    model = name.removeprefix(_SENTENCE_TRANSFORMERS)
    if model != name and model:
        return SentenceTransformers(model)
    raise UsageError(
        f"there is no encoder {name!r}",
        f"Known: {DEFAULT_ENCODER}, {_SENTENCE_TRANSFORMERS}NAME (for example "
        f"{_SENTENCE_TRANSFORMERS}all-mpnet-base-v2).",
    )


def encode_blocks(
    encoder: Encoder, texts: Sequence[str], progress: Progress
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Encode block by block: unit vectors of the block's usable texts, and which texts those are.

    A text is unusable when its vector is zero or not finite.
    """
    edges = [*range(0, len(texts), BLOCK), len(texts)]
    for start, stop in pairwise(edges):
        vectors = encoder.encode(texts[start:stop])
        norms = np.linalg.norm(vectors, axis=1)
        # Zero where none of a chunk's terms is known.
        usable = np.isfinite(norms) & (norms > ZERO_LENGTH)
        yield vectors[usable] / norms[usable, None], usable
        progress("encoding", stop, len(texts))


def _evenly(count: int, limit: int) -> list[int]:
    """At most `limit` row numbers of `count`, evenly spaced from the first to the last."""
    if count <= limit:
        return list(range(count))
    return [row * (count - 1) // (limit - 1) for row in range(limit)]
