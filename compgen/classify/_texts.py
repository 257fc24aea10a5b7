"""What an estimator is given, as byte strings: texts as they are, rows of numbers in a code that keeps likeness.

A row of numbers becomes :data:`LEVELS` pairs of bytes a feature, in the order of the features: one byte names the
feature (its number modulo 256), the other the level, and whether the value reaches it. The levels are spread evenly
from the least to the greatest value of each feature in the training data. So values that lie close to each other give
strings that differ in few places, and the code of a row depends on that row and the training data only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from compgen.interfaces import FloatArray

#: Levels of a number.
LEVELS = 32


def is_text(X: Any) -> bool:
    """Are these texts, and not rows of numbers? Raises ValueError for a single text, as scikit-learn does."""
    if isinstance(X, str | bytes | bytearray):
        raise ValueError("X is a single text; give a list of texts")
    if getattr(X, "ndim", 1) != 1 or hasattr(X, "toarray"):
        return False
    if getattr(getattr(X, "dtype", None), "kind", None) in ("U", "S"):
        return True
    if isinstance(X, list | tuple) and not X:
        raise ValueError("X has no texts: found array with 0 sample(s) while a minimum of 1 is required.")
    first = next((x for x in X if x is not None), None) if np.iterable(X) and not isinstance(X, dict) else 0
    return isinstance(first, str | bytes | bytearray | memoryview) or (
        first is None and np.iterable(X) and any(True for _ in X)
    )


def as_bytes(X: Any) -> list[bytes]:
    """Texts, str (in UTF-8) or bytes, as bytes. Raises TypeError for anything else and ValueError for empty ones."""
    texts, kinds = [], set()
    for at, text in enumerate(X):
        if isinstance(text, str):
            kinds.add("str")
            data = text.encode("utf-8", "surrogatepass")
        elif isinstance(text, bytes | bytearray | memoryview):
            kinds.add("bytes")
            data = bytes(text)
        else:
            raise TypeError(f"X[{at}] is {_article(text)}, not a text; give str or bytes")
        if not data:
            raise ValueError(f"X[{at}] is empty; a text has at least one byte")
        if len(kinds) > 1:
            raise TypeError(f"X mixes str and bytes (at X[{at}]); give one of them")
        texts.append(data)
    if not texts:
        raise ValueError("X has no texts: found array with 0 sample(s) while a minimum of 1 is required.")
    return texts


def _article(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


class RowCode:
    """The code of rows of numbers that the module describes, with levels as training data has them."""

    def __init__(self, low: FloatArray, high: FloatArray) -> None:
        self.low = low
        self.high = high

    @classmethod
    def of(cls, rows: FloatArray) -> RowCode:
        """A code for rows like these, float64 ``(n, features)``."""
        return cls(rows.min(axis=0), rows.max(axis=0))

    def encode(self, rows: FloatArray) -> list[bytes]:
        """One string of ``2 * LEVELS * features`` bytes a row."""
        half = self.high / 2 - self.low / 2  # halves, as the difference may be too large for a float
        width = np.where(half > 0, half, 1.0)
        share = np.clip((rows / 2 - self.low / 2) / width, 0, 1)
        reached = share[:, :, None] * LEVELS >= np.arange(LEVELS) + 0.5
        code = np.empty((*reached.shape, 2), np.uint8)
        code[..., 0] = (np.arange(rows.shape[1]) % 256)[None, :, None]
        code[..., 1] = 2 * np.arange(LEVELS) + reached
        return [row.tobytes() for row in code]


def texts_of(estimator: Any, X: Any, *, fitting: bool) -> list[bytes]:
    """The texts of X, or its rows of numbers as strings, and when fitting what the estimator must know of them.

    Sets ``row_code_`` (None for texts) and what ``validate_data`` sets for numbers. Raises what scikit-learn raises.
    """
    from sklearn.utils.validation import validate_data

    if is_text(X):
        if fitting:
            estimator.row_code_ = None
        elif estimator.row_code_ is not None:
            raise ValueError(f"{type(estimator).__name__} was fitted to rows of numbers, and is given texts")
        return as_bytes(X)
    if not fitting and estimator.row_code_ is None:
        raise ValueError(f"{type(estimator).__name__} was fitted to texts, and is given something else")
    rows = validate_data(estimator, X, dtype=np.float64, reset=fitting)
    if fitting:
        estimator.row_code_ = RowCode.of(rows)
    code: RowCode = estimator.row_code_
    return code.encode(rows)


def classes_of(estimator: Any, texts: list[bytes], y: Any) -> npt.NDArray[np.int64]:
    """Sets ``classes_``; returns the index of each text's class. Raises ValueError for fewer than two classes."""
    from sklearn.utils import assert_all_finite
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_consistent_length, column_or_1d

    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    y = column_or_1d(y, warn=True)
    if y.dtype.kind in "fc":
        assert_all_finite(y, input_name="y")
    check_consistent_length(texts, y)
    check_classification_targets(y)
    classes, indices = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"{type(estimator).__name__} needs texts of at least 2 classes; there is one class only: {classes[0]}"
        )
    estimator.classes_ = classes
    return indices.astype(np.int64)
