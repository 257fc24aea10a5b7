"""``mix(a,b,...)``: a Bayesian mixture, Solomonoff's construction in small.

Of several models one explains the data best, which one is not known beforehand. Weighing each by how well it has done
so far,

    P(s)  =  sum_i w_i p_i(s)          w_i  <-  w_i p_i(x) / P(x)    after symbol x,

costs at most log2 k bits more than the best of the k models, whatever the data, as the whole data has probability
sum_i 1/k P_i(data) (Solomonoff 1964; Willems, Shtarkov and Tjalkens 1995 weigh context trees like this). With ``share``
above 0 that part of the weights is dealt out anew after each symbol, so that the mixture can follow a best model that
changes over time (Herbster and Warmuth 1998, fixed share).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compgen import numerics
from compgen.errors import UsageError
from compgen.interfaces import FloatArray, Session, Symbols, symbol_array
from compgen.predictors._composite import Composite

#: Weights stay above this: a model written off can come back, after as many bits as it was behind by then.
_LEAST_WEIGHT = 2.0**-1000


@dataclass(frozen=True)
class Mixture(Composite):
    """Bayesian mixture of predictors over one alphabet. ``share``, 0 to 1, is dealt out anew after each symbol.

    >>> import compgen
    >>> text = b"abcabcabcabcabcabc"
    >>> specs = ("mix(order0,order2)", "order2")
    >>> mixed, best = (compgen.predictor(spec).code_lengths([text])[0].sum() for spec in specs)
    >>> bool(mixed <= best + 1)
    True
    """

    share: float = 0.0

    name = "mix"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.share <= 1:
            raise UsageError(f"mix: share must be from 0 to 1, not {self.share}")

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`. The weights follow the whole context."""
        return self._read(contexts, None)

    def _combine(self, parts: list[Session], streams: int) -> Session:
        return _MixtureSession(parts, np.full((streams, len(parts)), 1.0 / len(parts)), self.share)


class _MixtureSession(Session):
    def __init__(self, parts: list[Session], weights: FloatArray, share: float) -> None:
        self._parts = parts
        self._weights = weights  # (streams, parts), rows summing to 1
        self._share = share
        self._current: FloatArray | None = None

    def _experts(self) -> FloatArray:
        """The parts' probabilities, (streams, parts, alphabet)."""
        if self._current is None:
            self._current = np.stack([part.probabilities() for part in self._parts], axis=1)
        return self._current

    def probabilities(self) -> FloatArray:
        experts = self._experts()
        mixture = self._weights[:, 0, None] * experts[:, 0]
        for i in range(1, len(self._parts)):  # np.sum leaves the order of its additions open
            mixture += self._weights[:, i, None] * experts[:, i]
        return mixture

    def push(self, symbols: Symbols) -> None:
        likelihood = self._experts()[np.arange(len(self._weights)), :, symbol_array(symbols)]
        posterior = np.maximum(self._weights * likelihood, _LEAST_WEIGHT)
        posterior = posterior / numerics.ordered_sum(posterior)
        self._weights = (1.0 - self._share) * posterior + self._share / len(self._parts)
        for part in self._parts:
            part.push(symbols)
        self._current = None

    def fork(self) -> Session:
        return _MixtureSession([part.fork() for part in self._parts], self._weights, self._share)
