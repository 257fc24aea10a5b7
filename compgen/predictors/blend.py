"""``blend(a,b,...)``: a product of predictors whose exponents follow the data. The better way from lengths to
probabilities.

Geometric mixing (Mattern, "Mixing strategies in data compression", DCC 2012), the form of logistic mixing for any
alphabet: with expert distributions p_i and weights w_i,

    P(s)  =  prod_i p_i(s)**w_i  /  Z          w_i += rate * (log2 p_i(x) - E_P[log2 p_i])    after symbol x,

the second being gradient descent on the code length -log2 P(x). With one expert, the weight is an inverse temperature
fitted online: ``blend(gzip)`` finds out how far to trust gzip's code lengths. With a second, each covers what the other
cannot see: a deflate match pays off only at its third byte, so gzip's lengths say little about where a match starts,
which a context model knows, while the context model has a short memory, which gzip's matches extend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compgen import numerics
from compgen.errors import UsageError
from compgen.interfaces import FloatArray, Session, Symbols, symbol_array
from compgen.predictors._composite import Composite


@dataclass(frozen=True)
class Blend(Composite):
    """Geometric mixture of predictors over one alphabet, its weights fitted online.

    ``rate`` is the step of the gradient descent. Before the first prediction the weights are fitted to the last
    ``learn`` symbols of the context; the rest of it only the parts see.

    >>> import compgen
    >>> blend = compgen.predictor("blend(gzip,order2)")
    >>> text = b"the cat sat on the mat, the rat sat on the cat"
    >>> bool(blend.code_lengths([text])[0].sum() < compgen.predictor("gzip").code_lengths([text])[0].sum())
    True
    """

    rate: float = 0.006
    learn: int = 512

    name = "blend"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.rate < float("inf"):
            raise UsageError(f"blend: rate must be a finite number of at least 0, not {self.rate}")
        if self.learn < 0:
            raise UsageError(f"blend: learn must be at least 0, not {self.learn}")

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`."""
        return self._read(contexts, self.learn)

    def _combine(self, parts: list[Session], streams: int) -> Session:
        weights = np.full((streams, len(parts), 1), 1.0 / len(parts))
        return _BlendSession(parts, weights, self.rate)


class _BlendSession(Session):
    def __init__(self, parts: list[Session], weights: FloatArray, rate: float) -> None:
        self._parts = parts
        self._weights = weights  # (streams, parts, 1)
        self._rate = rate
        self._current: tuple[FloatArray, FloatArray] | None = None

    def _predict(self) -> tuple[FloatArray, FloatArray]:
        """The experts' log2-probabilities, (streams, parts, alphabet), and the mixture, (streams, alphabet)."""
        if self._current is None:
            experts = np.stack([numerics.log2(part.probabilities()) for part in self._parts], axis=1)
            weighted = self._weights * experts
            total = weighted[:, 0].copy()
            for i in range(1, len(self._parts)):  # np.sum leaves the order of its additions open
                total += weighted[:, i]
            self._current = experts, numerics.softmax2(-total)
        return self._current

    def probabilities(self) -> FloatArray:
        return self._predict()[1].copy()

    def push(self, symbols: Symbols) -> None:
        experts, mixture = self._predict()
        chosen = experts[np.arange(len(experts)), :, symbol_array(symbols)]
        expected = numerics.ordered_sum(mixture[:, None, :] * experts)
        self._weights = np.clip(self._weights + self._rate * (chosen[..., None] - expected), 0.0, 16.0)
        for part in self._parts:
            part.push(symbols)
        self._current = None

    def fork(self) -> Session:
        return _BlendSession([part.fork() for part in self._parts], self._weights, self._rate)
