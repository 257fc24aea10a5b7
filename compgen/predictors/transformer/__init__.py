"""Byte transformers in exact arithmetic. Start with ``config.py`` (the shape), ``fixed.py`` (the numbers), then
``engine.py`` (how they are computed), ``weights.py`` (the file), ``predictor.py`` (what the package uses).

``network.py``, ``training.py``, ``corpus.py`` and ``export.py`` make weights, with PyTorch.
"""

from compgen.predictors.transformer.predictor import Transformer

__all__ = ["Transformer"]
