"""FLAC, lossless audio, through ``soundfile`` (libsndfile and libFLAC)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from baselines import _flac_frames as frames
from baselines._check import corrupt, require_choice, require_range
from compgen.interfaces import Compressor, ContinuationLengths, FloatArray

ByteOrder = Literal["little", "big"]
Samples = npt.NDArray[np.int16]

_MAGIC = b"fLaC"
_STREAMINFO, _APPLICATION = 0, 2
#: Our APPLICATION metadata block: its id, then the number of bytes to drop from the end of the data.
_APPLICATION_ID = b"cgen"
#: Of the first frame: sync code to reserved bit (4 bytes), number 0 (1), CRC-8 (1), CRC-16 (2).
_FRAME_BYTES = 4 + 1 + 1 + 2
#: libFLAC codes channels beyond two independently, up to eight in a frame.
_CHANNELS = 8


@dataclass(frozen=True)
class Flac(Compressor):
    """FLAC of one channel of raw samples; :meth:`compress` writes a .flac file.

    With ``bits=8`` a byte b is the sample b - 128 (the convention of Deletang et al.), with ``bits=16`` two bytes are
    a sample. An odd byte at the end is completed with a guess: its high byte is taken from the sample before
    (``little``; 0 at the start) or its low byte is 0x80, the middle of the range (``big``). The file then says in an
    APPLICATION metadata block, which other decoders skip, that the last byte is to be dropped; the empty file is told
    in the same way.

    ``code_length`` counts the frames, exact in bits, with their headers and CRCs but for 8 bytes that every file has:
    of the first frame's header the fixed part, its number and the CRC-8 (6 bytes), and the CRC-16 (2). Left out are
    also all metadata blocks (86 bytes with libFLAC 1.4.3: "fLaC", STREAMINFO and a vendor comment) and up to 7 bits of
    padding before the last CRC. See RFC 9639, sections 8 and 9.

    :param bits: 8 or 16 bits a sample.
    :param samplerate: in Hz, 1..655350; it affects no sample, but rates above 48 kHz use larger models.
    :param level: 0..8, as ``flac -0`` to ``flac -8``.
    :param byteorder: of 16-bit samples, "little" or "big".

    >>> Flac().decompress(Flac().compress(b"abc")), Flac(bits=16).decompress(Flac(bits=16).compress(b"abc"))
    (b'abc', b'abc')
    """

    name: ClassVar[str] = "flac"
    brute_force: ClassVar[bool] = False
    #: Bytes of the file that code lengths leave out, with libFLAC 1.4.3; the vendor comment may differ elsewhere.
    overhead_bytes: ClassVar[int] = 86 + _FRAME_BYTES

    bits: int = 8
    samplerate: int = 16000
    level: int = 5
    byteorder: ByteOrder = "little"

    def __post_init__(self) -> None:
        require_choice(self.name, "bits", self.bits, (8, 16))
        require_range(self.name, "samplerate", self.samplerate, 1, 655350)
        require_range(self.name, "level", self.level, 0, 8)
        require_choice(self.name, "byteorder", self.byteorder, get_args(ByteOrder))

    @property
    def library(self) -> str:
        """See :attr:`Compressor.library`."""
        return f"soundfile {version('soundfile')}"

    def compress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.compress`."""
        sample_bytes = self.bits // 8
        dropped = -len(data) % sample_bytes if data else sample_bytes
        code = self._encode(self._samples(data or bytes(1)))
        if not dropped:
            return code
        note = _APPLICATION_ID + bytes((dropped,))
        after_streaminfo = next(start + 4 + length for _, _, start, length in _metadata(code))
        block = bytes((_APPLICATION,)) + len(note).to_bytes(3, "big") + note
        return code[:after_streaminfo] + block + code[after_streaminfo:]

    def decompress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.decompress`. Reads .flac files of one channel with ``bits`` bits a sample."""
        import soundfile

        dropped = 0
        streaminfo, first_frame = b"", 0
        for kind, body, start, length in _metadata(data):
            first_frame = start + 4 + length
            if kind == _STREAMINFO:
                streaminfo = body
            elif kind == _APPLICATION and body[:4] == _APPLICATION_ID:
                dropped = int.from_bytes(body[4:], "big")
        total = self._check_frames(data, streaminfo, first_frame)
        if not 0 <= dropped <= total * self.bits // 8:
            raise corrupt("flac", "more bytes are to be dropped than there are")
        try:
            samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
        except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:
            raise corrupt("flac", error) from None
        if self.bits == 8:
            samples = samples >> 8
        signed = samples.astype("i1" if self.bits == 8 else "<i2")
        # STREAMINFO has the MD5 of the signed little-endian samples; libsndfile does not look at it.
        if hashlib.md5(signed.tobytes(), usedforsecurity=False).digest() != streaminfo[18:34]:
            raise corrupt("flac", "the MD5 of the samples does not match")
        raw: bytes = self._bytes(samples)
        return raw[: len(raw) - dropped]

    def code_length(self, data: bytes) -> float:
        """See :meth:`Compressor.code_length`."""
        return _frame_bits(self._encode(self._samples(data)), self.bits)[0] - 8 * _FRAME_BYTES if data else 0.0

    def continuations(self, context: bytes) -> ContinuationLengths:
        """See :meth:`Compressor.continuations`: only the frame that the next byte is in is coded, eight at a time."""
        return FlacContinuations(self, context)

    def _samples(self, data: bytes) -> Samples:
        """The samples, the last one completed."""
        if self.bits == 8:
            return np.frombuffer(data, np.uint8).astype(np.int16) - 128
        if len(data) % 2:
            if self.byteorder == "big":
                data += b"\x80"
            else:
                data += data[-2:-1] if len(data) > 1 else b"\0"
        return np.frombuffer(data, "<i2" if self.byteorder == "little" else ">i2").astype(np.int16)

    def _bytes(self, samples: Samples) -> bytes:
        if self.bits == 8:
            return (samples + 128).astype(np.uint8).tobytes()
        return samples.astype("<i2" if self.byteorder == "little" else ">i2").tobytes()

    def _encode(self, samples: Samples) -> bytes:
        """A .flac file of ``(samples,)`` or ``(samples, channels)``."""
        import soundfile

        if self.bits == 8:
            # libsndfile scales: the top 8 bits of 16 become the samples.
            samples = samples << 8
        file = io.BytesIO()
        soundfile.write(
            file,
            samples,
            self.samplerate,
            format="FLAC",
            subtype="PCM_S8" if self.bits == 8 else "PCM_16",
            compression_level=self.level / 8,
        )
        return file.getvalue()

    def _check_frames(self, data: bytes, streaminfo: bytes, first_frame: int) -> int:
        """Samples in all; raises unless the frames are whole, nothing follows them, and STREAMINFO agrees."""
        if len(streaminfo) != 34:
            raise corrupt("flac", "STREAMINFO is missing")
        packed = int.from_bytes(streaminfo[10:18], "big")
        channels, sample_bits, total = (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1, packed & ((1 << 36) - 1)
        if channels != 1 or sample_bits != self.bits:
            raise corrupt(
                "flac", f"it has {channels} channels of {sample_bits} bits where one of {self.bits} bits is expected"
            )
        walked, _ = frames.walk_mono(np.frombuffer(data, np.uint8), first_frame, self.bits, frames.table())
        if walked != total:
            raise corrupt("flac", "the frames are damaged, cut off, or followed by something else")
        return total


class FlacContinuations(ContinuationLengths):
    """Code lengths of all one-byte continuations, exactly as :meth:`Flac.code_length` gives them.

    Frames do not depend on each other, so full ones are coded once, and the 256 versions of the frame that the next
    byte is in go to libFLAC as the channels of 32 files of eight. For one file of 2048 samples it takes 70 us, of which
    only about 12 hang on the samples; for one of eight channels, 150. All 256 lengths so take 6 ms instead of 19.
    """

    def __init__(self, codec: Flac, context: bytes) -> None:
        self._codec = codec
        self._open = bytearray(context)
        self._full_frames = 0
        self._full_bits = 0.0
        self._frame_bytes = _block_samples(codec) * codec.bits // 8
        self._close_frames()

    def _close_frames(self) -> None:
        """Code the frames that no later byte can change."""
        full = len(self._open) // self._frame_bytes
        if full:
            data = bytes(self._open[: full * self._frame_bytes])
            bits, padding = _frame_bits(self._codec._encode(self._codec._samples(data)), self._codec.bits)
            shift = sum(_number_bits(self._full_frames + i) - _number_bits(i) for i in range(full))
            self._full_bits += bits + padding + shift
            self._full_frames += full
            del self._open[: full * self._frame_bytes]

    def lengths(self) -> FloatArray:
        """See :meth:`ContinuationLengths.lengths`."""
        known, ends = self._split()
        versions = np.empty((len(known) + 1, _CHANNELS), np.int16)
        versions[:-1] = known[:, np.newaxis]
        bits = np.empty(256)
        for first in range(0, 256, _CHANNELS):
            versions[-1] = ends[first : first + _CHANNELS]
            code = self._codec._encode(versions)
            bits[first : first + _CHANNELS] = _channel_bits(code, self._codec.bits)
        return bits + (self._full_bits + _number_bits(self._full_frames) - _number_bits(0) - 8 * _FRAME_BYTES)

    def _split(self) -> tuple[Samples, Samples]:
        """Settled samples of the open frame, and the 256 values of the one that the next byte begins or completes."""
        settled = len(self._open) - len(self._open) % (self._codec.bits // 8)
        known = self._codec._samples(bytes(self._open[:settled]))
        start = max(0, settled - 2)
        ends = [self._codec._samples(bytes(self._open[start:]) + bytes((byte,)))[-1] for byte in range(256)]
        return known, np.array(ends, np.int16)

    def push(self, byte: int) -> None:
        """See :meth:`ContinuationLengths.push`."""
        self._open.append(byte)
        self._close_frames()

    def fork(self) -> FlacContinuations:
        """See :meth:`ContinuationLengths.fork`."""
        copy = object.__new__(FlacContinuations)
        copy.__dict__.update(self.__dict__)
        copy._open = bytearray(self._open)
        return copy


def _metadata(data: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """(type, body, start, length of body) of each metadata block (RFC 9639, section 8.1)."""
    if data[:4] != _MAGIC:
        raise corrupt("flac", "it does not start as one")
    position, last = 4, False
    while not last:
        head = data[position : position + 4]
        length = int.from_bytes(head[1:], "big")
        if len(head) < 4 or position + 4 + length > len(data):
            raise corrupt("flac", "it ends too early")
        last = bool(head[0] & 0x80)
        yield head[0] & 0x7F, data[position + 4 : position + 4 + length], position, length
        position += 4 + length


def _frame_bits(code: bytes, sample_bits: int) -> tuple[float, int]:
    """Bits of the frames of a file of one channel without the padding of the last, and that padding in bits."""
    first_frame = max(start + 4 + length for _, _, start, length in _metadata(code))
    _, padding = frames.walk_mono(np.frombuffer(code, np.uint8), first_frame, sample_bits, frames.table())
    return float(8 * (len(code) - first_frame) - padding), padding


def _channel_bits(code: bytes, sample_bits: int) -> FloatArray:
    """For a file of one frame: bits that the frame would have with each of its channels alone."""
    first_frame = 8 * max(start + 4 + length for _, _, start, length in _metadata(code))
    ends: Any = np.zeros(_CHANNELS + 1, np.int64)
    frames.subframe_ends(np.frombuffer(code, np.uint8), first_frame, sample_bits, frames.table(), ends)
    header_bits = ends[0] - first_frame
    alone: FloatArray = (np.diff(ends) + header_bits + frames.FOOTER_BITS).astype(np.float64)
    return alone


def _block_samples(codec: Flac) -> int:
    """Samples in each frame but the last: a property of the level, which STREAMINFO tells (its first 2 bytes)."""
    code = codec._encode(np.zeros(1, np.int16))
    return int.from_bytes(code[8:10], "big")


def _number_bits(number: int) -> int:
    """Bits of a frame's number in its header, coded like a code point of UTF-8 (RFC 9639, section 9.1.5)."""
    return 8 * next(size for size, bits in enumerate((7, 11, 16, 21, 26, 31, 36), start=1) if number < 1 << bits)
