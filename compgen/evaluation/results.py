"""What an evaluation finds: sums for each domain, the rates that follow from them, and how sure they are.

Rates are ratios of sums: bits of all documents over bytes of all documents. ``bpb`` is bits per byte of UTF-8, ``bpc``
bits per character (Unicode code point).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from compgen.interfaces import FloatArray, IntArray
from compgen.version import __version__

Interval = tuple[float, float]
#: What of a row is added up.
_COUNTED = (
    *("documents", "empty_documents", "bytes", "words", "tokens", "scored", "windows"),
    *("special_tokens", "plain_bytes", "tokenless_documents"),
)


@dataclass(frozen=True)
class Row:
    """One domain, or all of them together.

    ``tokens`` counts the symbols of the text, ``scored`` those that were scored (each once). ``characters`` is None
    where a document is not UTF-8. ``special_tokens`` of the scored ones stand for no text and cost ``special_nats``.
    ``plain_bytes`` could not be written as tokens and cost ``plain_bits``, which are in ``nats`` too.
    ``tokenless_documents`` have bytes and no tokens. Intervals are None where there is but one document.
    """

    domain: str
    documents: int
    empty_documents: int
    bytes: int
    characters: int | None
    words: int
    tokens: int
    scored: int
    windows: int
    nats: float
    special_tokens: int = 0
    special_nats: float = 0.0
    plain_bytes: int = 0
    plain_bits: float = 0.0
    tokenless_documents: int = 0
    bpb_interval: Interval | None = None
    bpc_interval: Interval | None = None

    @property
    def bits(self) -> float:
        """All the text costs."""
        return self.nats / math.log(2)

    @property
    def bpb(self) -> float:
        """Bits per byte."""
        return self.bits / self.bytes

    @property
    def bpc(self) -> float | None:
        """Bits per character."""
        return None if self.characters is None else self.bits / self.characters

    @property
    def byte_perplexity(self) -> float:
        """exp(nats per byte)."""
        return math.exp(self.nats / self.bytes)

    @property
    def word_perplexity(self) -> float:
        """exp(nats per word), infinite where that is beyond floating point."""
        return _exp(self.nats / self.words) if self.words else math.inf

    @property
    def token_perplexity(self) -> float | None:
        """exp(nats per scored symbol): of models with the same tokens only."""
        return _exp(self.nats / self.scored) if self.scored else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with what follows from the sums."""
        rates = ("bits", "bpb", "bpc", "byte_perplexity", "word_perplexity", "token_perplexity")
        return asdict(self) | {name: _finite(getattr(self, name)) for name in rates}


@dataclass(frozen=True)
class Average:
    """The mean over domains, each counted alike."""

    bpb: float
    bpc: float | None
    bpb_interval: Interval | None
    bpc_interval: Interval | None


@dataclass(frozen=True)
class Evaluation:
    """What one model makes of some data under a protocol.

    ``kind`` is what was measured: ``tokens`` or ``bytes`` by their code lengths, or the ``size`` of what a codec wrote.
    ``geometry`` has the window's sizes, in the ``unit`` that it names, and the start token; ``notes`` what a reader of
    the numbers should know.
    """

    model: str
    kind: str
    protocol: str
    geometry: dict[str, Any]
    rows: tuple[Row, ...]
    total: Row
    average: Average
    data_sha256: str
    weights_sha256: str = ""
    numerics: str = ""
    confidence: float = 0.95
    resamples: int = 0
    notes: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def bpb(self) -> float:
        """Bits per byte over everything."""
        return self.total.bpb

    @property
    def bpc(self) -> float | None:
        """Bits per character over everything."""
        return self.total.bpc

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        whole = {name: getattr(self, name) for name in self.__dataclass_fields__}
        whole |= {
            "rows": [row.as_dict() for row in self.rows],
            "total": self.total.as_dict(),
            "average": asdict(self.average),
            "notes": list(self.notes),
            "compgen": __version__,
        }
        return whole


@dataclass
class Sums:
    """The sums of a domain by document, from which a row and its intervals are made. Arrays ``(documents,)``."""

    domain: str
    nats: FloatArray
    bytes: IntArray
    characters: IntArray | None
    words: IntArray
    attributed: bool = True  # are the nats those of each document, or only their sum known?
    counts: dict[str, Any] = field(default_factory=dict)


def summarise(
    sums: Sequence[Sums], resamples: int, confidence: float, seed: int
) -> tuple[tuple[Row, ...], Row, Average]:
    """Rows, their total, and the unweighted average of the rates of the rows.

    The intervals are percentiles of a bootstrap over documents within each domain, the domains being given.
    """
    draws = [_draws(one, resamples, np.random.default_rng((seed, i))) for i, one in enumerate(sums)]
    rows = tuple(_row(one, draw, confidence) for one, draw in zip(sums, draws, strict=True))
    text = all(one.characters is not None for one in sums)
    known = [draw for draw in draws if draw is not None]
    pooled = np.sum(known, axis=0) if len(known) == len(draws) else None
    total = Row(
        domain="all",
        characters=sum(row.characters or 0 for row in rows) if text else None,
        nats=math.fsum(row.nats for row in rows),
        special_nats=math.fsum(row.special_nats for row in rows),
        plain_bits=math.fsum(row.plain_bits for row in rows),
        bpb_interval=_interval(pooled, 1, confidence),
        bpc_interval=_interval(pooled, 2, confidence) if text else None,
        **{name: sum(getattr(row, name) for row in rows) for name in _COUNTED},
    )
    return rows, total, _average(rows, draws, confidence, text)


def _row(sums: Sums, draws: FloatArray | None, confidence: float) -> Row:
    text = sums.characters is not None
    return Row(
        domain=sums.domain,
        documents=len(sums.bytes),
        empty_documents=int((sums.bytes == 0).sum()),
        bytes=int(sums.bytes.sum()),
        characters=int(sums.characters.sum()) if sums.characters is not None else None,
        words=int(sums.words.sum()),
        nats=math.fsum(sums.nats),
        bpb_interval=_interval(draws, 1, confidence),
        bpc_interval=_interval(draws, 2, confidence) if text else None,
        **sums.counts,
    )


def _average(rows: Sequence[Row], draws: Sequence[FloatArray | None], confidence: float, text: bool) -> Average:
    intervals: list[Interval | None] = [None, None]
    known = [draw for draw in draws if draw is not None]
    if len(known) == len(rows):
        for i in (0, 1)[: 1 + text]:
            intervals[i] = _percentiles(np.mean([draw[:, 0] / draw[:, 1 + i] for draw in known], axis=0), confidence)
    characters = [row.bpc for row in rows if row.bpc is not None]
    return Average(
        bpb=math.fsum(row.bpb for row in rows) / len(rows),
        bpc=math.fsum(characters) / len(rows) if text else None,
        bpb_interval=intervals[0],
        bpc_interval=intervals[1],
    )


def _draws(sums: Sums, resamples: int, random: np.random.Generator) -> FloatArray | None:
    """Bits, bytes and characters of as many documents drawn with replacement, ``(resamples, 3)``."""
    kept = sums.bytes > 0
    count = int(kept.sum())
    if count < 2 or not resamples or not sums.attributed:
        return None
    characters = sums.bytes if sums.characters is None else sums.characters
    columns = np.stack([sums.nats / math.log(2), sums.bytes, characters], axis=1)[kept].astype(np.float64)
    drawn = np.empty((resamples, 3))
    for row in drawn:
        times = np.bincount(random.integers(count, size=count), minlength=count)
        row[:] = times @ columns
    return drawn


def _interval(draws: FloatArray | None, by: int, confidence: float) -> Interval | None:
    return None if draws is None else _percentiles(draws[:, 0] / draws[:, by], confidence)


def _percentiles(values: FloatArray, confidence: float) -> Interval:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _exp(value: float) -> float:
    return math.exp(value) if value < 709 else math.inf


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is None or math.isfinite(value) else None
