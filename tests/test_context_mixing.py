"""``cm``: the kernel against a plain description, the coder against the predictor, and both against bad input."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compgen
from compgen import numerics
from compgen.datasets import default_context
from compgen.errors import UsageError
from compgen.predictors.contextmix import ContextMix, tables
from compgen.predictors.contextmix import _fields as fields
from compgen.predictors.contextmix import model as model_module
from compgen.predictors.contextmix.settings import recipe, recipes

#: English and Python, a bit more than the 2048 bytes after which the tables grow.
TEXT = default_context() + inspect.getsource(compgen.interfaces).encode()[:14000]
NOISE = np.random.Philox(key=0).random_raw(1000).astype("<u8").tobytes()
SMALL = ContextMix(memory_mb=2)
IMAGE = ContextMix(memory_mb=2, mode="image", width=64)
AUDIO = ContextMix(memory_mb=2, mode="audio")
VARIANTS = [SMALL, ContextMix(level=1, memory_mb=2), ContextMix(level=3, memory_mb=2), IMAGE, AUDIO]


def picture() -> bytes:
    """64 x 48 pixels: a slope, a disc, some noise."""
    y, x = np.mgrid[0:48, 0:64]
    disc = 60 * ((x - 30) ** 2 + (y - 20) ** 2 < 200)
    noise = np.frombuffer(NOISE[: 48 * 64], np.uint8).reshape(48, 64) % 5
    return (40 + x + y // 2 + disc + noise).astype(np.uint8).tobytes()


def sound() -> bytes:
    """A chord with some noise, by exact integer recurrences: no libm."""
    out, a, b, c, d = bytearray(), 0.0, 30.0, 0.0, 20.0
    for n in range(3000):
        a, b = b, 1.96 * b - 0.998 * a
        c, d = d, 1.80 * d - 0.999 * c
        if n % 700 == 0:
            b += 20
        out.append(max(0, min(255, 128 + int(a + c) // 4 + NOISE[n] % 3)))
    return bytes(out)


INPUTS = {
    "empty": b"",
    "one": b"x",
    "zero": b"\0",
    "text": TEXT[:5000],
    "zeros": bytes(6000),
    "ones": b"\xff" * 3000,
    "noise": NOISE[:3000],
    "period": b"abcde" * 1000,
    "lines": b"\n".join(b"%d;%d" % (i, i * i) for i in range(300)),
    "picture": picture(),
    "sound": sound(),
    "bytes": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("model", VARIANTS, ids=str)
def test_round_trip(model: ContextMix, name: str) -> None:
    data = INPUTS[name]
    code = model.encode_block(data)
    assert model.decode_block(code, len(data)) == data
    bits = model.code_lengths([data])[0].sum()
    assert 8 * len(code) <= bits * 1.001 + 16  # the coder loses next to nothing


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(VARIANTS))
def test_round_trip_anything(data: bytes, model: ContextMix) -> None:
    assert model.decode_block(model.encode_block(data), len(data)) == data


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 3000), st.sampled_from(VARIANTS))
def test_garbage_decodes_to_something(code: bytes, length: int, model: ContextMix) -> None:
    assert len(model.decode_block(code, length)) == length


@pytest.mark.parametrize("model", VARIANTS, ids=str)
def test_predictor_and_coder_agree_to_the_bit(model: ContextMix) -> None:
    data = {"image": picture(), "audio": sound()}.get(model.mode, TEXT)[:2300]  # the tables grow at 2048
    context, rest = data[:1900], data[1900:]
    session = model.session([context, b""])
    chosen = []
    for byte in rest:
        probabilities = session.probabilities()
        assert (probabilities > 0).all()
        assert abs(probabilities.sum(axis=1) - 1).max() < 1e-12
        chosen.append(probabilities[0, byte])
        session.push([byte, byte])
    assert (-numerics.log2(np.array(chosen)) == model.code_lengths([rest], [context])[0]).all()


def test_looking_changes_nothing() -> None:
    looked, plain = SMALL.session([TEXT[:3000]]), SMALL.session([TEXT[:3000]])
    for byte in TEXT[3000:3050]:
        looked.probabilities()
        looked.probabilities()
        looked.push([byte])
        plain.push([byte])
    assert (looked.probabilities() == plain.probabilities()).all()


def test_forks_go_their_own_way() -> None:
    session = SMALL.session([TEXT[:2047]])
    fork = session.fork()
    fork.push([7])
    fork.push([7])
    session.push([TEXT[2047]])
    session.push([TEXT[2048]])
    assert (session.probabilities() == SMALL.session([TEXT[:2049]]).probabilities()).all()
    assert (fork.probabilities() == SMALL.session([TEXT[:2047] + b"\x07\x07"]).probabilities()).all()


def test_threads_do_not_matter() -> None:
    parts = [TEXT[i : i + 3000] for i in range(0, 12000, 3000)] * 2
    alone = [SMALL.encode_block(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda part: SMALL.encode_block(part), parts)) == alone


#: A code never changes its meaning: what was packed once must unpack for ever.
GOLDEN = {
    "cm:level=1,memory_mb=2": "0ec9bd3ad6c29060",
    "cm:memory_mb=2": "43a597ded1a28468",
    "cm:level=3,memory_mb=2": "6ae3d0c75267f499",
    "cm:memory_mb=2,mode=image": "10b07a9a0e8d5f29",
    "cm:memory_mb=2,mode=audio": "58daa1415a170f25",
}


@pytest.mark.parametrize("model", VARIANTS, ids=str)
def test_golden_codes(model: ContextMix) -> None:
    digest = hashlib.sha256()
    for name in ("zero", "zeros", "noise", "lines", "picture", "sound", "bytes"):
        digest.update(model.encode_block(INPUTS[name]))
    assert digest.hexdigest()[:16] == GOLDEN[model.spec]


def test_it_is_strong() -> None:
    data = TEXT
    assert len(SMALL.encode_block(data)) < 0.85 * len(zlib.compress(data, 9))
    assert len(IMAGE.encode_block(picture())) < 0.9 * len(SMALL.encode_block(picture()))
    assert len(AUDIO.encode_block(sound())) < 0.9 * len(SMALL.encode_block(sound()))


def test_noise_costs_little_more_than_itself() -> None:
    assert len(SMALL.encode_block(NOISE)) < 1.05 * len(NOISE)


def test_wrong_parameters_are_named() -> None:
    for wrong, word in (
        ({"level": 9}, "level"),
        ({"mode": "x"}, "mode"),
        ({"memory_mb": -1}, "memory"),
        ({"width": 0}, "width"),
    ):
        with pytest.raises(UsageError, match=word):
            ContextMix(**wrong)


def test_spec_and_pickle() -> None:
    assert AUDIO.spec == "cm:memory_mb=2,mode=audio"
    assert pickle.loads(pickle.dumps(AUDIO)) == AUDIO


# --- tables ---------------------------------------------------------------------------------------------------------


def test_squash_inverts_stretch() -> None:
    stretch, squash = tables.stretch(), tables.squash()
    assert (np.diff(stretch) >= 0).all()
    assert (np.diff(squash) >= 0).all()
    back = squash[stretch + tables.SQUASH_LIMIT] / 16
    assert abs(back - (np.arange(4096) + 0.5)).max() < 2.1


def test_histories_are_a_machine() -> None:
    states, after = tables.histories(), tables.transitions()
    assert states[0] == (0, 0, 0)
    assert len(states) <= 256
    assert states[after[0]][:2] == (1, 0)
    assert states[after[1]][:2] == (0, 1)
    totals = [n0 + n1 for n0, n1, _ in states]
    assert totals == sorted(totals)  # so that a lower number gives way
    for state, (_, _, _) in enumerate(states):
        for bit in (0, 1):
            assert states[after[2 * state + bit]][2] == bit


# --- the kernel against its description -----------------------------------------------------------------------------

MASK = (1 << 64) - 1
K1, K2, K3, K4, K5 = (int(getattr(fields, f"K{i}")) for i in range(1, 6))


def signed32(x: int) -> int:
    return (x + (1 << 31)) % (1 << 32) - (1 << 31)


class Plain:
    """The general mode as ``docs/context_mixing.md`` describes it, without growth, in Python's integers."""

    def __init__(self, level: int) -> None:
        self.made = recipe("general", level)
        self.recipes = [list(map(int, row)) for row in recipes(self.made.contexts)]
        n = len(self.made.contexts)
        self.slots = model_module.FIRST_SLOTS
        self.table = [[0] * 16 for _ in range(self.slots)]
        self.maps = [[int(p) for p in tables.first_guesses()] for _ in range(n)]
        self.weights: dict[tuple[int, int], list[int]] = {}
        self.weights2: dict[int, list[int]] = {}
        self.refined: dict[int, list[int]] = {}
        self.matched = [int(p) for p in tables.first_matched()]
        self.heads: dict[tuple[int, int], int] = {}
        self.after: dict[tuple[int, int], int] = {}
        self.past = b""
        self.hashes, self.keys = [0] * n, (0, 0)
        self.matches = [(0, 0), (0, 0)]
        self.words, self.gap, self.line, self.line2, self.near, self.far = [0, 0, 0], 0, 0, 0, 0, 0
        self.first_place = [(0, 0)] * n

    # slots

    def place(self, h: int) -> tuple[int, int]:
        h ^= h >> 29
        h = h * K3 & MASK
        return (h >> 20) & (self.slots - 1), h >> 56

    def find(self, place: tuple[int, int]) -> int:
        at, check = place
        return next((i for i in (at, at ^ 1, at ^ 2) if self.table[i][0] == check), -1)

    def claim(self, place: tuple[int, int], slot: int) -> list[int]:
        if slot < 0 or self.table[slot][0] != place[1]:
            slot = place[0]
            for other in (place[0] ^ 1, place[0] ^ 2):
                if self.table[other][1] < self.table[slot][1]:
                    slot = other
            self.table[slot] = [place[1]] + [0] * 15
        return self.table[slot]

    # prediction

    def line_of(self, key: int, c0: int) -> int:
        h = (key + (c0 >> 1) * 0x9E3779B1) & MASK
        return ((((h >> 8) ^ h) << 1) + (c0 & 1)) & (self.slots // 4 - 1)

    def from_match(self, which: int, c0: int, bit: int) -> tuple[list[int], int]:
        _, length = self.matches[which]
        expected = 256 | (self.near >> 40 * which) & 255
        if not length or expected >> (8 - bit) != c0:
            return [0, 0], -1
        cell = (which * 64 + (self.near >> (40 * which + 8) & 63)) * 2 + (expected >> (7 - bit) & 1)
        p = self.matched[cell] >> 20
        return [int(tables.stretch()[p]), (p - 2048) >> 1], cell

    def predict(self, found: list[int], known: int, c0: int, bit: int) -> tuple[int, dict[str, Any]]:
        node = c0 if bit < 4 else c0 & ((1 << (bit - 4)) - 1) | 1 << (bit - 4)
        x = [
            int(tables.stretch()[p_map[self.table[slot][node] if slot >= 0 else 0] >> 20])
            for slot, p_map in zip(found, self.maps, strict=True)
        ]
        cells = []
        for which in range(2):
            pair, cell = self.from_match(which, c0, bit)
            x += pair
            cells.append(cell)
        x.append(256)
        rows, logits = [], []
        row2 = self.weights2.setdefault(c0, [65536 // len(self.made.selectors)] * len(self.made.selectors))
        words = {fields.RECENT: self.recent(), fields.NEAR: self.near, fields.FAR: self.far, fields.KNOWN: known}
        for k, s in enumerate(self.made.selectors):
            value = words[s.source] >> s.shift & s.mask
            key = (k, c0 if s.tree else value * 8 + bit if s.bits else value)
            fresh = [self.made.context_weight] * len(self.maps) + [0] * 5
            rows.append(self.weights.setdefault(key, fresh))
            total = sum(signed32(w * v) >> 10 for w, v in zip(rows[-1], x, strict=True))
            logits.append(min(max(total >> 6, -3071), 3071))
        logit = min(max(sum(signed32(w * v) >> 8 for w, v in zip(row2, logits, strict=True)) >> 8, -3071), 3071)
        squash = tables.squash()
        p = int(squash[logit + 3072])
        notes = {"x": x, "rows": rows, "logits": logits, "row2": row2, "p2": p, "cells": cells, "points": []}
        if not self.made.refining:
            return p, notes
        at, weight, q = (logit + 3072) >> 8, (logit + 3072) & 255, []
        for key in self.keys:
            start = [int(squash[min(i * 256, 6143)]) for i in range(25)]
            curve = self.refined.setdefault(self.line_of(key, c0), start)
            q.append((curve[at] * (256 - weight) + curve[at + 1] * weight) >> 8)
            notes["points"].append((curve, at + (weight >> 7)))
        return min(max((p + q[0] + 2 * q[1]) >> 2, 1), 65535), notes

    # learning

    def learn_bit(self, y: int, notes: dict[str, Any]) -> None:
        squash, position = tables.squash(), len(self.past)
        rate = self.made.speed + self.made.speed_start * 2048 // (position + 2048)
        for row, logit in zip(notes["rows"], notes["logits"], strict=True):
            difference = (y << 16) - int(squash[logit + 3072])
            if abs(difference) >= fields.CLOSE:
                error = difference * rate >> 10
                for i, v in enumerate(notes["x"]):
                    row[i] = min(max(row[i] + ((v * error + 8192) >> 14), -524288), 524287)
        if len(notes["rows"]) > 1:
            error = ((y << 16) - notes["p2"]) >> 4
            for i, v in enumerate(notes["logits"]):
                notes["row2"][i] = min(max(notes["row2"][i] + ((v * error + 8192) >> 14), -524288), 524287)
        for curve, i in notes["points"]:
            curve[i] += (((y << 16) - y - curve[i]) + 32) >> 6
        for cell in notes["cells"]:
            if cell >= 0:
                p, seen = self.matched[cell] >> 10, self.matched[cell] & 1023
                p += ((4194303 * y - p) * int(tables.reciprocals()[seen])) >> 16
                self.matched[cell] = p << 10 | min(seen + 1, 1023)

    # contexts

    def recent(self, count: int = 8, skip: int = 0) -> int:
        return int.from_bytes(self.past[max(0, len(self.past) - skip - count) : len(self.past) - skip], "big")

    def follow(self, which: int) -> tuple[int, int]:
        minimum, past = self.made.minimum[which], self.past
        if len(past) < minimum:
            return 0, 0
        key = (self.recent(min(minimum, 8)) << 64 - 8 * min(minimum, 8)) * K1
        if minimum > 8:
            key += (self.recent(minimum - 8, 8) << 64 - 8 * (minimum - 8)) * K3
        key &= MASK
        slot = (which, ((key ^ key >> 32) * K2 & MASK) >> 30 & (self.slots // 4 - 1))
        candidate, self.heads[slot] = self.heads.get(slot, 0), len(past)
        at, length = self.matches[which]
        if length and past[at] == past[-1]:
            at, length = at + 1, length + 1
        else:
            at, length = candidate, 0
            while length < min(40, at) and past[at - 1 - length] == past[-1 - length]:
                length += 1
            length = length if length >= minimum else 0
        self.matches[which] = at, length
        bucket = length if length < 16 else 16 + (length - 16 >> 2) if length < 32 else min(20 + (length - 32 >> 3), 31)
        return (past[at], bucket) if length else (0, 0)

    def advance(self, c: int) -> None:
        before = self.past
        self.past += bytes([c])
        letter = bytes([c]).isalpha() or c >= 128
        kind = 0 if letter else 1 if c in b" \n" else 2 if bytes([c]).isdigit() else 3
        if letter:
            w = (self.words[0] + (c | 32 if c < 128 else c) + 1) * K1 & MASK
            self.words[0] = w ^ w >> 32
        else:
            if self.words[0]:
                self.words, self.gap = [0, *self.words[:2]], 0
            self.gap = (self.gap + c + 1) * K2 & MASK
        if c == 10:
            self.line2, self.line = self.line, len(self.past)
        pair = bytes(2) + before
        for order, key in ((1, pair[-1]), (2, int.from_bytes(pair[-2:], "big") * K1 % 2**64 >> 49)):
            self.after[order, key] = (self.after.get((order, key), 0) << 8 | c) & 0xFFFFFFFF
        pair = bytes(2) + self.past
        follow1 = self.after.get((1, c), 0) & 0xFFFF
        follow2 = self.after.get((2, int.from_bytes(pair[-2:], "big") * K1 % 2**64 >> 49), 0) & 0xFFFF
        (byte, bucket), (byte2, bucket2) = self.follow(0), self.follow(1)
        column = len(self.past) - self.line
        up = self.past[self.line2 + column] if self.line2 + column < self.line else 10
        first = self.past[self.line] if column else 0
        parts = (byte, bucket, 0, up, min(column, 255), byte2, bucket2, first)
        self.near = int.from_bytes(bytes(parts), "little")
        self.far = (follow1 | follow2 << 16 | (self.far >> 32) << 34 | kind << 32) & MASK
        key = ((self.near & 0xFF) * K2 + c) * K1 & MASK
        self.keys = key >> 33, ((self.recent() & 0xFFFF) * K3 & MASK) >> 33
        for i, (m_recent, m_near, m_far, *m_words, m_gap, seed) in enumerate(self.recipes):
            h = (self.recent() & m_recent) * K1 & MASK
            h ^= h >> 31
            h += (self.near & m_near) * K2 + (self.far & m_far) * K4 + seed + self.gap * m_gap
            h += sum(w * m for w, m in zip(self.words, m_words, strict=True))
            self.hashes[i] = h * K5 & MASK
        self.first_place = [self.place(h) for h in self.hashes]

    def step(self, byte: int) -> float:
        """P(byte); then learn it."""
        p_byte, c0, noted = 1.0, 1, []
        places, slots = [self.first_place, []], [[], []]
        for half in range(2):
            if half:
                places[1] = [self.place((h + c0 * K4) * K5 & MASK) for h in self.hashes]
            slots[half] = [self.find(place) for place in places[half]]
            known = sum(slot >= 0 and self.table[slot][1] != 0 for slot in slots[half])
            for bit in range(4 * half, 4 * half + 4):
                p, notes = self.predict(slots[half], known, c0, bit)
                y = byte >> (7 - bit) & 1
                p_byte *= (p if y else 65536 - p) / 65536
                noted.append((y, notes))
                c0 = c0 << 1 | y
        self.advance(byte)
        shift = 7 + (len(self.past) > 16384)
        for half in range(2):
            nibble = byte & 15 if half else byte >> 4
            for p_map, place, slot in zip(self.maps, places[half], slots[half], strict=True):
                histories = self.claim(place, slot)
                for t in range(4):
                    y, node = nibble >> (3 - t) & 1, (nibble | 16) >> (4 - t)
                    history = histories[node]
                    histories[node] = int(tables.transitions()[2 * history + y])
                    p_map[history] += (0xFFFFFFFF * y - p_map[history]) >> shift
            for y, notes in noted[4 * half : 4 * half + 4]:
                self.learn_bit(y, notes)
        return p_byte


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("name", ["text", "lines", "bytes", "zeros"])
def test_kernel_does_what_is_described(level: int, name: str) -> None:
    data = INPUTS[name][:500]
    plain = Plain(level)
    expected = np.array([plain.step(byte) for byte in data])
    assert (ContextMix(level=level).code_lengths([data])[0] == -numerics.log2(expected)).all()
