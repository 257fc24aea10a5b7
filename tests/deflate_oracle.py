"""Two independent counts of the bits of zlib's real output: a bit-by-bit decoder, and zlib's own decoder."""

from __future__ import annotations

import zlib

STRATEGIES = {"default": zlib.Z_DEFAULT_STRATEGY, "filtered": zlib.Z_FILTERED, "huffman": zlib.Z_HUFFMAN_ONLY}
STRATEGIES |= {"rle": zlib.Z_RLE, "fixed": zlib.Z_FIXED}
_LENGTH_EXTRA = [0] * 8 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 + [5] * 4 + [0]
_DISTANCE_EXTRA = [0, 0, *(code // 2 for code in range(28))]
_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]


def zlib_stream(
    data: bytes, level: int, strategy: str = "default", window_bits: int = 15, memory_level: int = 8
) -> bytes:
    """zlib's raw deflate stream."""
    encoder = zlib.compressobj(level, zlib.DEFLATED, -window_bits, memory_level, STRATEGIES[strategy])
    return encoder.compress(data) + encoder.flush()


def zlib_bits(data: bytes, level: int, strategy: str = "default", window_bits: int = 15, memory_level: int = 8) -> int:
    """Bits of zlib's stream up to the end of its last block, found by which bits zlib's decoder does not look at."""
    stream = zlib_stream(data, level, strategy, window_bits, memory_level)
    last = stream[-1]
    for used in range(8, 0, -1):
        decoder = zlib.decompressobj(-15)
        try:
            if decoder.decompress(stream[:-1] + bytes([last ^ (1 << (used - 1))])) != data or not decoder.eof:
                break
        except zlib.error:
            break
    return 8 * (len(stream) - 1) + used


class _Bits:
    def __init__(self, stream: bytes) -> None:
        self.bits = "".join(f"{byte:08b}"[::-1] for byte in stream)
        self.position = 0

    def take(self, count: int) -> int:
        self.position += count
        return int(self.bits[self.position - count : self.position][::-1] or "0", 2)

    def symbol(self, code: dict[str, int]) -> int:
        word = ""
        while word not in code:
            word += self.bits[self.position]
            self.position += 1
        return code[word]


def _canonical(lengths: list[int]) -> dict[str, int]:
    code, value = {}, 0
    for length in range(1, 16):
        for symbol, bits in enumerate(lengths):
            if bits == length:
                code[f"{value:0{length}b}"] = symbol
                value += 1
        value <<= 1
    return code


def _read_codes(bits: _Bits) -> tuple[dict[str, int], dict[str, int]]:
    literals, distances, sent = bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4
    of_lengths = [0] * 19
    for symbol in _ORDER[:sent]:
        of_lengths[symbol] = bits.take(3)
    code, lengths = _canonical(of_lengths), []
    while len(lengths) < literals + distances:
        symbol = bits.symbol(code)
        if symbol < 16:
            lengths.append(symbol)
        elif symbol == 16:
            lengths += [lengths[-1]] * (3 + bits.take(2))
        else:
            lengths += [0] * (3 + bits.take(3) if symbol == 17 else 11 + bits.take(7))
    return _canonical(lengths[:literals]), _canonical(lengths[literals:])


def read_bits(stream: bytes) -> int:
    """Bits of a raw deflate stream, read symbol by symbol (RFC 1951)."""
    bits, last = _Bits(stream), False
    fixed = _canonical([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8), _canonical([5] * 30)
    while not last:
        last, kind = bool(bits.take(1)), bits.take(2)
        if kind == 0:
            bits.position = (bits.position + 7) // 8 * 8
            length = bits.take(16)
            bits.position += 16 + 8 * length
            continue
        literals, distances = fixed if kind == 1 else _read_codes(bits)
        while (symbol := bits.symbol(literals)) != 256:
            if symbol > 256:
                bits.take(_LENGTH_EXTRA[symbol - 257])
                distance = bits.symbol(distances)
                bits.take(_DISTANCE_EXTRA[distance])
    return bits.position
