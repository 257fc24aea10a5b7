"""``mix(a,b,...)``: several predictors as one, by Bayes' rule or by logistic mixing.

**Bayes** (the default), Solomonoff's construction in small.

Of several models one explains the data best, which one is not known beforehand. Weighing each by how well it has done
so far,

    P(s)  =  sum_i w_i p_i(s)          w_i  <-  w_i p_i(x) / P(x)    after symbol x,

costs at most log2 k bits more than the best of the k models, whatever the data, as the whole data has probability
sum_i 1/k P_i(data) (Solomonoff 1964; Willems, Shtarkov and Tjalkens 1995 weigh context trees like this). With ``share``
above 0 that part of the weights is dealt out anew after each symbol, so that the mixture can follow a best model that
changes over time (Herbster and Warmuth 1998, fixed share).

**Logistic** (``method=logistic``, over bytes), which does better than its best part wherever the parts know different
things, as context mixing and a language model do. A byte is eight binary decisions; before each, part i gives the
probability p_i of a 1, and

    P(1)  =  1 / (1 + 2**-z)      z  =  sum_i w_i x_i      x_i  =  log2(p_i / (1 - p_i))
    w_i  <-  w_i + rate (bit - P(1)) x_i

the last of which is a step down the gradient of the code length (Mahoney 2005; Mattern 2012 on its cost). There are two
sets of weights, one chosen by the bits of this byte so far, the other by the byte before; each learns for itself, and
their z are averaged.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from compgen import numerics
from compgen.errors import UsageError
from compgen.interfaces import FloatArray, IntArray, Session, Symbols, symbol_array
from compgen.predictors import _logistic_kernel as kernel
from compgen.predictors._composite import Composite

#: Weights stay above this: a model written off can come back, after as many bits as it was behind by then.
_LEAST_WEIGHT = 2.0**-1000


@dataclass(frozen=True)
class Mixture(Composite):
    """Mixture of predictors over one alphabet.

    - ``share``, 0 to 1, of the weights is dealt out anew after each symbol (``method=bayes``).
    - ``rate`` is how fast weights are learnt (``method=logistic``).

    >>> import compgen
    >>> text = b"abcabcabcabcabcabc"
    >>> specs = ("mix(order0,order2)", "order2")
    >>> mixed, best = (compgen.predictor(spec).code_lengths([text])[0].sum() for spec in specs)
    >>> bool(mixed <= best + 1)
    True
    """

    share: float = 0.0
    method: Literal["bayes", "logistic"] = "bayes"
    rate: float = 0.015

    name = "mix"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.share <= 1:
            raise UsageError(f"mix: share must be from 0 to 1, not {self.share}")
        if not 0 < self.rate <= 1:
            raise UsageError(f"mix: rate must be above 0 and at most 1, not {self.rate}")
        if self.method == "logistic" and self.alphabet_size != 256:
            raise UsageError(f"mix: logistic mixing is for bytes, not for {self.alphabet_size} symbols")

    @property
    def numerics(self) -> str:  # type: ignore[override]
        """That of the parts, and of logistic mixing, which gets another number when it changes."""
        return "; ".join(filter(None, [super().numerics, "logistic mixing 1" if self.method == "logistic" else ""]))

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`. The weights follow the whole context."""
        return self._read(contexts, None)

    def _combine(self, parts: list[Session], streams: int) -> Session:
        if self.method == "logistic":
            return _LogisticSession(parts, [_Logistic(len(parts), self.rate) for _ in range(streams)])
        return _BayesSession(parts, np.full((streams, len(parts)), 1.0 / len(parts)), self.share)


class _MixtureSession(Session):
    """Asks the parts, has a subclass combine what they say and learn from what comes."""

    def __init__(self, parts: list[Session]) -> None:
        self._parts = parts
        self._current: FloatArray | None = None

    def _combined(self, experts: FloatArray) -> FloatArray:
        """``(streams, alphabet)`` from ``(streams, parts, alphabet)``."""
        raise NotImplementedError

    def _learn(self, experts: FloatArray, symbols: IntArray) -> None:
        """Take in the symbols ``(streams,)`` that came after :meth:`_combined`."""
        raise NotImplementedError

    def _experts(self) -> FloatArray:
        """The parts' probabilities, (streams, parts, alphabet)."""
        if self._current is None:
            self._current = np.stack([part.probabilities() for part in self._parts], axis=1)
        return self._current

    def probabilities(self) -> FloatArray:
        return self._combined(self._experts())

    def push(self, symbols: Symbols) -> None:
        self._learn(self._experts(), symbol_array(symbols))
        for part in self._parts:
            part.push(symbols)
        self._current = None

    def read(self, symbols: npt.ArrayLike) -> FloatArray:
        table = np.asarray(symbols, np.int64)
        experts = np.stack([part.read(table) for part in self._parts], axis=2)
        self._current = None
        rows = np.empty((*table.shape, experts.shape[-1]))
        for step in range(table.shape[1]):
            these = experts[:, step]
            rows[:, step] = self._combined(these)
            self._learn(these, table[:, step])
        return rows


class _BayesSession(_MixtureSession):
    def __init__(self, parts: list[Session], weights: FloatArray, share: float) -> None:
        super().__init__(parts)
        self._weights = weights  # (streams, parts), rows summing to 1
        self._share = share

    def _combined(self, experts: FloatArray) -> FloatArray:
        mixture = self._weights[:, 0, None] * experts[:, 0]
        for i in range(1, len(self._parts)):  # np.sum leaves the order of its additions open
            mixture += self._weights[:, i, None] * experts[:, i]
        return mixture

    def _learn(self, experts: FloatArray, symbols: IntArray) -> None:
        likelihood = experts[np.arange(len(self._weights)), :, symbols]
        posterior = np.maximum(self._weights * likelihood, _LEAST_WEIGHT)
        posterior = posterior / numerics.ordered_sum(posterior)
        self._weights = (1.0 - self._share) * posterior + self._share / len(self._parts)

    def fork(self) -> Session:
        return _BayesSession([part.fork() for part in self._parts], self._weights, self._share)


class _Logistic:
    """The weights of one stream, and what it said last, for learning."""

    def __init__(self, parts: int, rate: float) -> None:
        self._rate = rate
        self._previous = 0
        self._weights = np.full((2, 2048, parts + 1), 1.0 / parts)
        self._weights[:, :, parts] = 0.0  # of a constant input
        self._opinions, self._logits = np.zeros((256, parts + 1)), np.zeros((256, 2))

    def combined(self, experts: FloatArray, out: FloatArray) -> None:
        kernel.mix(experts, self._weights, self._previous, self._opinions, self._logits, out)

    def learn(self, byte: int) -> None:
        kernel.learn(byte, self._previous, self._opinions, self._logits, self._rate, self._weights)
        self._previous = byte


class _LogisticSession(_MixtureSession):
    def __init__(self, parts: list[Session], streams: list[_Logistic]) -> None:
        super().__init__(parts)
        self._streams = streams
        self._asked: FloatArray | None = None

    def _combined(self, experts: FloatArray) -> FloatArray:
        rows = np.empty((len(self._streams), 256))
        for stream, own, row in zip(self._streams, np.ascontiguousarray(experts), rows, strict=True):
            stream.combined(own, row)
        self._asked = experts
        return rows

    def _learn(self, experts: FloatArray, symbols: IntArray) -> None:
        if self._asked is not experts:  # pushed without being asked: learn all the same
            self._combined(experts)
        for stream, symbol in zip(self._streams, symbols, strict=True):
            stream.learn(int(symbol))

    def fork(self) -> Session:
        return _LogisticSession([part.fork() for part in self._parts], copy.deepcopy(self._streams))
