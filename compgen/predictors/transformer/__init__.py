"""Transformers over bytes or tokens in exact arithmetic. Start with ``config.py`` (the shape), ``fixed.py`` (the
numbers), then ``engine.py`` (how they are computed), ``weights.py`` (the file), ``predictor.py`` (what the package
uses), and for tokens ``bpe.py`` (bytes to tokens and back) and ``tokens.py`` (coding with them).

``network.py``, ``training.py``, ``corpus.py``, ``export.py`` and ``bpe_training.py`` make weights, with PyTorch.
"""

from compgen.predictors.transformer.predictor import Transformer

__all__ = ["Transformer"]
