"""How well a classifier does: accuracy with its interval, confusion, n-shot, and texts that stand in both sets."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compgen.errors import UsageError
from compgen.interfaces import IntArray

_Labels = npt.NDArray[Any]


def wilson_interval(right: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927).

    >>> [round(end, 4) for end in wilson_interval(90, 100)]
    [0.8256, 0.9448]
    """
    share, spread = right / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Evaluation:
    """What came of one test set: ``confusion[i, j]`` counts texts of ``classes[i]`` that were called ``classes[j]``."""

    classes: list[str]
    confusion: IntArray
    train_seconds: float
    predict_seconds: float
    tie_fraction: float | None

    @property
    def right(self) -> int:
        """Texts that were classified right."""
        return int(np.trace(self.confusion))

    @property
    def total(self) -> int:
        """Texts in the test set."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return self.right / self.total

    @property
    def macro_f1(self) -> float:
        """The mean over classes of the harmonic mean of precision and recall; 0 for a class with neither."""
        found, there = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        present = (found + there) > 0
        return float(np.mean(2 * np.diag(self.confusion)[present] / (found + there)[present]))


def evaluate(
    classifier: Any, train: tuple[Sequence[bytes], _Labels], test: tuple[Sequence[bytes], _Labels]
) -> Evaluation:
    """Fit a classifier to one set and count what it says of the other."""
    start = time.perf_counter()
    classifier.fit(list(train[0]), train[1])
    fitted = time.perf_counter()
    return assess(classifier, test, fitted - start)


def assess(classifier: Any, test: tuple[Sequence[bytes], _Labels], train_seconds: float = 0.0) -> Evaluation:
    """Count what a fitted classifier says of a test set."""
    start = time.perf_counter()
    predicted = classifier.predict(list(test[0]))
    seconds = time.perf_counter() - start
    classes = np.unique(np.concatenate([classifier.classes_, test[1]]))
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (np.searchsorted(classes, test[1]), np.searchsorted(classes, predicted)), 1)
    ties = getattr(classifier, "tie_fraction_", None)
    return Evaluation([str(c) for c in classes], confusion, train_seconds, seconds, ties)


@dataclass(frozen=True)
class Shots:
    """Accuracies with ``shots`` training texts a class, one a seed, and the 95 % interval of their mean (by t)."""

    shots: int
    accuracies: list[float]

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(np.mean(self.accuracies))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean."""
        from scipy.stats import t

        count = len(self.accuracies)
        half = float(t.ppf(0.975, count - 1) * np.std(self.accuracies, ddof=1) / math.sqrt(count))
        return self.mean - half, self.mean + half


def n_shot(
    make: Any,
    train: tuple[Sequence[bytes], _Labels],
    test: tuple[Sequence[bytes], _Labels],
    shots: int,
    seeds: int = 5,
) -> Shots:
    """Accuracy with a few training texts a class, drawn ``seeds`` times; ``make()`` gives a new classifier.

    Raises :class:`~compgen.errors.UsageError` where a class has fewer texts.
    """
    if seeds < 2:
        raise UsageError(f"seeds must be at least 2 for an interval, not {seeds}")
    texts, labels = train
    if shots < 1 or (least := np.unique(labels, return_counts=True)[1].min()) < shots:
        most = "" if shots < 1 else f" and at most {least}, the texts of the smallest class"
        raise UsageError(f"shots must be at least 1{most}, not {shots}")
    accuracies = []
    for seed in range(seeds):
        drawn = _draw(labels, shots, seed)
        few = [texts[i] for i in drawn], labels[drawn]
        accuracies.append(evaluate(make(), few, test).accuracy)
    return Shots(shots, accuracies)


def _draw(labels: _Labels, shots: int, seed: int) -> npt.NDArray[np.int64]:
    """``shots`` indices of each class."""
    generator = np.random.default_rng(seed)
    groups = [generator.permutation(np.flatnonzero(labels == c))[:shots] for c in np.unique(labels)]
    return np.sort(np.concatenate(groups))


@dataclass(frozen=True)
class Leak:
    """A test text that stands in the training data too: its index in both, and whether the labels agree."""

    test: int
    train: int
    same_label: bool


def leakage(train: tuple[Sequence[bytes], _Labels], test: tuple[Sequence[bytes], _Labels]) -> list[Leak]:
    """Test texts that stand in the training data, but for case and white space; the first place of each."""
    known: dict[bytes, int] = {}
    for at, text in enumerate(train[0]):
        known.setdefault(_normal(text), at)
    found = ((at, known.get(_normal(text))) for at, text in enumerate(test[0]))
    return [Leak(at, there, bool(train[1][there] == test[1][at])) for at, there in found if there is not None]


def _normal(text: bytes) -> bytes:
    return b" ".join(text.decode("utf-8", "surrogateescape").lower().encode("utf-8", "surrogateescape").split())
