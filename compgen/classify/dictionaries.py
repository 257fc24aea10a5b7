"""Classes as dictionaries of a compressor (as in the package ftcc, https://github.com/cyrilou242/ftcc)."""

from __future__ import annotations

import zlib
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from compgen.classify._texts import classes_of, texts_of
from compgen.interfaces import FloatArray

#: Bytes of a dictionary: what deflate can look back to at all, and a round number for zstd.
_LARGEST = {"gzip": (1 << 15) - 262, "zstd": 1 << 17}
_LEVELS = {"gzip": 9, "zstd": 19}


class DictionaryClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The class whose texts, as a dictionary, let a text be compressed to the fewest bytes.

    The texts of a class are dealt out to sub-dictionaries of about the same size, and what a text costs is the mean
    over those: a sum would favour classes by their size. Fast, since a dictionary is prepared once.

    :param compressor: ``zstd`` or ``gzip`` (deflate with a preset dictionary).
    :param level: the compressor's; None: 19 for zstd, 9 for gzip.
    :param dictionary_bytes: size of a sub-dictionary at most; None: 131,072 for zstd, 32,506 for gzip.
    :param trained: let zstd choose what to keep of each class (``zstandard.train_dictionary``) instead of all.
    :param n_jobs: workers of joblib; threads, unless a backend is set.

    Fitted: ``classes_``, ``dictionaries_`` (a list of bytes a class).

    >>> texts = ["the cat sat on the mat", "a cat and a dog", "le chat est sur le tapis", "un chat et un chien"]
    >>> model = DictionaryClassifier().fit(texts, ["en", "en", "fr", "fr"])
    >>> model.predict(["the cat sat on a dog", "un chat est sur le tapis"]).tolist()
    ['en', 'fr']
    """

    def __init__(
        self,
        compressor: Literal["zstd", "gzip"] = "zstd",
        *,
        level: int | None = None,
        dictionary_bytes: int | None = None,
        trained: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.compressor = compressor
        self.level = level
        self.dictionary_bytes = dictionary_bytes
        self.trained = trained
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags

    def fit(self, X: Any, y: Any) -> DictionaryClassifier:
        """Make dictionaries of the texts X, or rows of numbers, with labels y ``(n,)``."""
        texts = texts_of(self, X, fitting=True)
        labels = classes_of(self, texts, y)
        if self.compressor not in _LARGEST:
            raise ValueError(f"compressor must be zstd or gzip, not {self.compressor!r}")
        if self.trained and self.compressor != "zstd":
            raise ValueError("only zstd trains dictionaries; trained must be False for gzip")
        most = _LARGEST[self.compressor] if self.dictionary_bytes is None else self.dictionary_bytes
        if most < 256 or (self.compressor == "gzip" and most > _LARGEST["gzip"]):
            raise ValueError(f"dictionary_bytes must be at least 256, and at most 32,506 for gzip, not {most}")
        level = self._level()
        if not 1 <= level <= (22 if self.compressor == "zstd" else 9):
            raise ValueError(f"level must be from 1 to 22 for zstd and 1 to 9 for gzip, not {level}")
        groups = [[texts[i] for i in np.flatnonzero(labels == c)] for c in range(len(self.classes_))]
        if self.trained:
            self.dictionaries_ = [[_trained(group, most)] for group in groups]
        else:
            self.dictionaries_ = [_dealt(group, most) for group in groups]
        return self

    def _level(self) -> int:
        return _LEVELS[self.compressor] if self.level is None else self.level

    def code_lengths(self, X: Any) -> FloatArray:
        """Bits of each text by each class, the mean over its dictionaries: ``(n, classes)``."""
        import joblib

        check_is_fitted(self)
        texts = texts_of(self, X, fitting=False)
        sizes = _zstd_bytes if self.compressor == "zstd" else _deflate_bytes
        tasks = [(c, dictionary) for c, group in enumerate(self.dictionaries_) for dictionary in group]
        parallel = joblib.Parallel(n_jobs=self.n_jobs, prefer="threads")
        results = parallel(joblib.delayed(sizes)(dictionary, texts, self._level()) for _, dictionary in tasks)
        total = np.zeros((len(texts), len(self.classes_)))
        for (c, _), column in zip(tasks, results, strict=True):
            total[:, c] += column
        lengths: FloatArray = 8.0 * total / [len(group) for group in self.dictionaries_]
        return lengths

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The class of each text: ``(n,)``."""
        best = self.code_lengths(X).argmin(axis=1)
        labels: npt.NDArray[Any] = self.classes_[best]
        return labels


def _dealt(texts: list[bytes], most: int) -> list[bytes]:
    """The texts in as few dictionaries as hold them, in turn; what is too long for one is cut."""
    pieces = [text[start : start + most - 1] for text in texts for start in range(0, len(text), most - 1)]
    count = -(-sum(len(piece) + 1 for piece in pieces) // most)
    while True:
        dealt = [b"".join(piece + b"\n" for piece in pieces[first::count]) for first in range(count)]
        if max(map(len, dealt)) <= most:
            return dealt
        count += 1


def _trained(texts: list[bytes], most: int) -> bytes:
    """A dictionary of zstd's choice; all of the texts where they are too few to choose from."""
    import zstandard

    try:
        return zstandard.train_dictionary(most, list(texts)).as_bytes()
    except zstandard.ZstdError:
        return _dealt(texts, most)[0]


def _zstd_bytes(dictionary: bytes, texts: list[bytes], level: int) -> list[int]:
    import zstandard

    made = zstandard.ZstdCompressionDict(dictionary)
    made.precompute_compress(level=level)
    encoder = zstandard.ZstdCompressor(
        level=level, dict_data=made, write_content_size=False, write_dict_id=False, write_checksum=False
    )
    return [len(encoder.compress(text)) for text in texts]


def _deflate_bytes(dictionary: bytes, texts: list[bytes], level: int) -> list[int]:
    primed = zlib.compressobj(level, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, dictionary)
    sizes = []
    for text in texts:
        encoder = primed.copy()
        sizes.append(len(encoder.compress(text)) + len(encoder.flush()))
    return sizes
