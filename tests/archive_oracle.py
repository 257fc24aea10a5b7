"""A decoder of archives written from docs/format.md alone, in plain Python: the proof that the page says enough.

Nothing here may be imported from compgen. Slow, and without care for hostile input.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Archive:
    block_bytes: int
    streams: int
    mtime: int
    spec: str
    numerics: str
    weights: str
    name: str
    blocks: list[tuple[int, bytes, bytes]] = field(default_factory=list)  # kind, code, data


def decode(archive: bytes) -> Archive:
    """Header, blocks and data, all checked."""
    assert archive[:8] == bytes.fromhex("93 43 47 5a 0d 0a 1a 0a")
    assert archive[8] == 1
    n, crc = struct.unpack("<HI", archive[9:15])
    fields = archive[15 : 15 + n]
    assert zlib.crc32(archive[8:11] + fields) == crc
    block_bytes, streams, mtime = struct.unpack("<IHq", fields[:14])
    texts, rest = [], fields[14:]
    for _ in range(4):
        length = int.from_bytes(rest[:2], "little")
        texts.append(rest[2 : 2 + length].decode())
        rest = rest[2 + length :]
    assert rest == b""
    found = Archive(block_bytes, streams, mtime, *texts)
    rest = archive[15 + n :]
    while rest[0] != 0:
        rest = _block(rest, found)
    data = b"".join(block[2] for block in found.blocks)
    assert len(rest) == 33
    assert struct.unpack("<IQ", rest[1:13]) == (len(found.blocks), len(data))
    assert rest[13:29] == hashlib.blake2b(data, digest_size=16).digest()
    assert int.from_bytes(rest[29:], "little") == zlib.crc32(rest[:29])
    return found


def _block(rest: bytes, found: Archive) -> bytes:
    kind, number, data_bytes, code_bytes, code_crc, data_crc, crc = struct.unpack("<BIIIIII", rest[:25])
    assert zlib.crc32(rest[:21]) == crc
    assert number == len(found.blocks)
    assert 1 <= data_bytes <= found.block_bytes
    assert code_bytes <= data_bytes
    code = rest[25 : 25 + code_bytes]
    assert zlib.crc32(code) == code_crc
    data = code if kind == 1 else decode_block(found.spec, code, data_bytes, found.streams)
    assert zlib.crc32(data) == data_crc
    found.blocks.append((kind, code, data))
    return rest[25 + code_bytes :]


def decode_block(spec: str, code: bytes, length: int, streams: int) -> bytes:
    """The data of a coded block."""
    if spec.startswith("order"):
        order, coder = Order(int(spec[5:])), Coder(code)
        data = bytearray()
        for _ in range(length):
            order.make_room()
            data.append(coder.symbol(order.frequencies()))
            order.push(data[-1])
        return bytes(data)
    k = min(streams, length)
    sizes = [length // k + (1 if i < length % k else 0) for i in range(k)]
    lengths = []
    for _ in range(k - 1):
        value, shift = 0, 0
        while True:
            byte, code = code[0], code[1:]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        lengths.append(value)
    data = bytearray()
    for size, code_bytes in zip(sizes, [*lengths, len(code) - sum(lengths)], strict=True):
        coder, model = Coder(code[:code_bytes]), make(spec)
        code = code[code_bytes:]
        for _ in range(size):
            data.append(coder.symbol(quantised(model.probabilities())))
            model.push(data[-1])
    return bytes(data)


def quantised(p: list[float]) -> list[int]:
    """Probabilities to frequencies."""
    total = 1 << 24
    s = 256 + sum(math.floor(x * 2.0**43) for x in p)
    c = float((total - 256) << 43) / float(s)
    f = [1 + math.floor(x * c) for x in p]
    f[f.index(max(f))] += total - sum(f)
    return f


class Coder:
    """The arithmetic decoder."""

    def __init__(self, code: bytes) -> None:
        self.bits = int.from_bytes(code, "big")
        self.left = 8 * len(code)
        self.offset = self._read(62)
        self.width = 1 << 62

    def _read(self, count: int) -> int:
        self.left -= count
        bits = self.bits >> self.left if self.left >= 0 else self.bits << -self.left
        return bits & ((1 << count) - 1)

    def symbol(self, f: list[int]) -> int:
        total = sum(f)
        unit = self.width // total
        target = min(self.offset // unit, total - 1)
        symbol = start = 0
        while start + f[symbol] <= target:
            start += f[symbol]
            symbol += 1
        self.offset -= unit * start
        self.width = self.width - unit * start if start + f[symbol] == total else unit * f[symbol]
        while self.width <= 1 << 54:
            self.offset = (self.offset << 8) + self._read(8)
            self.width <<= 8
        assert 0 <= self.offset < self.width <= 1 << 62
        return symbol


class Uniform:
    def probabilities(self) -> list[float]:
        return [1 / 256] * 256

    def push(self, x: int) -> None:
        pass


_D = [
    ([23, 31, 37, 27], [33, 40, 37, 37]),
    ([45, 64, 74, 78], [50, 64, 55, 56]),
    ([48, 71, 78, 82], [48, 62, 57, 51]),
    ([56, 80, 79, 87], [50, 61, 49, 47]),
    ([53, 79, 88, 96], [46, 51, 44, 36]),
    ([62, 89, 117, 108], [57, 67, 55, 53]),
    ([57, 86, 101, 119], [49, 47, 35, 45]),
]


class Order:
    def __init__(self, n: int) -> None:
        self.n = n
        self.forget()

    def forget(self) -> None:
        self.counts: dict[bytes, dict[int, int]] = {}
        self.last = b""  # the longest current context
        self.used = 1

    def make_room(self) -> None:
        if self.used + self.n + 1 > 1 << 22:
            self.forget()

    def contexts(self) -> list[bytes]:
        return [self.last[len(self.last) - k :] for k in range(len(self.last) + 1)]

    def frequencies(self) -> list[int]:
        self.make_room()
        f = [1 << 23] * 256
        for k, context in enumerate(self.contexts()):
            counts = self.counts.get(context)
            if not counts:
                continue
            n = 64 * sum(counts.values())
            d = {s: _D[k][len(counts) == 1][min(c, 4) - 1] for s, c in counts.items()}
            w = (sum(d.values()) << 24) // n
            f = [(x * w) >> 24 for x in f]
            for s, c in counts.items():
                f[s] += ((64 * c - d[s]) << 31) // n
        return [x + 256 for x in f]

    def probabilities(self) -> list[float]:
        f = self.frequencies()
        total = sum(f)
        return [x / total for x in f]

    def push(self, x: int) -> None:
        self.make_room()
        counted = False
        for context in reversed(self.contexts()):
            counts = self.counts.setdefault(context, {})
            if x not in counts:
                counts[x] = 1
                self.used += 1
            elif not counted:
                counted = True
                counts[x] += 1
                if counts[x] > 255:
                    for s in counts:
                        counts[s] = (counts[s] + 1) // 2
        self.last = (self.last + bytes([x]))[-self.n :] if self.n else b""


class Mix:
    def __init__(self, parts: list[Model], share: float = 0.0) -> None:
        self.parts = parts
        self.share = share
        self.w = [1 / len(parts)] * len(parts)

    def probabilities(self) -> list[float]:
        self.p = [part.probabilities() for part in self.parts]
        return [_sum([w * p[s] for w, p in zip(self.w, self.p, strict=True)]) for s in range(256)]

    def push(self, x: int) -> None:
        u = [max(w * p[x], 2.0**-1000) for w, p in zip(self.w, self.p, strict=True)]
        t = _sum(u)
        self.w = [(1 - self.share) * (v / t) + self.share / len(u) for v in u]
        for part in self.parts:
            part.push(x)


class Blend:
    def __init__(self, parts: list[Model], rate: float = 0.006) -> None:
        self.parts = parts
        self.rate = rate
        self.w = [1 / len(parts)] * len(parts)

    def probabilities(self) -> list[float]:
        self.logs = [[_log2(x) for x in part.probabilities()] for part in self.parts]
        h = [_sum([w * logs[s] for w, logs in zip(self.w, self.logs, strict=True)]) for s in range(256)]
        largest = max(h)
        v = [max(_exp2(x - largest), 2.0**-1022) for x in h]
        total = _sum(v)
        self.p = [x / total for x in v]
        return self.p

    def push(self, x: int) -> None:
        for i, logs in enumerate(self.logs):
            e = _sum([p * log for p, log in zip(self.p, logs, strict=True)])
            self.w[i] = min(max(self.w[i] + self.rate * (logs[x] - e), 0.0), 16.0)
        for part in self.parts:
            part.push(x)


Model = Uniform | Order | Mix | Blend


def _sum(values: list[float]) -> float:
    """From the left; the built-in sum() compensates its rounding since Python 3.12."""
    total = values[0]
    for value in values[1:]:
        total += value
    return total


def _numbers(text: str) -> list[float]:
    return [float.fromhex(word) for word in text.split()]


_E = _numbers("""
0x1.314964d5878a7p-44 0x1.816193166d0f7p-40 0x1.c3bd650fc2983p-36 0x1.e8cac7351bb22p-32 0x1.e4cf5158b8ec7p-28
0x1.b5253d395e7c1p-24 0x1.62c0223a5c822p-20 0x1.ffcbfc588b0c5p-17 0x1.430912f86c786p-13 0x1.5d87fe78a6730p-10
0x1.3b2ab6fba4e77p-7  0x1.c6b08d704a0bfp-5  0x1.ebfbdff82c58ep-3  0x1.62e42fefa39efp-1  0x1.0000000000000p+0
""")
_L = _numbers("""
0x1.00ecd7e080215p-3  0x1.1964ec6fc9491p-3  0x1.3703c1f4d0ffep-3  0x1.5b9ac9b743f0dp-3  0x1.89f3b1694cffep-3
0x1.c68f568d31760p-3  0x1.0c9a84994022dp-2  0x1.484b13d7c02a9p-2  0x1.a61762a7aded9p-2  0x1.2776c50ef9bfep-1
0x1.ec709dc3a03fdp-1  0x1.71547652b82fep+1
""")


def _series(coefficients: list[float], x: float) -> float:
    y, *rest = coefficients
    for coefficient in rest:
        y = y * x + coefficient
    return y


def _exp2(x: float) -> float:
    if x < -1022:
        return 0.0
    n = math.floor(x + 0.5)
    return math.ldexp(_series(_E, x - n), n)


def _log2(x: float) -> float:
    m, n = math.frexp(x)
    if m < 0.7071067811865476:
        m, n = m * 2, n - 1
    t = (m - 1) / (m + 1)
    return n + _series(_L, t * t) * t


def make(spec: str) -> Model:
    """The model of a spec, which has no parameters but for mix and blend at the outside."""
    if spec == "uniform":
        return Uniform()
    if spec.startswith("order"):
        return Order(int(spec[5:]))
    inner, _, argument = spec.partition("(")[2].rpartition(")")
    assert "(" not in inner
    parameters = {key: float(value) for key, value in (a.split("=") for a in argument[1:].split(",") if a)}
    kind: Callable[..., Model] = Mix if spec.startswith("mix") else Blend
    return kind([make(part) for part in inner.split(",")], **parameters)
