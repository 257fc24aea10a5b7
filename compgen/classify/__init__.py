"""Classification, clustering and anomaly scores with compressors and predictors, the way scikit-learn has it.

All take lists, arrays or pandas Series of str or bytes; the estimators take two-dimensional arrays of numbers too.
Needs the extra ``classify``.
"""

from __future__ import annotations

from compgen.errors import MissingExtraError

try:
    import sklearn  # noqa: F401
except ImportError:
    raise MissingExtraError("compgen.classify", "classify") from None

from compgen.classify.anomaly import anomaly_score
from compgen.classify.dictionaries import DictionaryClassifier
from compgen.classify.lengths import pairwise_code_lengths, pairwise_distances
from compgen.classify.likelihood import LikelihoodClassifier
from compgen.classify.neighbours import CompressionDistance, CompressionKNN

__all__ = [
    "CompressionDistance",
    "CompressionKNN",
    "DictionaryClassifier",
    "LikelihoodClassifier",
    "anomaly_score",
    "pairwise_code_lengths",
    "pairwise_distances",
]
