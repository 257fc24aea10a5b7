"""Nearest neighbours by compression distance, and the distances as features."""

from __future__ import annotations

import builtins
import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from compgen.classify._texts import classes_of, texts_of
from compgen.classify.lengths import (
    Distance,
    Lengths,
    distance_function,
    distances_between,
    row_chunks,
    warn_beyond_window,
)
from compgen.interfaces import Compressor, FloatArray


class _Distances(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What remembers texts and their code lengths, and measures others against them."""

    compressor: str | Compressor
    distance: Distance
    separator: str
    symmetric: bool
    n_jobs: int | None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags

    def _remember(self, texts: list[builtins.bytes]) -> None:
        distance_function(self.distance)
        lengths = self._lengths()
        warn_beyond_window(lengths.compressor, texts)
        self.texts_ = texts
        self.code_lengths_ = lengths.alone(texts)

    def _lengths(self) -> Lengths:
        return Lengths.of(self.compressor, self.bytes, self.separator)

    def _distances(self, texts: list[builtins.bytes]) -> FloatArray:
        """``(len(texts), len(texts_))``."""
        lengths = self._lengths()
        alone = lengths.alone(texts), self.code_lengths_
        return distances_between(
            lengths, self.distance, texts, self.texts_, alone, symmetric=self.symmetric, n_jobs=self.n_jobs
        )


@dataclasses.dataclass
class _Ties:
    """Of the last prediction: kept apart, as predicting leaves an estimator as it is."""

    fraction: float = math.nan


class CompressionKNN(ClassifierMixin, _Distances):  # type: ignore[misc]
    """The k nearest neighbours by compression distance (Jiang et al. 2023), with ties broken honestly.

    Neighbours are ordered by (distance, index in the training data); the class with most of the k votes wins, and among
    equals the one that has the nearest neighbour. The label of a test text is never looked at.

    :param compressor: a spec such as ``gzip``, ``zstd:level=3`` or ``order3``, or a compressor or predictor.
    :param k: neighbours that vote.
    :param distance: ``ncd``, ``cdm``, ``clm``, ``conditional``, or a function of C(xy), C(x) and C(y).
    :param bytes: count whole bytes of the compressor's files, as the paper does, instead of bits.
    :param separator: what stands between the two texts of a pair.
    :param symmetric: C(xy) is the mean of both orders. Otherwise the text asked about comes first, and for
        ``conditional`` the one known.
    :param n_jobs: workers of joblib; threads, unless a backend is set.

    Fitted: ``classes_``, ``texts_`` (bytes), ``code_lengths_`` (bits, ``(n,)``), and after each prediction
    ``tie_fraction_``, the share of texts whose nearest neighbour is tied with another of the same distance.

    >>> knn = CompressionKNN(k=1).fit(["a rose is a rose", "no noise annoys"], ["flower", "sound"])
    >>> knn.predict(["rose, rose is a rose"]).tolist(), knn.tie_fraction_
    (['flower'], 0.0)
    """

    def __init__(
        self,
        compressor: str | Compressor = "gzip",
        k: int = 5,
        distance: Distance = "ncd",
        *,
        bytes: bool = False,  # noqa: A002
        separator: str = " ",
        symmetric: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.compressor = compressor
        self.k = k
        self.distance = distance
        self.bytes = bytes
        self.separator = separator
        self.symmetric = symmetric
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any) -> CompressionKNN:
        """Remember the texts X, or rows of numbers, with labels y ``(n,)``."""
        texts = texts_of(self, X, fitting=True)
        self._labels = classes_of(self, texts, y)
        if isinstance(self.k, bool) or not isinstance(self.k, int | np.integer) or self.k < 1:
            raise ValueError(f"k must be a whole number of at least 1, not {self.k!r}")
        if self.k > len(texts):
            raise ValueError(f"k={self.k} is more than the training data has: n_samples = {len(texts)}")
        self._remember(texts)
        self._ties = _Ties()
        return self

    @property
    def tie_fraction_(self) -> float:
        """The share of the texts last predicted whose nearest neighbour is not the only one; nan before."""
        check_is_fitted(self)
        return self._ties.fraction

    def kneighbors(
        self,
        X: Any,
        n_neighbors: int | None = None,
        return_distance: bool = True,
    ) -> Any:
        """The nearest training texts of each text, nearest first: (distances, indices), both ``(n, n_neighbors)``."""
        check_is_fitted(self)
        count = self.k if n_neighbors is None else n_neighbors
        if not 1 <= count <= len(self.texts_):
            raise ValueError(f"n_neighbors must be from 1 to {len(self.texts_)}, the training texts, not {count}")
        distances, indices = self._nearest(texts_of(self, X, fitting=False), count)
        return (distances, indices) if return_distance else indices

    def _nearest(self, texts: list[builtins.bytes], count: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        distances = np.empty((len(texts), count))
        indices = np.empty((len(texts), count), np.int64)
        tied = 0
        warn_beyond_window(self._lengths().compressor, texts)
        for rows in row_chunks(len(texts), len(self.texts_), matrices=4):
            all_distances = self._distances(texts[rows])
            tied += int((np.sum(all_distances == all_distances.min(axis=1, keepdims=True), axis=1) > 1).sum())
            indices[rows] = np.argsort(all_distances, axis=1, kind="stable")[:, :count]
            distances[rows] = np.take_along_axis(all_distances, indices[rows], axis=1)
        self._ties.fraction = tied / len(texts)
        return distances, indices

    def _votes(self, X: Any) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Votes ``(n, classes)``, and the classes of the neighbours ``(n, k)``, nearest first."""
        check_is_fitted(self)
        _, indices = self._nearest(texts_of(self, X, fitting=False), self.k)
        voters = self._labels[indices]
        votes = np.stack([(voters == c).sum(axis=1) for c in range(len(self.classes_))], axis=1)
        return votes.astype(np.float64), voters

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The class of each text: ``(n,)``."""
        votes, voters = self._votes(X)
        won = np.take_along_axis(votes, voters, axis=1) == votes.max(axis=1, keepdims=True)
        first = won.argmax(axis=1)  # the nearest neighbour whose class has most votes
        labels: npt.NDArray[Any] = self.classes_[voters[np.arange(len(voters)), first]]
        return labels

    def predict_proba(self, X: Any) -> FloatArray:
        """The share of votes of each class: ``(n, classes)``."""
        return self._votes(X)[0] / self.k


class CompressionDistance(TransformerMixin, _Distances):  # type: ignore[misc]
    """Distances to the training texts, as features: ``(n, training texts)``.

    The parameters are those of :class:`CompressionKNN`; any estimator can follow in a pipeline. For clustering, and
    whatever takes a precomputed matrix, :func:`compgen.classify.pairwise_distances` makes one.

    >>> CompressionDistance().fit_transform(["to be or not to be", "that is the question"]).shape
    (2, 2)
    """

    def __init__(
        self,
        compressor: str | Compressor = "gzip",
        distance: Distance = "ncd",
        *,
        bytes: bool = False,  # noqa: A002
        separator: str = " ",
        symmetric: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.compressor = compressor
        self.distance = distance
        self.bytes = bytes
        self.separator = separator
        self.symmetric = symmetric
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> CompressionDistance:
        """Remember the texts X, or rows of numbers. y is not used."""
        self._remember(texts_of(self, X, fitting=True))
        return self

    def transform(self, X: Any) -> FloatArray:
        """Distances ``(n, training texts)``."""
        check_is_fitted(self)
        texts = texts_of(self, X, fitting=False)
        warn_beyond_window(self._lengths().compressor, texts)
        return self._distances(texts)

    @property
    def _n_features_out(self) -> int:
        return len(self.texts_)
