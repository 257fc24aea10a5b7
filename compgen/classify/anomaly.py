"""How unlike others a text is."""

from __future__ import annotations

from typing import Any

import numpy as np

from compgen import registry
from compgen.classify._texts import as_bytes
from compgen.classify.lengths import Distance, pairwise_distances
from compgen.interfaces import Compressor, FloatArray, Predictor


def anomaly_score(
    X: Any,
    reference: Any,
    model: str | Compressor | Predictor = "order4",
    *,
    distance: Distance | None = None,
    k: int = 5,
    n_jobs: int | None = None,
) -> FloatArray:
    """How badly the reference texts explain each text of X: float64 ``(len(X),)``, higher is stranger.

    Without ``distance``: bits per byte of each text by a model that has read the reference, minus what it costs by
    itself: about -8 to 8, above 0 where the reference makes things worse. With one, the mean distance to the k nearest
    reference texts by a compressor.

    >>> normal = ["GET /index.html 200"] * 20
    >>> scores = anomaly_score(["GET /index.html 200", "\\\\x90\\\\x90\\\\xeb /bin/sh"], normal)
    >>> bool(scores[0] < scores[1])
    True
    """
    texts, known = as_bytes(X), as_bytes(reference)
    if distance is not None:
        if not 1 <= k <= len(known):
            raise ValueError(f"k must be from 1 to {len(known)}, the number of reference texts, not {k}")
        compressor = registry.compressor("gzip" if model == "order4" else model)
        distances = np.sort(pairwise_distances(texts, known, compressor, distance, n_jobs=n_jobs), axis=1)
        nearest: FloatArray = distances[:, :k].mean(axis=1)
        return nearest
    predictor = registry.predictor(model)
    context = b"\n" + b"".join(text + b"\n" for text in known)
    after = predictor.primed(context, not predictor.can_freeze).code_lengths(texts)
    alone = predictor.code_lengths(texts)
    return np.array([(a.sum() - b.sum()) / len(t) for a, b, t in zip(after, alone, texts, strict=True)])
