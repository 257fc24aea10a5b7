"""What predictors made of other predictors share."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compgen.errors import UsageError
from compgen.interfaces import FloatArray, Predictor, Session, Symbols, symbol_array


@dataclass(frozen=True)
class Composite(Predictor):
    """Predictors over one alphabet that predict together; written ``name(spec,spec,...):key=value,...``.

    A subclass adds its parameters as fields with defaults and says how the parts are combined (:meth:`_combine`). As
    long as it computes with :mod:`compgen.numerics` and in a fixed order, it is as exact as its parts.
    """

    parts: tuple[Predictor, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise UsageError(f"{self.name} needs at least one predictor: write {self.name}(gzip,order2)")
        if len({part.alphabet_size for part in self.parts}) > 1:
            raise UsageError(f"{self.name}: the predictors have alphabets of different sizes")

    @property
    def spec(self) -> str:
        """See :attr:`Predictor.spec`."""
        own = [f for f in dataclasses.fields(self) if f.name != "parts" and getattr(self, f.name) != f.default]
        name = f"{self.name}({','.join(part.spec for part in self.parts)})"
        return name + (":" + ",".join(f"{f.name}={getattr(self, f.name)}" for f in own) if own else "")

    @property
    def alphabet_size(self) -> int:  # type: ignore[override]
        """That of the parts."""
        return self.parts[0].alphabet_size

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """Are all parts exact?"""
        return all(part.exact for part in self.parts)

    @property
    def numerics(self) -> str:  # type: ignore[override]
        """What the parts depend on."""
        return "; ".join(dict.fromkeys(part.numerics for part in self.parts if part.numerics))

    @property
    def weights_sha256(self) -> str:  # type: ignore[override]
        """Of the parts' hashes, if any has one."""
        hashes = [part.weights_sha256 for part in self.parts]
        return hashlib.sha256(",".join(hashes).encode()).hexdigest() if any(hashes) else ""

    @property
    def parameters(self) -> int:  # type: ignore[override]
        """Of all parts."""
        return sum(part.parameters for part in self.parts)

    @property
    def weights_bytes(self) -> int:  # type: ignore[override]
        """Of all parts."""
        return sum(part.weights_bytes for part in self.parts)

    @property
    def batched(self) -> bool:  # type: ignore[override]
        """Does any part gain from streams that share a session?"""
        return any(part.batched for part in self.parts)

    def _combine(self, parts: list[Session], streams: int) -> Session:
        """A session on sessions of the parts, with nothing learned yet."""
        raise NotImplementedError

    def _read(self, contexts: Sequence[Symbols], learn: int | None) -> Session:
        """A session that has read the contexts, the last ``learn`` symbols (None: all) together, the rest the parts
        alone.
        """
        if len({len(context) for context in contexts}) > 1:  # a stream must not depend on those beside it
            return _SideBySide([self._read([context], learn) for context in contexts])
        length = len(contexts[0])
        shared = length if learn is None else min(learn, length)
        starts = [context[: length - shared] for context in contexts]
        session = self._combine([part.session(starts) for part in self.parts], len(contexts))
        for step in range(length - shared, length):
            session.push([int(context[step]) for context in contexts])
        return session


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
