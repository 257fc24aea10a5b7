"""``cm``: bitwise context mixing in integers, a predictor and a block coder that agree to the bit.

Start with ``docs/context_mixing.md``; then ``settings.py`` (what is mixed), ``model.py`` (the arrays), ``_kernel.py``
(the loops), ``tables.py`` (the constants), ``predictor.py`` (what the rest of the package uses).
"""

from compgen.predictors.contextmix.predictor import ContextMix

__all__ = ["ContextMix"]
