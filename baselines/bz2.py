"""bzip2 through Python's ``bz2``: Burrows-Wheeler transform and Huffman codes."""

from __future__ import annotations

import bz2
import platform
from dataclasses import dataclass
from typing import ClassVar

from baselines._check import corrupt, require_range
from compgen.interfaces import Compressor

#: 48 bits before the last CRC: the digits of the square root of pi, in BCD.
_END_MAGIC = 0x177245385090
_END_BITS = 48 + 32
_HEADER_BYTES = 4
_BLOCK_BITS = 48 + 32


@dataclass(frozen=True)
class Bz2(Compressor):
    """bzip2; :meth:`compress` writes a .bz2 file.

    ``code_length`` is exact in bits: the bit position of the end magic tells where the blocks end. Left out are 24
    bytes that every file has: the stream header ("BZh9", 4 bytes), the first block's magic and CRC (6 + 4; those of
    further blocks count), the end's magic and CRC (6 + 4), and up to 7 bits of padding. See "BZIP2: Format
    Specification" (Tsai 2016), section 2.2.

    :param level: 1..9, block size in units of 100,000 bytes.

    >>> Bz2().code_length(b""), Bz2().code_length(b"a")
    (0.0, 99.0)
    """

    name: ClassVar[str] = "bz2"
    #: Bytes of the file that code lengths leave out, padding (0..7 bits) not counted.
    overhead_bytes: ClassVar[int] = 24

    level: int = 9

    def __post_init__(self) -> None:
        require_range(self.name, "level", self.level, 1, 9)

    @property
    def library(self) -> str:
        """See :attr:`Compressor.library`."""
        return f"libbz2 of Python {platform.python_version()}"

    def compress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.compress`."""
        return bz2.compress(data, self.level)

    def decompress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.decompress`. Reads any .bz2 file of one stream."""
        decoder = bz2.BZ2Decompressor()
        try:
            decoded = decoder.decompress(data)
        except (OSError, EOFError, ValueError) as error:
            raise corrupt("bz2", error) from None
        if not decoder.eof:
            raise corrupt("bz2", "it ends too early")
        if decoder.unused_data:
            raise corrupt("bz2", f"{len(decoder.unused_data)} bytes follow its end")
        return decoded

    def code_length(self, data: bytes) -> float:
        """See :meth:`Compressor.code_length`."""
        code = bz2.compress(data, self._sufficient_level(len(data)))
        tail = int.from_bytes(code[-(_END_BITS // 8 + 1) :], "big")
        for padding in range(8):
            if (tail >> (padding + 32)) & ((1 << 48) - 1) == _END_MAGIC:
                blocks = 8 * (len(code) - _HEADER_BYTES) - _END_BITS - padding
                return float(blocks - _BLOCK_BITS if data else 0)
        raise AssertionError("libbz2 wrote a stream without an end")  # pragma: no cover

    def _sufficient_level(self, length: int) -> int:
        """The lowest level up to ``self.level`` that gives the same blocks.

        Only memory, and the time to take it, depends on the level as long as all data fits one block. A block holds
        100,000 bytes a level, less 19, after runs of 4 to 255 equal bytes became 5 bytes: 5/4 of the length at most.
        """
        most = length + length // 4 + 1
        return next((level for level in range(1, self.level) if most <= 100_000 * level - 19), self.level)
