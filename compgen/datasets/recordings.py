"""Mono recordings as 8-bit or 16-bit samples."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import soundfile

from compgen.datasets.contents import contents
from compgen.datasets.dataset import Skip
from compgen.errors import BadInputError

Pcm = npt.NDArray[np.int16]

#: Columns of a table that may hold recordings.
_COLUMNS = ("audio", "speech", "flac", "wav", "bytes")


@dataclass(frozen=True)
class Recordings:
    """Samples of recordings, one after the other: of ``bits=8`` the top 8 bits plus 128, or 16 bits little-endian.

    Only mono recordings of ``samplerate`` are served. What is left of a recording after its last chunk is left out.
    """

    joined: ClassVar[bool] = False

    paths: tuple[Path, ...]
    bits: int
    samplerate: int

    def pieces(self, chunk_bytes: int, skip: Skip) -> Iterator[bytes]:
        """See :meth:`Source.pieces`: a recording each."""
        for name, content in contents(self.paths, _COLUMNS, skip):
            try:
                pcm, samplerate = read_mono(content)
                require_whole(content, pcm)
                if samplerate != self.samplerate:
                    raise BadInputError(f"{samplerate:,} Hz, not {self.samplerate:,}")
                if len(pcm) * self.bits // 8 < chunk_bytes:
                    raise BadInputError(f"{len(pcm):,} samples, too few for a chunk of {chunk_bytes:,} bytes")
            except BadInputError as error:
                skip(name, str(error))
            else:
                yield as_bytes(pcm, self.bits)


def require_whole(content: bytes, pcm: Pcm) -> None:
    """Raise :class:`~compgen.errors.BadInputError` for a recording that was cut off or changed, as far as it tells.

    FLAC has the MD5 of its samples, WAV and AIFF their length; libsndfile heeds neither.
    """
    if content[:4] in (b"RIFF", b"FORM"):
        told = 8 + int.from_bytes(content[4:8], "little" if content[:4] == b"RIFF" else "big")
        # What writes to a pipe cannot know the length and says 0, or as much as fits.
        if len(content) < told < 1 << 31 and told > 8:
            raise BadInputError(f"cut off after {len(content):,} of {told:,} bytes")
    elif content[:4] == b"fLaC":
        bits = (int.from_bytes(content[20:22], "big") >> 4 & 31) + 1  # of a sample: STREAMINFO, RFC 9639 section 8.2
        md5 = content[26:42]
        if bits == 16 and any(md5) and hashlib.md5(pcm.astype("<i2").tobytes(), usedforsecurity=False).digest() != md5:
            raise BadInputError("damaged: the MD5 of its samples does not match")


def as_bytes(pcm: Pcm, bits: int) -> bytes:
    """Samples as bytes: their top 8 bits plus 128, or all 16 in little-endian order."""
    if bits == 8:
        return ((pcm >> 8) + 128).astype(np.uint8).tobytes()
    return pcm.astype("<i2").tobytes()


def samplerate_of(path: Path) -> int:
    """The sample rate, in Hz, of the first recording below ``path`` that can be served.

    Raises :class:`~compgen.errors.BadInputError` if there is none.
    """
    skipped: list[tuple[str, str]] = []
    for name, content in contents((path,), _COLUMNS, lambda *why: skipped.append(why)):
        try:
            return read_mono(content)[1]
        except BadInputError as error:
            skipped.append((name, str(error)))
    raise BadInputError(": ".join(skipped[0]) if skipped else f"{path.name} has no audio in it: {path}")


def read_mono(source: bytes) -> tuple[Pcm, int]:
    """Decode a mono audio file that soundfile reads: int16 ``(samples,)`` and the sample rate in Hz.

    Wider samples keep their top 16 bits; floats are scaled by 2**15. Raises :class:`~compgen.errors.BadInputError`.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(source)) as file:
            if file.channels != 1:
                raise BadInputError(
                    f"the recording has {file.channels} channels and only mono is sampled; mix it down first, "
                    "for example with  ffmpeg -i IN -ac 1 OUT.wav"
                )
            if file.subtype in ("FLOAT", "DOUBLE"):  # which libsndfile would round to -1, 0 and 1
                real = np.nan_to_num(file.read(dtype="float64"))
                pcm = np.clip(np.floor(real * 32768.0 + 0.5), -32768, 32767).astype(np.int16)
            else:
                pcm = file.read(dtype="int16")
            return pcm, int(file.samplerate)
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        raise BadInputError("the input is not audio that libsndfile can read; convert it to WAV or FLAC") from None
