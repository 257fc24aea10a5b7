"""zlib (RFC 1950): deflate in the container of HTTP, git and many file formats."""

from __future__ import annotations

from dataclasses import dataclass

from baselines.deflate import DeflateCodec


@dataclass(frozen=True)
class Zlib(DeflateCodec):
    """Deflate in zlib's container, counted in exact bits.

    The parameters are those of :class:`baselines.gzip.Gzip`. Code lengths leave out the container (RFC 1950: 2 bytes of
    header, 4 of checksum) and the padding to a whole byte.
    """

    name = "zlib"
    overhead_bytes = 6
    container = 1
