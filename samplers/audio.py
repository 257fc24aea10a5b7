"""Audio: the first samples of a recording are given, the next are sampled."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import soundfile

from compgen.datasets.recordings import Pcm, read_mono
from compgen.errors import BadInputError, UsageError
from compgen.fitting import fit_predictor
from compgen.interfaces import Decoding, Predictor, Progress, Rendering, Sampler
from compgen.sampling import check_samples, continue_streams
from samplers._spectrogram import spectrogram

#: The paper continues 1024 bytes (8-bit samples, 16 kHz: 64 ms) by 1024.
PAPER_CONTEXT = 1024
_SUBTYPES = {("wav", 8): "PCM_U8", ("flac", 8): "PCM_S8", ("wav", 16): "PCM_16", ("flac", 16): "PCM_16"}


@dataclass(frozen=True)
class AudioSampler(Sampler):
    """Continues a mono recording at its own sample rate.

    ``context``, ``length`` and ``offset`` are in audio samples: from ``offset`` on, the first ``context`` samples are
    given (default: 1024 as in the paper, or half of what there is if that is less), the next ``length`` are sampled.

    ``bits``: what a sample becomes for the predictor.

    - 8, as in the paper: one byte, the top 8 bits of the 16-bit sample plus 128.
    - 16: two bytes, the high one first, as a predictor had better choose the coarse value before the fine one.

    A codec for audio that is left at its defaults is told bits, byte order and sample rate. A rendering is the given
    part followed by the sampled one, as a WAV or FLAC file (``format``) of this many bits a sample, with a picture of
    the spectrograms of original and sample beside it where matplotlib is installed; ``sampled`` holds the predictor's
    bytes.
    """

    name: ClassVar[str] = "audio"
    bits: Literal[8, 16] = 8
    context: int | None = None
    length: int = PAPER_CONTEXT
    offset: int = 0
    format: Literal["wav", "flac"] = "wav"

    def __post_init__(self) -> None:
        if self.bits not in (8, 16):
            raise UsageError(f"audio bits must be 8 or 16, not {self.bits}")
        if self.format not in ("wav", "flac"):
            raise UsageError(f"unknown audio format {self.format!r}; known: wav, flac")
        if self.context is not None and self.context < 1:
            raise UsageError(f"context must be at least 1 audio sample, not {self.context}")
        if self.length < 1:
            raise UsageError(f"length must be at least 1 audio sample, not {self.length}")
        if self.offset < 0:
            raise UsageError(f"offset must not be negative, not {self.offset}")

    def sample(
        self,
        predictor: Predictor,
        source: bytes,
        *,
        decoding: Decoding,
        samples: int = 1,
        progress: Progress | None = None,
    ) -> list[Rendering]:
        """See :meth:`Sampler.sample`."""
        check_samples(samples)
        pcm, samplerate = read_mono(source)
        pcm, context = self._cut(pcm)
        given = _to_bytes(pcm[:context], self.bits)
        fitted = fit_predictor(predictor, bits=self.bits, byteorder="big", samplerate=samplerate)
        length_bytes = self.length * self.bits // 8
        streams = continue_streams(fitted, [given] * samples, length_bytes, decoding, progress)
        return [self._render(pcm, given, stream.astype(np.uint8).tobytes(), samplerate) for stream in streams]

    def _cut(self, pcm: Pcm) -> tuple[Pcm, int]:
        """What there is of context and original continuation, and the length of the context."""
        available = len(pcm) - self.offset
        context = min(PAPER_CONTEXT, available // 2) if self.context is None else self.context
        if not 1 <= context <= available:
            raise BadInputError(
                f"the recording has {len(pcm)} samples, too few for a context of {max(context, 1)} from {self.offset} "
                "on; lower context or offset"
            )
        return pcm[self.offset : self.offset + context + self.length], context

    def _render(self, original: Pcm, given: bytes, sampled: bytes, samplerate: int) -> Rendering:
        # Through the same 8 bits, if so: the picture shall differ by what was sampled only.
        before = _from_bytes(_to_bytes(original, self.bits), self.bits)
        after = _from_bytes(given + sampled, self.bits)
        file = io.BytesIO()
        subtype = _SUBTYPES[self.format, self.bits]
        soundfile.write(file, after, samplerate, format=self.format.upper(), subtype=subtype)
        boundary = len(given) * 8 // self.bits
        picture = spectrogram(before / 32768.0, after / 32768.0, samplerate, boundary)
        extras = {} if picture is None else {".spectrogram.png": picture}
        return Rendering(file.getvalue(), f".{self.format}", sampled, extras)


def _to_bytes(pcm: Pcm, bits: int) -> bytes:
    if bits == 8:
        return ((pcm >> 8) + 128).astype(np.uint8).tobytes()
    return pcm.astype(">i2").tobytes()


def _from_bytes(data: bytes, bits: int) -> Pcm:
    """int16 samples; those of 8 bits have 0 in their low byte."""
    if bits == 8:
        wide = (np.frombuffer(data, dtype=np.uint8).astype(np.int16) - 128) << 8
        return wide.astype(np.int16)
    return np.frombuffer(data, dtype=">i2").astype(np.int16)
