"""gzip (RFC 1952): deflate in the container of ``.gz`` files."""

from __future__ import annotations

from dataclasses import dataclass

from baselines.deflate import DeflateCodec


@dataclass(frozen=True)
class Gzip(DeflateCodec):
    """Deflate as the gzip program does it, counted in exact bits.

    ``level`` 0-9 trades time for size; ``window_bits`` 9-15 is the binary logarithm of how far back matches reach;
    ``memory_level`` 1-9 sets how many symbols a block holds (2**(memory_level + 6)); ``strategy`` is zlib's. With
    ``whole_bytes`` lengths are rounded up to bytes, as most published work counts them.

    Code lengths are the exact bits of the deflate stream. They leave out the container (RFC 1952: 10 bytes of header,
    8 of checksum and length) and the padding to a whole byte.

    >>> Gzip().decompress(Gzip().compress(b"to be")) == b"to be"
    True
    >>> Gzip().code_length(b"to be")  # a fixed block: 3 bits, 5 literals of 8 bits, 7 bits of end
    50.0
    """

    name = "gzip"
    overhead_bytes = 18
    container = 2
