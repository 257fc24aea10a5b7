"""JPEG XL lossless through the optional package ``pillow-jxl-plugin`` (libjxl)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar

from baselines._check import corrupt, require_range
from baselines._layout import as_rows, note_of, recover, require_whole_rows
from compgen.errors import MissingExtraError
from compgen.interfaces import Compressor

_SIGNATURE_BOX = bytes.fromhex("0000000c4a584c200d0a870a")
_TYPE_BOX = bytes.fromhex("00000014667479706a786c20000000006a786c20")
_IMAGE_BOX, _NOTE_BOX = b"jxlc", b"cgLN"
#: First bytes of a codestream.
_CODESTREAM_SIGNATURE = b"\xff\x0a"


@dataclass(frozen=True)
class Jxl(Compressor):
    """JPEG XL, lossless, of gray pixels, one byte a pixel in rows of ``width``; :meth:`compress` writes a .jxl file.

    An unfinished last row is filled with the pixels above it, and counts. ``code_length`` counts the codestream in
    whole bytes (its last bit is not to be had from libjxl), with its image and frame headers, which are of no fixed
    size. Left out are 62 bytes: the codestream's signature (2) and the boxes around it: signature (12), file type
    (20), a box with length and checksum of the data (20), and the header of the codestream's box (8). See ISO/IEC
    18181-2:2024, section 4. The empty file is a one-pixel image and costs nothing.

    :param width: pixels a row, 1..65535. A given width is a promise that the data is whole rows, which
        :meth:`compress` checks; None means 64 and any length.
    :param effort: 1..10, effort of the search.

    >>> Jxl().decompress(Jxl().compress(b"abc" * 1000)) == b"abc" * 1000
    True
    """

    name: ClassVar[str] = "jxl"
    #: Bytes of the file that code lengths leave out.
    overhead_bytes: ClassVar[int] = len(_SIGNATURE_BOX) + len(_TYPE_BOX) + 20 + 8 + len(_CODESTREAM_SIGNATURE)

    width: int | None = None
    effort: int = 7

    def __post_init__(self) -> None:
        if self.width is not None:
            require_range(self.name, "width", self.width, 1, 65535)
        require_range(self.name, "effort", self.effort, 1, 10)

    @property
    def library(self) -> str:
        """See :attr:`Compressor.library`."""
        _package()
        return f"pillow-jxl-plugin {version('pillow-jxl-plugin')}"

    def compress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.compress`. Data that is not whole rows of a given width raises ``BadInputError``."""
        require_whole_rows(len(data), self.width)
        boxes = _box(_NOTE_BOX, note_of(data, len(data))) + _box(_IMAGE_BOX, self._encode(data or b"\0"))
        return _SIGNATURE_BOX + _TYPE_BOX + boxes

    def decompress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.decompress`. Reads the files that :meth:`compress` writes."""
        start = _SIGNATURE_BOX + _TYPE_BOX
        if data[: len(start)] != start:
            raise corrupt("jxl", "it does not start as one")
        boxes = dict(_boxes(data, len(start)))
        if list(boxes) != [_NOTE_BOX, _IMAGE_BOX]:
            raise corrupt("jxl", "it does not have the two boxes that compress() writes")
        decoder = _package().Decoder(num_threads=0)
        try:
            _, _, pixels, _, _ = decoder(boxes[_IMAGE_BOX])
        except (RuntimeError, ValueError, OSError) as error:
            raise corrupt("jxl", error) from None
        decoded = recover(bytes(pixels), boxes[_NOTE_BOX])
        if decoded is None or decoded[1]:
            raise corrupt("jxl", "length or checksum do not match")
        return decoded[0]

    def code_length(self, data: bytes) -> float:
        """See :meth:`Compressor.code_length`. The data need not be whole rows, whatever the width."""
        return 8.0 * (len(self._encode(data)) - len(_CODESTREAM_SIGNATURE)) if data else 0.0

    def _encode(self, data: bytes) -> bytes:
        """The codestream."""
        rows = as_rows(data, self.width)
        encoder = _package().Encoder(
            mode="L",
            lossless=True,
            quality=100,
            decoding_speed=0,
            effort=self.effort,
            use_container=False,
            use_original_profile=False,
            num_threads=0,
        )
        height, width = rows.shape
        code = encoder(rows.tobytes(), width, height, jpeg_encode=False, exif=None, jumb=None, xmp=None, compress=False)
        return bytes(code)


def _package() -> Any:
    try:
        import pillow_jxl
    except ImportError:
        raise MissingExtraError("the codec jxl", "jxl") from None
    return pillow_jxl


def _box(kind: bytes, body: bytes) -> bytes:
    """A box: its size in bytes, 0 for "up to the end of the file" where 32 bits are not enough, then type and body."""
    size = len(body) + 8
    return (size if size < 1 << 32 else 0).to_bytes(4, "big") + kind + body


def _boxes(data: bytes, position: int) -> Iterator[tuple[bytes, bytes]]:
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big") or len(data) - position
        if size < 8 or position + size > len(data):
            raise corrupt("jxl", "it ends too early")
        yield data[position + 4 : position + 8], data[position + 8 : position + size]
        position += size
