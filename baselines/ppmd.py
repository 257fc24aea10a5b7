"""PPMd, prediction by partial matching, through the optional package ``pyppmd``."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar, Literal, get_args

from baselines._check import corrupt, require_choice, require_range
from compgen.errors import MissingExtraError
from compgen.interfaces import Compressor

Variant = Literal["H", "I"]

_MAGIC = b"cgPM"
#: Variant, order, memory and length of the data; then a CRC-32 of these and of the code.
_PARAMETERS = struct.Struct(">cBIQ")
_CHECKSUM_BYTES = 4
_MAX_MEMORY = (1 << 32) - 1 - 36


@dataclass(frozen=True)
class Ppmd(Compressor):
    """PPMd by Dmitry Shkarin, variant H (7-Zip's) or I (ZIP's).

    A PPMd code does not say where it ends, so :meth:`compress` writes a header of our own, with the parameters, the
    length and a checksum of the code. ``code_length`` counts the range coder's output in whole bytes: what its last
    bytes leave open is not to be had from the library. Left out are 27 bytes for variant H, 26 for I: the header (22)
    and what the coder flushes even for the empty input (5 or 4). See Shkarin, "PPM: one step to practicality", DCC
    2002, for the model and "APPNOTE.TXT - .ZIP File Format Specification" 6.3.10, section 5.10, for variant I in
    files.

    Every encoder leaks memory, in all releases of ``pyppmd`` up to 1.3.1: 19 KB in variant H, 7 KB in variant I, which
    is why that is the default. A step of 256 continuations then loses 2 MB, so sample some hundred bytes at a time.

    :param order: longest context in bytes, 2..64.
    :param memory: bytes for the model, 2 KiB to 4 GiB; when they are full the model starts anew.
    :param variant: "H" or "I".

    >>> Ppmd().decompress(Ppmd().compress(b"abc" * 1000)) == b"abc" * 1000
    True
    """

    name: ClassVar[str] = "ppmd"
    #: Bytes of the file that code lengths leave out, for variant I.
    overhead_bytes: ClassVar[int] = len(_MAGIC) + _PARAMETERS.size + _CHECKSUM_BYTES + 4

    order: int = 16
    memory: int = 1 << 24
    variant: Variant = "I"

    def __post_init__(self) -> None:
        require_range(self.name, "order", self.order, 2, 64)
        require_range(self.name, "memory", self.memory, 1 << 11, _MAX_MEMORY)
        require_choice(self.name, "variant", self.variant, get_args(Variant))

    @property
    def library(self) -> str:
        """See :attr:`Compressor.library`."""
        _package()
        return f"pyppmd {version('pyppmd')}"

    def compress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.compress`."""
        parameters = _PARAMETERS.pack(self.variant.encode(), self.order, self.memory, len(data))
        code = self._encode(data)
        return _MAGIC + zlib.crc32(parameters + code).to_bytes(_CHECKSUM_BYTES, "big") + parameters + code

    def decompress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.decompress`. Reads the files that :meth:`compress` writes, of any parameters."""
        start = len(_MAGIC) + _CHECKSUM_BYTES
        code_start = start + _PARAMETERS.size
        if data[: len(_MAGIC)] != _MAGIC or len(data) < code_start:
            raise corrupt("ppmd", "it does not start as one")
        # The checksum covers the code, not the data, since the decoder is no place for damaged codes.
        if zlib.crc32(data[start:]).to_bytes(_CHECKSUM_BYTES, "big") != data[len(_MAGIC) : start]:
            raise corrupt("ppmd", "the checksum does not match")
        variant, order, memory, length = _PARAMETERS.unpack(data[start:code_start])
        package = _package()
        decoder_class = {b"H": package.Ppmd7Decoder, b"I": package.Ppmd8Decoder}.get(variant)
        if decoder_class is None or not 2 <= order <= 64 or not 1 << 11 <= memory <= _MAX_MEMORY:
            raise corrupt("ppmd", "its parameters are out of range")
        if not length:
            return b""
        try:
            # The decoders want some bytes ahead of where they are, and the shortest codes have none.
            decoded = bytes(decoder_class(order, memory).decode(data[code_start:] + bytes(8), length))
        except (package.PpmdError, ValueError, MemoryError, EOFError) as error:
            raise corrupt("ppmd", error) from None
        if len(decoded) != length:
            raise corrupt("ppmd", "the code ends too early")
        return decoded

    def code_length(self, data: bytes) -> float:
        """See :meth:`Compressor.code_length`."""
        return 8.0 * (len(self._encode(data)) - (5 if self.variant == "H" else 4))

    def _encode(self, data: bytes) -> bytes:
        package = _package()
        encoder = (package.Ppmd7Encoder if self.variant == "H" else package.Ppmd8Encoder)(self.order, self.memory)
        return bytes(encoder.encode(data) + (encoder.flush() if self.variant == "H" else encoder.flush(False)))


def _package() -> Any:
    try:
        import pyppmd
    except ImportError:
        raise MissingExtraError("the codec ppmd", "ppmd") from None
    return pyppmd
