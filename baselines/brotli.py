"""Brotli through the package ``brotli``."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import brotli

from baselines._check import corrupt, require_choice, require_range
from compgen.interfaces import Compressor

Mode = Literal["generic", "text", "font"]

_CHECKSUM_BYTES = 4
#: A metadata block (RFC 7932, section 9.2) that is skipped on decoding, first bit lowest: ISLAST = 0, MNIBBLES = 3
#: (metadata),
#: a reserved 0, MSKIPBYTES = 1, MSKIPLEN - 1 = 3, then zeros up to the byte.
_CHECKSUM_BLOCK = (0b11 << 1 | 1 << 4 | (_CHECKSUM_BYTES - 1) << 6).to_bytes(2, "little")


@dataclass(frozen=True)
class Brotli(Compressor):
    """Brotli; :meth:`compress` writes a .br file that holds a checksum in a metadata block, which other decoders skip.

    Brotli has no checksum of its own, and would decode most damaged files to something. ``code_length`` counts the
    meta-blocks of the data with the end of the stream, in whole bytes: a stream ends anywhere in its last byte, and
    only a decoder of all its symbols could tell where. Left out are 8 bytes: stream header and alignment (2 bytes; 1
    where WBITS is 16) and the checksum's block (6 bytes). See RFC 7932, sections 9.1 and 9.2.

    :param quality: 0..11.
    :param lgwin: binary logarithm of the window in bytes, 10..24.
    :param mode: what the data is: "generic", "text" (UTF-8) or "font" (WOFF 2.0).

    >>> Brotli().decompress(Brotli().compress(b"abc" * 1000)) == b"abc" * 1000
    True
    """

    name: ClassVar[str] = "brotli"
    #: Bytes of the file that code lengths leave out.
    overhead_bytes: ClassVar[int] = 2 + len(_CHECKSUM_BLOCK) + _CHECKSUM_BYTES

    quality: int = 11
    lgwin: int = 24
    mode: Mode = "generic"

    def __post_init__(self) -> None:
        require_range(self.name, "quality", self.quality, 0, 11)
        require_range(self.name, "lgwin", self.lgwin, 10, 24)
        require_choice(self.name, "mode", self.mode, get_args(Mode))

    @property
    def library(self) -> str:
        """See :attr:`Compressor.library`."""
        return f"brotli {brotli.__version__}"

    def compress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.compress`."""
        header, body = self._encode(data)
        return header + _CHECKSUM_BLOCK + zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "little") + body

    def decompress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.decompress`. Reads the files that :meth:`compress` writes."""
        # WBITS takes 1, 4 or 7 bits, the empty block 6; only the 1-bit code (a window of 2**16) starts with a zero.
        header_bytes = 2 if data[:1] and data[0] & 1 else 1
        start = header_bytes + len(_CHECKSUM_BLOCK)
        checksum = int.from_bytes(data[start : start + _CHECKSUM_BYTES], "little")
        if len(data) <= start + _CHECKSUM_BYTES or data[header_bytes:start] != _CHECKSUM_BLOCK:
            raise corrupt("brotli", "the checksum at its start is missing")
        try:
            decoded: bytes = brotli.decompress(data)
        except brotli.error as error:
            raise corrupt("brotli", error) from None
        if zlib.crc32(decoded) != checksum:
            raise corrupt("brotli", "the checksum does not match")
        return decoded

    def code_length(self, data: bytes) -> float:
        """See :meth:`Compressor.code_length`."""
        return 8.0 * len(self._encode(data)[1])

    def _encode(self, data: bytes) -> tuple[bytes, bytes]:
        """The stream in two parts of whole bytes: header, and meta-blocks of the data with the end."""
        mode = {"generic": brotli.MODE_GENERIC, "text": brotli.MODE_TEXT, "font": brotli.MODE_FONT}[self.mode]
        encoder = brotli.Compressor(mode=mode, quality=self.quality, lgwin=self.lgwin)
        # A flush ends the stream header with an empty metadata block, so that what follows starts on a byte.
        header = encoder.flush()
        return header, encoder.process(data) + encoder.finish()
