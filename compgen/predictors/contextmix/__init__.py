"""``cm``: bitwise context mixing in integers, a predictor and a block coder that agree to the bit.

Start with ``docs/context_mixing.md``; then ``settings.py`` (what is mixed), ``model.py`` (the arrays), ``_kernel.py``
(the loops), ``_signals.py`` and ``_regression.py`` (numbers), ``tables.py`` (the constants), ``auto.py`` and
``detect.py`` (what is read?), ``stream.py`` and ``priming.py`` (states to start from and go back to), ``predictor.py``
(what the rest of the package uses).
"""

from compgen.predictors.contextmix.predictor import ContextMix

__all__ = ["ContextMix"]
