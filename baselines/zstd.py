"""Zstandard through the package ``zstandard``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import zstandard

from baselines._check import corrupt, require_range
from compgen.interfaces import Compressor

_MAGIC_BYTES, _BLOCK_HEADER_BYTES, _CHECKSUM_BYTES = 4, 3, 4
_LARGEST_WINDOW = 1 << 31


@dataclass(frozen=True)
class Zstd(Compressor):
    """Zstandard; :meth:`compress` writes a .zst file of one frame with content size and checksum.

    ``code_length`` counts the blocks in whole bytes: every block of the format ends on a byte, and where its bit
    streams end inside that byte is not to be had from the library. Left out are the magic number (4 bytes), the frame
    header (2..9 bytes; 2 for short inputs), the content checksum (4 bytes) and the header of the first block (3
    bytes), which every frame has; headers of further blocks count. See RFC 8878, section 3.1.1.

    :param level: -131072..22, 0 excepted.
    :param window_log: binary logarithm of the window in bytes, 10..31; None leaves it to the level and the length of
        the input.

    >>> Zstd().decompress(Zstd().compress(b"abc" * 1000)) == b"abc" * 1000
    True
    """

    name: ClassVar[str] = "zstd"
    #: Bytes of the file of a short input that code lengths leave out.
    overhead_bytes: ClassVar[int] = _MAGIC_BYTES + 2 + _BLOCK_HEADER_BYTES + _CHECKSUM_BYTES

    level: int = 22
    window_log: int | None = None

    def __post_init__(self) -> None:
        require_range(self.name, "level", self.level, -131072, 22)
        if self.window_log is not None:
            require_range(self.name, "window_log", self.window_log, 10, 31)

    @property
    def library(self) -> str:
        """See :attr:`Compressor.library`."""
        return f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}"

    def compress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.compress`."""
        options = {} if self.window_log is None else {"window_log": self.window_log}
        parameters = zstandard.ZstdCompressionParameters.from_level(
            self.level, source_size=len(data), write_checksum=True, **options
        )
        return zstandard.ZstdCompressor(compression_params=parameters).compress(data)

    def decompress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.decompress`. Reads any .zst file of one frame."""
        decoder = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj()
        try:
            decoded = decoder.decompress(data)
        except zstandard.ZstdError as error:
            raise corrupt("zstd", error) from None
        if not decoder.eof:
            raise corrupt("zstd", "it ends too early")
        if decoder.unused_data:
            raise corrupt("zstd", f"{len(decoder.unused_data)} bytes follow its end")
        return decoded

    def code_length(self, data: bytes) -> float:
        """See :meth:`Compressor.code_length`."""
        code = self.compress(data)
        left_out = zstandard.frame_header_size(code) + _BLOCK_HEADER_BYTES + _CHECKSUM_BYTES
        return 8.0 * (len(code) - left_out)
