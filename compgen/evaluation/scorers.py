"""What can be evaluated: anything that gives symbols after other symbols a code length, and codecs by their sizes.

A :class:`Scorer` turns documents into symbols (:class:`~.corpus.Encoder`), says which windows a protocol makes of them,
and scores windows. The one for language models is in :mod:`.language_models`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from compgen.archive.format import DEFAULT_BLOCK_BYTES
from compgen.bridge import CompressorPredictor
from compgen.datasets.documents import Document
from compgen.errors import UsageError
from compgen.evaluation import windows
from compgen.evaluation.corpus import Encoded, Encoder
from compgen.evaluation.windows import Geometry
from compgen.interfaces import Done, FloatArray, IntArray, Predictor

#: What is worth knowing of opencompass.
UNSCORED = "the first symbol and those after the last whole window are not scored, but their characters count"


class Piece(NamedTuple):
    """A window with its symbols: those that are read, and those that are scored, which the inputs end before."""

    inputs: IntArray
    targets: IntArray
    start: bool


class Scorer(Encoder):
    """A model under a protocol. Picklable, as it works in other processes too."""

    #: Of its symbols: ``tokens`` or ``bytes``.
    unit: ClassVar[str]
    protocol: str
    geometry: Geometry
    #: What the results depend on beside the windows: the model and its arithmetic.
    model_key: str

    def windows(self, offsets: IntArray) -> IntArray:
        """The windows over the documents of a domain, int64 ``(windows, 4)`` as :class:`~.windows.Window`."""
        raise NotImplementedError

    def score(self, pieces: Sequence[Piece], done: Done | None = None) -> list[FloatArray]:
        """Nats of each target of each piece; ``done`` counts targets."""
        raise NotImplementedError

    def is_special(self, symbols: npt.NDArray[np.integer[Any]]) -> Any:
        """Which symbols stand for no text, bool of the same shape."""
        return np.zeros(len(symbols), bool)

    def facts(self) -> dict[str, Any]:
        """What belongs beside the results: geometry, start token, and what is worth knowing."""
        raise NotImplementedError


@dataclass(frozen=True)
class ByteScorer(Scorer):
    """A predictor over bytes, by its code lengths under teacher forcing.

    ``full`` reads a domain from its beginning to its end, with as much memory as the predictor has, and begins again
    after ``block_bytes`` as an archive does; ``document`` begins again with each document; ``opencompass`` takes its
    windows, of bytes.
    """

    predictor: Predictor
    protocol: str
    geometry: Geometry
    block_bytes: int = DEFAULT_BLOCK_BYTES

    unit = "bytes"
    key = "bytes"
    dtype = np.uint8

    def __post_init__(self) -> None:
        if self.predictor.alphabet_size != 256:
            raise UsageError(f"{self.predictor.spec} predicts {self.predictor.alphabet_size} symbols, not bytes")
        if not 1 <= self.block_bytes <= 1 << 30:
            raise UsageError(f"blocks must be from 1 byte to 1 GiB, not {self.block_bytes}")

    @property
    def model_key(self) -> str:  # type: ignore[override]
        """See :attr:`Scorer.model_key`."""
        return f"{self.predictor.spec} {self.predictor.weights_sha256} {self.predictor.numerics} {self.block_bytes}"

    def encode(self, batch: Sequence[Document]) -> list[Encoded]:
        """See :meth:`Encoder.encode`."""
        return [Encoded(np.frombuffer(document.data, np.uint8)) for document in batch]

    def windows(self, offsets: IntArray) -> IntArray:
        """See :meth:`Scorer.windows`."""
        if self.protocol == "opencompass":
            return windows.opencompass(int(offsets[-1]), self.geometry)
        if self.protocol == "document":
            return windows.whole(np.diff(offsets))
        return windows.whole(offsets[-1:], self.block_bytes)

    def score(self, pieces: Sequence[Piece], done: Done | None = None) -> list[FloatArray]:
        """See :meth:`Scorer.score`."""
        streams = [piece.targets.astype(np.uint8).tobytes() for piece in pieces]
        # The inputs overlap the targets, all but the last of which are inputs themselves.
        contexts = [p.inputs[: len(p.inputs) - len(p.targets) + 1].astype(np.uint8).tobytes() for p in pieces]
        told = 0

        def tell(count: int, _total: int) -> None:
            nonlocal told
            if done is not None:
                done(count - told)
            told = count

        return [bits * math.log(2) for bits in self.predictor.code_lengths(streams, contexts, tell)]

    def facts(self) -> dict[str, Any]:
        """See :meth:`Scorer.facts`."""
        facts: dict[str, Any] = {"unit": "bytes", "start_token": None}
        if self.protocol == "opencompass":
            facts |= {"block_size": self.geometry.block_size, "stride": self.geometry.stride}
        elif self.protocol == "full":
            facts |= {"block_bytes": self.block_bytes}
        notes = list[str]()
        if self.protocol == "opencompass":
            notes.append(UNSCORED)
        if isinstance(self.predictor, CompressorPredictor):
            notes.append("a compressor as a predictor: its code lengths after every byte, normalised")
        return facts | {"notes": notes}
