"""LZMA2, the codec of .xz files, through Python's ``lzma`` (liblzma)."""

from __future__ import annotations

import lzma
import platform
from dataclasses import dataclass
from typing import Any, ClassVar

from baselines._check import corrupt, require_range
from compgen.errors import UsageError
from compgen.interfaces import Compressor

#: From this preset on liblzma searches binary trees, whose result does not hang on the size of the hash table (see
#: `_filters`).
_FIRST_TREE_PRESET = 4
#: Dictionary bytes (twice the entries of the hash table) for each byte of input, and the least dictionary.
_ROOM, _LEAST_ROOM = 512, 1 << 18
#: First chunk's header as a stored chunk has it (control, two bytes of size) and the end byte.
_FRAME_BYTES = 3 + 1


@dataclass(frozen=True)
class Lzma2(Compressor):
    """LZMA2 at the presets of ``xz``; :meth:`compress` writes an .xz file.

    ``code_length`` counts the raw LZMA2 stream in whole bytes: a range coder's last bits are not to be had from
    liblzma, which always flushes 5 bytes. Left out are 4 bytes of it that even stored data pays, the header of a
    stored chunk (3 bytes; the 3 more of a compressed chunk count, and so do the headers of further chunks) and the
    end byte, and all of the container of "The .xz File Format" 1.2.0: stream header and footer (12 + 12), block
    header (12), index (8 or more), CRC-64 (8) and padding. The empty input costs nothing, and incompressible chunks
    cost 100.0 %, as in Table 1 of Deletang et al.

    :param preset: 0..9, as ``xz -0`` to ``xz -9``.
    :param extreme: as ``xz -e``.
    :param dict_size: the window in bytes, 4096 up to 1.5 GiB; None takes the preset's.
    :param lc: literal context bits, 0..4; ``lc + lp`` at most 4.
    :param lp: literal position bits, 0..4.
    :param pb: position bits, 0..4.

    >>> Lzma2().code_length(b"abc" * 1000)
    224.0
    """

    name: ClassVar[str] = "lzma2"
    #: Bytes of the .xz file of a short input that code lengths leave out, padding (0..3 bytes) not counted.
    overhead_bytes: ClassVar[int] = 56

    preset: int = 9
    extreme: bool = False
    dict_size: int | None = None
    lc: int = 3
    lp: int = 0
    pb: int = 2

    def __post_init__(self) -> None:
        require_range(self.name, "preset", self.preset, 0, 9)
        if self.dict_size is not None:
            require_range(self.name, "dict_size", self.dict_size, 4096, 3 << 29)
        for parameter in ("lc", "lp", "pb"):
            require_range(self.name, parameter, getattr(self, parameter), 0, 4)
        if self.lc + self.lp > 4:
            raise UsageError(f"{self.name}: lc + lp must be at most 4, not {self.lc + self.lp}; lower one of them")

    @property
    def library(self) -> str:
        """See :attr:`Compressor.library`."""
        return f"liblzma of Python {platform.python_version()}"

    def compress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.compress`."""
        return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, filters=self._filters(len(data)))

    def decompress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.decompress`. Reads any .xz file of one stream."""
        decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ)
        try:
            decoded = decoder.decompress(data)
        except (lzma.LZMAError, EOFError) as error:
            raise corrupt("xz", error) from None
        if not decoder.eof:
            raise corrupt("xz", "it ends too early")
        if decoder.unused_data:
            raise corrupt("xz", f"{len(decoder.unused_data)} bytes follow its end")
        return decoded

    def code_length(self, data: bytes) -> float:
        """See :meth:`Compressor.code_length`."""
        if not data:
            return 0.0
        raw = lzma.compress(data, format=lzma.FORMAT_RAW, filters=self._filters(len(data)))
        return 8.0 * (len(raw) - _FRAME_BYTES)

    def _filters(self, length: int) -> list[dict[str, Any]]:
        """The filter chain with a dictionary no larger than ``length`` bytes need.

        Most of the time of ``lzma.compress(data, preset=9)`` on a short input goes into taking 64 MiB of memory: 30
        ms at 2 KB, where coding takes 0.15. A match finder needs a dictionary only as large as the input. But liblzma
        also sizes its hash table by it, and a smaller table has more collisions: foreign entries in a list of
        candidates, which cost a step of a search that stops after a fixed number of steps (the depth). Chains of the
        presets 0 to 3 stop after 4 to 48 steps, so they keep their tables, which are small anyway. The trees of the
        other presets are about as deep as the logarithm of their entries, far from the limit of 24 to 512; with 256
        slots a byte of input the lengths are those of the full table. Inputs from 128 KB on get the 64 MiB anyway.
        """
        preset = self.preset | (lzma.PRESET_EXTREME if self.extreme else 0)
        chain: dict[str, Any] = {"id": lzma.FILTER_LZMA2, "preset": preset, "lc": self.lc, "lp": self.lp, "pb": self.pb}
        wanted = _PRESET_DICT_SIZES[self.preset] if self.dict_size is None else self.dict_size
        if self.preset >= _FIRST_TREE_PRESET:
            needed = max(_LEAST_ROOM, 1 << (length * _ROOM - 1).bit_length()) if length else _LEAST_ROOM
            wanted = min(wanted, needed)
        return [{**chain, "dict_size": wanted}]


#: ``xz --list`` and lzma_encoder_presets.c of liblzma: 256 KiB, then 1, 2, 4, 4, 8, 8, 16, 32 and 64 MiB.
_PRESET_DICT_SIZES = (1 << 18, *(megabytes << 20 for megabytes in (1, 2, 4, 4, 8, 8, 16, 32, 64)))
