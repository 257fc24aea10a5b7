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

from compgen import numerics, registry
from compgen.errors import UsageError
from compgen.interfaces import FloatArray, Predictor, Session, Symbols, symbol_array


@dataclass(frozen=True)
class Blend(Predictor):
    """Geometric mixture of predictors over one alphabet, its weights fitted online.

    ``rate`` is the step of the gradient descent. Before the first prediction the weights are fitted to the last
    ``learn`` symbols of the context; the rest of it only the parts see.

    >>> import compgen
    >>> blend = compgen.predictor("blend(gzip,order2)")
    >>> text = b"the cat sat on the mat, the rat sat on the cat"
    >>> bool(blend.code_lengths([text])[0].sum() < compgen.predictor("gzip").code_lengths([text])[0].sum())
    True
    """

    parts: tuple[Predictor, ...]
    rate: float = 0.006
    learn: int = 512

    name = "blend"

    def __post_init__(self) -> None:
        if not self.parts:
            raise UsageError("blend needs at least one predictor: write blend(gzip) or blend(gzip,order2)")
        if len({part.alphabet_size for part in self.parts}) > 1:
            raise UsageError("blend: the predictors have alphabets of different sizes")
        if not 0 <= self.rate < float("inf"):
            raise UsageError(f"blend: rate must be a finite number of at least 0, not {self.rate}")
        if self.learn < 0:
            raise UsageError(f"blend: learn must be at least 0, not {self.learn}")

    @classmethod
    def from_spec(cls, spec: registry.Spec) -> Blend:
        """From ``blend(spec,...):rate=R,learn=N``."""
        parts = tuple(registry.predictor(str(part)) for part in spec.parts)

        def make(rate: float = cls.rate, learn: int = cls.learn) -> Blend:
            return cls(parts, rate, learn)

        return registry.build(registry.Spec(spec.name, (), spec.values, spec.options), make)

    @property
    def spec(self) -> str:
        """See :attr:`Predictor.spec`."""
        name = f"blend({','.join(part.spec for part in self.parts)})"
        given = [
            f"{key}={getattr(self, key)}" for key in ("rate", "learn") if getattr(self, key) != getattr(Blend, key)
        ]
        return name + (":" + ",".join(given) if given else "")

    @property
    def alphabet_size(self) -> int:  # type: ignore[override]
        """That of the parts."""
        return self.parts[0].alphabet_size

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """As exact as the least exact part: the mixture itself is computed with :mod:`compgen.numerics`."""
        return all(part.exact for part in self.parts)

    @property
    def batched(self) -> bool:  # type: ignore[override]
        """Does any part gain from streams that share a session?"""
        return any(part.batched for part in self.parts)

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`."""
        if len({len(context) for context in contexts}) > 1:  # else a stream would depend on those beside it
            return _SideBySide([self.session([context]) for context in contexts])
        shared = min(self.learn, len(contexts[0]))
        starts = [context[: len(context) - shared] for context in contexts]
        weights = np.full((len(contexts), len(self.parts), 1), 1.0 / len(self.parts))
        session = _BlendSession([part.session(starts) for part in self.parts], weights, self.rate)
        for step in range(-shared, 0):
            session.push([context[step] for context in contexts])
        return session


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


class _SideBySide(Session):
    """Sessions of one stream each, as one session."""

    def __init__(self, streams: list[Session]) -> None:
        self._streams = streams

    def probabilities(self) -> FloatArray:
        return np.concatenate([stream.probabilities() for stream in self._streams])

    def push(self, symbols: Symbols) -> None:
        for stream, symbol in zip(self._streams, symbol_array(symbols), strict=True):
            stream.push([int(symbol)])

    def fork(self) -> Session:
        return _SideBySide([stream.fork() for stream in self._streams])
