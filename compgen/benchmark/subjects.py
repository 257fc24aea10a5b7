"""What is measured: a codec or predictor, told what the data look like, with all that its results depend on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compgen import memory, registry
from compgen.bridge import PredictorCompressor, as_compressor
from compgen.datasets import Dataset
from compgen.errors import CompgenError
from compgen.fitting import fit_compressor, fit_predictor
from compgen.interfaces import Compressor, Predictor

#: What ``cm`` is told of data whose modality is known.
_MODES = {"image": "image", "audio": "audio"}


@dataclass(frozen=True)
class Subject:
    """One thing to measure. ``asked`` is the spec that was given, :attr:`spec` the one that is used."""

    asked: str
    compressor: Compressor

    @property
    def spec(self) -> str:
        """With what it was told about the data."""
        return self.compressor.spec

    @property
    def predictor(self) -> Predictor | None:
        """The predictor, if it is one; None for codecs."""
        return self.compressor.predictor if isinstance(self.compressor, PredictorCompressor) else None

    @property
    def identity(self) -> dict[str, str]:
        """What its results depend on beside the data: part of every key, and of every row."""
        model = self.predictor
        if model is None:
            return {"spec": self.spec, "library": self.compressor.library, "weights_sha256": ""}
        return {"spec": self.spec, "library": model.numerics, "weights_sha256": model.weights_sha256}

    @property
    def parameters(self) -> int:
        """Learnt numbers that are known before the data."""
        return 0 if self.predictor is None else self.predictor.parameters

    @property
    def weights_bytes(self) -> int:
        """Size of the files that hold them."""
        return 0 if self.predictor is None else self.predictor.weights_bytes

    @property
    def alone(self) -> bool:
        """Is it a model that uses all cores, or an accelerator, by itself?"""
        return self.predictor is not None and self.predictor.batched and not self.predictor.exact

    @property
    def batch_chunks(self) -> int:
        """Chunks of 2 KB that are one piece of work, of some seconds at most. Fixed, as results are kept by piece."""
        model = self.predictor
        if model is None:
            return 512
        if _is_bridge(model):
            return 1
        return 8 if model.batched else 128

    @property
    def guessed_seconds_a_byte(self) -> float:
        """A rough guess, for progress bars only."""
        model = self.predictor
        if model is None:
            return _CODEC_SECONDS.get(self.compressor.name, 1e-7)
        if _is_bridge(model):
            return 1e-3
        return 1e-6 if not model.batched else 2e-4


#: Rough times of codecs a byte, on 2 KB.
_CODEC_SECONDS = {"gzip": 3e-8, "zlib": 3e-8, "png": 3e-8, "flac": 5e-8, "brotli": 1e-6, "jxl": 5e-7}


def _is_bridge(model: Predictor) -> bool:
    """Does it ask a codec for the 256 continuations of every byte?"""
    parts = getattr(model, "parts", (model,))
    return any(isinstance(getattr(part, "compressor", None), Compressor) for part in parts)


def subject(spec: str | Compressor | Predictor, dataset: Dataset | None = None) -> Subject:
    """What a spec names, fitted to a data set: the width of its pictures, the samples of its sounds.

    Only what the spec leaves open is fitted, and rows have the spec that was used.
    """
    made = registry.compressor(spec)
    asked = spec if isinstance(spec, str) else made.spec
    if dataset is None:
        return Subject(asked, made)
    geometry: Mapping[str, Any] = dict(dataset.geometry)
    if isinstance(made, PredictorCompressor):
        mode = {"mode": _MODES[dataset.modality]} if dataset.modality in _MODES else {}
        return Subject(asked, as_compressor(fit_predictor(made.predictor, **geometry, **mode)))
    return Subject(asked, fit_compressor(made, **geometry))


def overhead_bytes(compressor: Compressor, sample: bytes) -> int:
    """What a container adds, once: the size of a file less the code length of what is in it.

    Codecs that come with compgen say it (``overhead_bytes``); of others it is measured on a sample. A predictor has no
    container: its code is what arithmetic coding makes of its code lengths, at most 2 bits more.
    """
    if isinstance(compressor, PredictorCompressor):
        return 0
    known = getattr(compressor, "overhead_bytes", None)
    if known is not None:
        return int(known)
    return max(0, len(compressor.compress(sample)) - math.ceil(compressor.code_length(sample) / 8))


def code_lengths(compressor: Compressor, chunks: Sequence[bytes]) -> list[float]:
    """Bits of each chunk on its own, container left out."""
    memory.keep_freed()
    return require_lengths(compressor, compressor.code_lengths(chunks))


def require_lengths(compressor: Compressor, lengths_bits: Sequence[float]) -> list[float]:
    """The lengths. What is none (NaN, infinite, negative) raises, so that it is averaged into nothing."""
    for bits in lengths_bits:
        if not 0 <= bits < math.inf:
            raise CompgenError(f"{compressor.spec} gives a code length of {bits} bits")
    return [float(bits) for bits in lengths_bits]
