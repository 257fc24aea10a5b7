"""``cm``: the kernel against a plain description, the coder against the predictor, and both against bad input."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compgen
from compgen import numerics
from compgen.datasets import default_context
from compgen.errors import UsageError
from compgen.predictors.contextmix import ContextMix, auto, detect, predictor, tables
from compgen.predictors.contextmix import _fields as fields
from compgen.predictors.contextmix import model as model_module
from compgen.predictors.contextmix.settings import Context, Recipe, Shape, guided, recipe, recipes

#: English and Python, a bit more than the 2048 bytes after which the tables grow.
TEXT = default_context() + inspect.getsource(compgen.interfaces).encode()[:14000]
NOISE = np.random.Philox(key=0).random_raw(1000).astype("<u8").tobytes()
LONG_NOISE = np.random.Philox(key=1).random_raw(5000).astype("<u8").tobytes()
SMALL = ContextMix(memory_mb=2, mode="general")
IMAGE = ContextMix(memory_mb=2, mode="image", width=64)
AUDIO = ContextMix(memory_mb=2, mode="audio")
AUDIO16 = ContextMix(memory_mb=2, mode="audio", bits=16)
AUTO = ContextMix(memory_mb=2)
VARIANTS = [
    SMALL,
    ContextMix(level=1, memory_mb=2, mode="general"),
    ContextMix(level=3, memory_mb=2, mode="general"),
    IMAGE,
    ContextMix(memory_mb=2, mode="image", width=21, channels=3),
    AUDIO,
    AUDIO16,
    ContextMix(memory_mb=2, mode="audio", bits=16, channels=2),
    AUTO,
]


def picture(rows: int = 48) -> bytes:
    """64 pixels a row: a slope, a disc, some noise."""
    y, x = np.mgrid[0:rows, 0:64]
    disc = 60 * ((x - 30) ** 2 + (y - 20) ** 2 < 200)
    noise = np.frombuffer(NOISE[: rows * 64], np.uint8).reshape(rows, 64) % 5
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


def wide_sound(samples: int = 2500) -> bytes:
    """16-bit samples of the same kind, quiet at first."""
    out, a, b = bytearray(), 0.0, 300.0
    for n in range(samples):
        a, b = b, 1.93 * b - 0.997 * a
        if n % 500 == 0:
            b += 4 * (n % 997)
        noise = NOISE[n] if n < len(NOISE) else LONG_NOISE[n]
        out += max(-32768, min(32767, int(b) + noise % 64)).to_bytes(2, "little", signed=True)
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
    "wide": wide_sound(),
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
    data = {"image": picture(), "audio": sound() if model.bits == 8 else wide_sound()}.get(model.mode, TEXT)[
        :2300
    ]  # the tables grow at 2048
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
    "cm:memory_mb=2,mode=general": "cb6a778c37b335d0",
    "cm:level=1,memory_mb=2,mode=general": "18996ecdf06aca22",
    "cm:level=3,memory_mb=2,mode=general": "bbc06da3ad50600c",
    "cm:memory_mb=2,mode=image": "54911a1b817c53c5",
    "cm:memory_mb=2,mode=image,width=21,channels=3": "29051f7e0a7a02af",
    "cm:memory_mb=2,mode=audio": "dd40cc72f48a7f0f",
    "cm:memory_mb=2,mode=audio,bits=16": "7a42002f148d6638",
    "cm:memory_mb=2,mode=audio,bits=16,channels=2": "7103089f970e21e6",
    "cm:memory_mb=2": "ae32e552450824ca",
}


def header(kind: str) -> bytes:
    """The header of a file of 64 x 48 pixels or 16-bit sound."""
    if kind == "wav":
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
        return b"RIFF" + struct.pack("<I", 5036) + b"WAVE" + form + b"data" + struct.pack("<I", 5000)
    if kind == "bmp":
        sizes = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 4150, 0, 1078, 40, 64, 48, 1, 8, 0, 3072, 0, 0, 256, 0)
        return sizes + b"".join(bytes([i, i, i, 0]) for i in range(256))
    return b"P5\n64 48\n255\n"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (header("wav") + wide_sound(), Shape("audio", bits=16)),
        (header("bmp") + picture(), Shape("image", 64, stride=64, phase=1078)),
        (header("pgm") + picture(), Shape("image", 64, stride=64, phase=13)),
    ],
    ids=["wav", "bmp", "pgm"],
)
def test_files_are_taken_at_their_word(data: bytes, told: Shape) -> None:
    assert detect.named(data[:64]) == told


@pytest.mark.parametrize("start", [0, 1000])
def test_numbers_are_told_from_text(start: int) -> None:
    def look(data: bytes) -> list[Shape]:
        return detect.guesses(np.frombuffer(data, dtype=np.uint8), start, len(data))

    assert look(TEXT[:5000]) == look(NOISE[:3000]) == look(NOISE[:1] + bytes(3000)) == []
    assert (look(picture())[0].mode, look(picture())[0].width) == ("image", 64)
    assert Shape("audio") in look(sound())
    assert look(wide_sound()) == [Shape("audio", bits=16)]
    assert look(b"x" + wide_sound()) == [Shape("audio", bits=16, phase=1)]
    colours = bytes(x for pixel in picture() for x in (pixel, pixel // 2, 200 - pixel // 2))
    assert (look(colours)[0].channels, look(colours)[0].stride) == (3, 192)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (picture(), IMAGE),
        (sound(), AUDIO),
        (wide_sound(), AUDIO16),
        (header("wav") + wide_sound(), AUDIO16),
        (header("pgm") + picture(), IMAGE),
    ],
    ids=["picture", "sound", "wide sound", "wav", "pgm"],
)
def test_auto_is_near_what_it_would_do_if_told(data: bytes, told: ContextMix) -> None:
    found, general, best = (len(model.encode_block(data)) for model in (AUTO, SMALL, told))
    assert found < 0.3 * general + 0.7 * best + 40


def test_auto_is_general_for_text() -> None:
    assert AUTO.encode_block(TEXT) == SMALL.encode_block(TEXT)


def test_auto_changes_its_mind() -> None:
    mixed = TEXT[:1500] + picture(120) + TEXT[1500:] + wide_sound(40000) + TEXT[:3000]
    code = AUTO.encode_block(mixed)
    assert AUTO.decode_block(code, len(mixed)) == mixed
    assert len(code) < 0.97 * len(SMALL.encode_block(mixed))
    session = AUTO.session([picture()[:255]])
    fork = session.fork()
    for byte in picture()[255:300]:
        assert (session.probabilities() == fork.probabilities()).all()
        session.push([byte])
        fork.push([byte])


def test_auto_decides_in_integers_and_remembers_repetitions() -> None:
    assert tables.lengths().dtype == np.int32
    bits = SMALL.code_lengths([TEXT[:2000]])[0].sum()
    found = auto.Finder(2).length(Shape(), np.frombuffer(TEXT, np.uint8).copy(), 0, 2000)
    assert isinstance(found, int)
    assert abs(found / 4096 - bits) < 0.02 * bits  # it has fewer slots
    again = (sound() + sound()[::-1]) * 8
    assert len(AUTO.encode_block(again)) < 1.05 * len(SMALL.encode_block(again))


def test_repetitions_are_seen() -> None:
    def repeated(data: bytes, start: int) -> bool:
        return bool(detect.repeated(np.frombuffer(data, np.uint8), start, len(data)))

    assert repeated(sound() * 2, 3000)
    assert repeated(NOISE[:1001] + bytes(500) + NOISE[500:1001], 1501)
    assert not repeated(NOISE, 4000)
    assert not repeated(bytes(6000), 3000)


@pytest.mark.parametrize(
    "text", [TEXT[:3000], "Отец Онуфрий, обходя\n".encode() * 9, b"<a>12;3</a>\n" * 40, b"x = [1, 2]\n" * 9]
)
def test_text_is_told_without_trials(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto.Finder, "length", None)  # not called
    AUTO.encode_block(text)
    for numbers in (picture(), sound(), wide_sound(), NOISE, bytes(300), bytes([32, 97]) + bytes(range(97, 123)) * 9):
        assert not detect.is_text(np.frombuffer(numbers, np.uint8), 0, len(numbers))


@pytest.mark.parametrize("name", ["picture", "sound", "wide", "text", "mixed"])
def test_auto_finds_the_same_byte_by_byte(name: str) -> None:
    """Looked at before each byte or not, and branched off in between."""
    data = (
        TEXT[:300] + (sound()[:900] + sound()[:700]) + wide_sound()[:1500] if name == "mixed" else INPUTS[name][:1200]
    )
    session, chosen = AUTO.session([b""]), []
    for i, byte in enumerate(data):
        if i % 190 == 5:
            fork = session.fork()
            fork.push([byte ^ 1])
        chosen.append(session.probabilities()[0, byte])
        session.push([byte])
    assert (-numerics.log2(np.array(chosen)) == AUTO.code_lengths([data])[0]).all()
    assert AUTO.decode_block(AUTO.encode_block(data), len(data)) == data
    silent = AUTO.session([data[:1000]])
    for byte in data[1000:]:
        silent.push([byte])
    assert (silent.probabilities() == session.probabilities()).all()


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
        ({"bits": 12}, "bits"),
        ({"channels": 0}, "channels"),
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
MASK32 = (1 << 32) - 1
K1, K2, K3, K4, K5 = (int(getattr(fields, f"K{i}")) for i in range(1, 6))
L1, L2, L3 = (int(getattr(fields, f"L{i}")) for i in range(1, 4))


def signed32(x: int) -> int:
    return (x + (1 << 31)) % (1 << 32) - (1 << 31)


class Plain:
    """The general mode as ``docs/context_mixing.md`` describes it, without growth, in Python's integers."""

    def __init__(self, made: Recipe) -> None:
        self.made = made
        self.recipes = [list(map(int, column)) for column in recipes(self.made.contexts).T]
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
        return h & (self.slots - 1), h >> 24

    def place_below(self, h: int, c0: int) -> tuple[int, int]:
        """The slots of nibbles that differ in their last bits only are in one line, and the line is asked for early."""
        member = c0 & (1 << fields.FAMILY) - 1
        h = (h + (c0 >> fields.FAMILY) * L1) * L2 & MASK32
        h = (h ^ h >> 15) * L3 & MASK32
        at, check = self.place(h ^ h >> 16)
        return at ^ member, check ^ member

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

    def numbers(self, c0: int, bit: int) -> list[int]:
        return []

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
        x += [256, *self.numbers(c0, bit)]
        rows, logits = [], []
        row2 = self.weights2.setdefault(c0, [65536 // len(self.made.selectors)] * len(self.made.selectors))
        words = {fields.RECENT: self.recent(), fields.NEAR: self.near, fields.FAR: self.far, fields.KNOWN: known}
        for k, s in enumerate(self.made.selectors):
            value = words[s.source] >> s.shift & s.mask
            key = (k, c0 if s.tree else value * 8 + bit if s.bits else value)
            fresh = [self.made.context_weight] * len(self.maps) + [0] * 5 + [self.made.mean_weight] * self.made.means
            fresh += [self.made.guide_weight, 0] * self.made.guides
            rows.append(self.weights.setdefault(key, fresh))
            total = sum(signed32(w * v) >> 10 for w, v in zip(rows[-1], x, strict=True))
            logits.append(min(max(total >> 6, -3071), 3071))
        logit = min(max(sum(signed32(w * v) >> 8 for w, v in zip(row2, logits, strict=True)) >> 8, -3071), 3071)
        squash = tables.squash()
        p = int(squash[logit + 3072])
        notes = {"x": x, "rows": rows, "logits": logits, "row2": row2, "p2": p, "cells": cells, "points": []}
        if not self.made.refining:
            return p, notes
        within = min(max(logit, -1920), 1919) + 1920
        at, weight, q = within >> 8, within & 255, []
        for key in self.keys:
            start = [int(squash[256 * i - 1920 + 3072]) for i in range(fields.POINTS)]
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
            shift = 4 + (position > 8192) + (position > 262144)
            curve[i] += ((y << 16) - y - curve[i] + (1 << shift - 1)) >> shift
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
        self.hash_contexts(c)

    def hash_contexts(self, c: int) -> None:
        key = ((self.near & 0xFF) * K2 + c) * K1 & MASK
        self.keys = key >> 33, ((self.recent() & 0xFFFF) * K3 & MASK) >> 33
        known = (self.words[0], self.words[1] * K2, self.words[2] * K3, self.gap * K4)
        for i, (m_recent, m_near, m_far, *m_words, seed) in enumerate(self.recipes):
            h = (self.recent() & m_recent) * K1 + (self.near & m_near) * K2 + (self.far & m_far) * K4 + seed
            h = h + sum(w & m for w, m in zip(known, m_words, strict=True)) & MASK
            self.hashes[i] = ((h ^ h >> 32) * K5 & MASK) >> 32
        self.first_place = [self.place(h) for h in self.hashes]

    def step(self, byte: int) -> float:
        """P(byte); then learn it."""
        p_byte, c0, noted = 1.0, 1, []
        places, slots = [self.first_place, []], [[], []]
        for half in range(2):
            if half:
                places[1] = [self.place_below(h, c0) for h in self.hashes]
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
    plain = Plain(recipe("general", level))
    expected = np.array([plain.step(byte) for byte in data])
    assert (ContextMix(level=level, mode="general").code_lengths([data])[0] == -numerics.log2(expected)).all()


class PlainGuided(Plain):
    """With the opinions of ``guides`` as inputs: their probabilities of the next byte, float64 ``(guides, 256)``."""

    opinions: Any = ()

    def logarithm(self, count: int) -> int:
        shift = count.bit_length() - 13
        mantissa = count >> shift if shift >= 0 else count << -shift
        return int(tables.logarithms()[mantissa - 4096]) + count.bit_length() * 11357

    def numbers(self, c0: int, bit: int) -> list[int]:
        x, size = [], 128 >> bit
        low = (c0 << (8 - bit)) & 255
        for p in self.opinions:
            counts = [int(value * 2**40) + 1 for value in p]
            zero, one = (sum(counts[start : start + size]) for start in (low, low + size))
            logit = clip((self.logarithm(one) - self.logarithm(zero)) >> 6, -3071, 3071)
            x += [logit, (int(tables.squash()[logit + 3072]) - 32768) >> 5]
        return x


@pytest.mark.parametrize("level", [1, 2])
def test_guided_kernel_does_what_is_described(level: int) -> None:
    data = INPUTS["text"][:300]
    guides = [compgen.predictor(name).session([b""]) for name in ("order1", "order3")]
    plain = PlainGuided(guided(recipe("general", level), 2))
    expected = []
    for byte in data:
        plain.opinions = [guide.probabilities()[0] for guide in guides]
        expected.append(plain.step(byte))
        for guide in guides:
            guide.push([byte])
    model = compgen.predictor(f"guided(cm:level={level},mode=general,order1,order3)")
    assert (model.code_lengths([data])[0] == -numerics.log2(np.array(expected))).all()


@pytest.mark.parametrize("name", ["text", "lines", "period"])
def test_other_recipes_are_followed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sets without final maps, and contexts of whatever a match expects: counts that no level has."""
    level3 = recipe("general", 3)
    looking = (
        Context("length of the short match", near=0xFF << 48),
        Context("length of the long match", near=0xFF << 8),
    )
    made = replace(level3, contexts=(level3.contexts[0], *looking), selectors=level3.selectors[:2], refining=False)
    monkeypatch.setattr(predictor, "recipe", lambda *_: made)
    data = INPUTS[name][:500]
    plain = Plain(made)
    expected = np.array([plain.step(byte) for byte in data])
    assert (ContextMix(mode="general").code_lengths([data])[0] == -numerics.log2(expected)).all()


# --- numbers --------------------------------------------------------------------------------------------------------


def size_class(x: int) -> int:
    return min(x if x <= 3 else 2 * (x.bit_length() - 2) + (x >> (x.bit_length() - 2)), 31)


def pack(*parts: int) -> int:
    return int.from_bytes(bytes(parts), "little")


def clip(x: int, low: int, high: int) -> int:
    return min(max(x, low), high)


class LeastSquares:
    """Weights from the fading covariances of the taps, by L D L' in fixed point."""

    def __init__(self, n: int, fading: int, ridge: int) -> None:
        self.n, self.fading, self.ridge = n, fading, ridge
        self.r, self.b, self.w = [[0] * n for _ in range(n)], [0] * n, [0] * n

    def observe(self, taps: list[int], value: int) -> None:
        half = 1 << (self.fading - 1)
        for i in range(self.n):
            for j in range(i + 1):
                self.r[i][j] += (taps[i] * taps[j] * 4096 - self.r[i][j] + half) >> self.fading
            self.b[i] += (taps[i] * value * 4096 - self.b[i] + half) >> self.fading

    def solve(self) -> None:
        n, largest = self.n, max(1, *(self.r[i][i] for i in range(self.n)))
        shift = 30 - largest.bit_length()  # so that the largest has 30 bits
        scaled = [[x << shift if shift > 0 else x >> -shift for x in row] for row in self.r]
        side = [x << shift if shift > 0 else x >> -shift for x in self.b]
        added = max((largest << shift if shift > 0 else largest >> -shift) >> self.ridge, 1)
        ll, d, y = [[0] * n for _ in range(n)], [0] * n, [0] * n
        for i in range(n):
            c = [0] * i
            for j in range(i):
                c[j] = scaled[i][j] - (sum(c[k] * ll[j][k] for k in range(j)) >> 24)
            rest, y[i] = scaled[i][i] + added, side[i]
            for k in range(i):
                ll[i][k] = (c[k] << 24) // d[k]
                rest -= ll[i][k] * c[k] >> 24
                y[i] -= ll[i][k] * y[k] >> 24
            d[i] = max(rest, added)
        for i in reversed(range(n)):
            w = (y[i] << 16) // d[i] - (sum(ll[k][i] * self.w[k] for k in range(i + 1, n)) >> 24)
            self.w[i] = clip(w, -(1 << 22), 1 << 22)

    def mean(self, taps: list[int]) -> int:
        return sum(w * x for w, x in zip(self.w, taps, strict=False)) >> 8


class PlainNumbers(Plain):
    """The modes in which bytes are numbers: what they share."""

    def __init__(self, made: Recipe, shape: Shape) -> None:
        super().__init__(made)
        self.shape = shape
        start = 0 if shape.bits == 16 else 32768
        self.means, self.sharp = [start] * made.means, [355 << 8] * made.means
        self.errors = [[int(256 + 128 * 2 ** (i / 2)) for i in range(32)] for _ in range(made.means)]
        self.activity = self.last = self.smooth = 0
        n, fading, ridge, n2, fading2, ridge2, self.pace = made.regression
        self.extra = 4 * (shape.channels - 1) if shape.mode == "image" else 0
        self.squares = [
            (LeastSquares(n + self.extra, fading, ridge), LeastSquares(n2, fading2, ridge2))
            for _ in range(shape.channels)
        ]
        self.taps = [0] * 32
        self.count = 0

    def probability(self, logit: int) -> int:
        return int(tables.squash()[clip(logit, -3072, 3071) + 3072])

    def below(self, x: int, k: int) -> int:
        return self.probability((x * 256 - 128 - self.means[k]) * self.sharp[k] >> 20)

    def cut(self, x: int, k: int) -> int:
        return 0 if x == 0 else 65536 if x == 256 else self.below(x, k)

    def numbers(self, c0: int, bit: int) -> list[int]:
        x, size = [], 256 >> bit
        low = c0 << (8 - bit) & 255
        for k in range(self.made.means):
            start, middle, end = (self.cut(at, k) for at in (low, low + size // 2, low + size))
            p = ((end - middle << 4) + size // 2 << 12) // ((end - start << 4) + size)
            x.append(int(tables.stretch()[clip(p, 0, 4095)]))
        return x

    def sharpen(self) -> None:
        self.sharp = [372051542 // max(row[self.activity], 24) for row in self.errors]

    def learn_errors(self, value: int) -> None:
        for k, row in enumerate(self.errors):
            pace = (self.made.paces * 16)[k]
            row[self.activity] += (abs(value - self.means[k]) - row[self.activity] + (1 << pace >> 1)) >> pace

    def learn_squares(self, channel: int, target: int) -> None:
        for squares in self.squares[channel]:
            squares.observe(self.taps, target)
        if self.count % self.pace < self.shape.channels:
            for squares in self.squares[channel]:
                squares.solve()
        self.count += 1

    def advance(self, c: int) -> None:
        self.past += bytes([c])
        self.near, self.far = self.read(c)
        self.hash_contexts(c)

    def read(self, c: int) -> tuple[int, int]:
        raise NotImplementedError


class PlainAudio(PlainNumbers):
    """Unsigned 8-bit samples."""

    linear = ()

    def read(self, c: int) -> tuple[int, int]:
        self.learn_errors(c << 8)
        self.linear = self.linear or ([0] * 16, [0] * 16)
        taps, energy = self.taps[:16], 16 + sum(x * x for x in self.taps[:16])
        for k, weights in enumerate(self.linear):
            step = ((c << 8) - self.means[k] << (14 if k else 12)) // energy
            weights[:] = [w + (step * x + 128 >> 8) for w, x in zip(weights, taps, strict=True)]
        self.last = abs((c << 8) - self.means[0]) >> 8
        self.taps = taps = [x - 128 for x in self.past[::-1][:16]] + [0] * (16 - len(self.past))
        for k, weights in enumerate(self.linear):
            total = sum(w * x for w, x in zip(weights, taps, strict=True))
            self.means[k] = clip((128 << 8) + (total >> 8), 0, 65280)
        a, b, d = taps[:3]
        lines = a + 128, clip(2 * a - b + 128, 0, 255), clip(3 * a - 3 * b + d + 128, 0, 255)
        self.means[2:] = [*(x << 8 for x in lines), self.means[0] + self.means[1] >> 1]
        self.smooth += (self.last * 256 - self.smooth) >> 3
        self.activity = min(size_class((self.smooth >> 5) + (abs(a - b) >> 1)), 15)
        self.sharpen()
        mean, quick = self.means[0] + 128 >> 8, self.means[1] + 128 >> 8
        near = pack(a + 128, b + 128, d + 128, mean, quick, lines[1], lines[2])
        slow = min(size_class(self.smooth >> 5), 15)
        return near, pack(self.activity, min(self.last, 15), a + 128 >> 2, b + 128 >> 2, mean >> 1, slow)


class PlainAudio16(PlainNumbers):
    """16-bit samples, the low byte first."""

    stages: Any = None
    corrections = (0, 0, 0)

    def value(self, back: int) -> int:
        """The sample that ends ``back`` bytes ago."""
        end = len(self.past) - back
        return int.from_bytes(self.past[end - 2 : end], "little", signed=True) if end >= 2 else 0

    def cut(self, x: int, k: int) -> int:
        error = self.errors[k][self.activity]
        if len(self.past) % 2 == 0:
            reach = 1 + (error > 4096) + (error > 12288) + (error > 24576)
            return sum(self.below((self.means[k] >> 16) * 256 + j * 256 + x, k) for j in range(-reach, reach + 1))
        c = self.past[-1]
        if error > 32768:
            return self.below(c - 32768 - 128 + x * 256, k)
        nearest, total = ((self.means[k] >> 8) - c + 128) >> 8, 0
        for h in range(nearest - 4, min(nearest + 5, x - 128)):
            p = self.probability(((c + h * 256) * 256 - self.means[k]) * self.sharp[k] >> 20)
            total += p * (65536 - p) >> 8
        return total

    def adapt(self, value: int, channel: int) -> None:
        self.learn_errors(value << 8)
        self.learn_squares(channel, value)
        left = (value << 8) - self.means[0]
        for stage, (past, weights) in enumerate(self.stages[channel]):
            error = left - self.corrections[stage]
            energy = sum(x * x for x in past) + self.made.floors[stage]
            step = (error * self.made.speeds[stage] << 8) // energy
            weights[:] = [w + (step * x + 2048 >> 12) for w, x in zip(weights, past, strict=True)]
            past[:] = [*past[1:], left + 128 >> 8]
            left = error
        self.last = abs((value << 8) - self.means[4])

    def foresee(self, channel: int) -> None:
        wide, narrow = self.squares[channel]
        step = 2 * self.shape.channels
        own = wide.n if step == 2 else narrow.n
        self.taps = [self.value(i * step + step - 2) for i in range(own)]
        self.taps += [self.value(i * step) for i in range(wide.n - own)]
        low, high = -32768 * 256, 32767 * 256
        means = [clip(squares.mean(self.taps), low, high) for squares in (wide, narrow)]
        self.corrections = tuple(
            clip(sum(w * x for w, x in zip(weights, past, strict=True)) >> 12, -(1 << 23), 1 << 23)
            for past, weights in self.stages[channel]
        )
        for stage, correction in enumerate(self.corrections):
            means.append(clip(means[stage and stage + 1] + correction, low, high))
        self.means = [*means, means[4] + means[1] >> 1, means[4], means[4]]
        self.smooth += (self.last * 4 - self.smooth) >> 4
        self.activity = size_class(self.smooth >> 9)
        self.sharpen()

    def read(self, c: int) -> tuple[int, int]:
        if self.stages is None:
            self.stages = [[([0] * n, [0] * n) for n in fields.STAGES] for _ in range(self.shape.channels)]
        odd = len(self.past) % 2
        if not odd:
            sample = len(self.past) // 2
            self.adapt(self.value(0), (sample - 1) % self.shape.channels)
            self.foresee(sample % self.shape.channels)
        nearest = (self.means[4] >> 8) - c + 128 >> 8
        expected = nearest + 128 & 255 if odd else self.means[4] >> 8 & 255
        last = self.value(odd) + 32768
        error = min(size_class((self.last >> 4) * 8 // ((self.smooth >> 6) + 1)), 15)
        near = pack(self.activity | odd << 5, expected, c if odd else 0, last & 255, last >> 8)
        return near, pack(self.activity | odd << 5, error | odd << 4, expected >> 4 | odd << 4, odd)


class PlainImage(PlainNumbers):
    """Pixels, of one or several channels."""

    linear: Any = None

    def around(self, x: int, y: int) -> int:
        channels, stride = self.shape.channels, self.shape.width * self.shape.channels
        position = len(self.past)
        row, rest = divmod(position, stride)
        column = rest // channels
        left = self.past[position - channels] if position >= channels else 128
        if row <= 0 and (y > 0 or column + x < 0):
            return left
        if y == 0 and column + x < 0:
            x, y = -column, 1
        to = clip(column + x, 0, self.shape.width - 1)
        at = position + (to - column) * channels - min(y, row) * stride
        return self.past[at] if 0 <= at < position else left

    def adapt(self, c: int, channel: int) -> None:
        value = c << 8
        self.learn_errors(value)
        self.learn_squares(channel, c - self.base)
        energy = 16 + sum(x * x for x in self.taps[:16])
        for k, weights in enumerate(self.linear[channel]):
            step = (value - self.means[7 + k] << (14 if k else 12)) // energy
            weights[:] = [w + (step * x + 128 >> 8) for w, x in zip(weights, self.taps[:16], strict=True)]
        self.last = abs(value - self.means[0]) >> 4
        for cell in self.cells:
            self.biases[cell] = self.biases.get(cell, 0)
            self.biases[cell] += (value - self.means[0] - self.biases[cell] + 16) >> 5

    def others(self, channel: int) -> list[int]:
        """Taps from the channels of this pixel that are known."""
        channels, stride = self.shape.channels, self.shape.width * self.shape.channels
        past, at = self.past, len(self.past)
        row, column = at // stride, at % stride // channels
        taps = []
        for k in range(1, channels):
            if channel < k or row == 0 or not 0 < column < self.shape.width - 1:
                taps += [0] * 4
                continue
            up, left = past[at - k - stride], past[at - k - channels]
            pixels = past[at - k], left, past[at - k - stride - channels], past[at - k - stride + channels]
            taps += [pixel - (up + left >> 1) for pixel in pixels]
        return taps

    def read(self, c: int) -> tuple[int, int]:
        channels, stride = self.shape.channels, self.shape.width * self.shape.channels
        at = len(self.past) % stride
        if self.linear is None:
            self.linear = [([0] * 16, [0] * 16) for _ in range(channels)]
            self.trail, self.biases, self.cells, self.base = [0] * stride, {}, (0, 0), 0
        self.adapt(c, (len(self.past) - 1) % stride % channels)
        self.trail[at - 1] = self.last
        return self.foresee(at, at % channels)

    def foresee(self, at: int, channel: int) -> tuple[int, int]:
        channels, stride = self.shape.channels, self.shape.width * self.shape.channels
        pixels = [self.around(x, y) for x, y in zip(fields.AROUND_X, fields.AROUND_Y, strict=True)]
        w, n, nw, ne, ww, nn, nne = pixels[:7]
        here = self.trail[at]
        beside = self.trail[at - channels] if at >= channels else here
        after = self.trail[at + channels] if at + channels < stride else here
        across = abs(w - ww) + abs(n - nw) + abs(n - ne)
        down = abs(w - nw) + abs(n - nn) + abs(ne - nne)
        self.activity = min(size_class(across + down + (here + after + 2 * beside >> 4)), 15)
        self.base = base = w + n >> 1
        others = self.others(channel)
        self.taps = [pixel - base for pixel in pixels] + others
        wide, narrow = (clip(base * 256 + s.mean(self.taps), 0, 65280) for s in self.squares[channel])
        other = others[0] if others else 0
        quick = [
            clip(base * 256 + (sum(a * b for a, b in zip(weights, self.taps[:16], strict=True)) >> 8), 0, 65280)
            for weights in self.linear[channel]
        ]
        mean = wide + 128 >> 8
        texture = 0
        for pixel in (*pixels[:6], 2 * n - nn, 2 * w - ww):
            texture = texture * 2 + (pixel > mean)
        slopes = min(size_class(across), 15) << 4 | min(size_class(down), 15)
        cell = (channel << 11) + (texture << 3) + min(size_class(beside + here >> 4) >> 1, 7)
        self.cells = cell, (8 + channel << 11) + slopes
        corrected = [clip(wide + self.biases.get(cell, 0), 0, 65280) for cell in self.cells]
        median = clip(w + n - nw, min(w, n), max(w, n))
        fixed = [x + other * 256 for x in (median * 256, (w + n) * 128 + (ne - nw) * 64, w * 256, n * 256)]
        self.means = [
            *(wide, narrow),
            *(clip(x, 0, 65280) for x in fixed),
            *(corrected[0], *quick, corrected[1]),
            *(clip(n + ne - nne + other << 8, 0, 65280), wide + narrow >> 1),
            *(sum(corrected) >> 1, clip(w + ne - n + other << 8, 0, 65280)),
        ]
        self.sharpen()
        row, column = len(self.past) // stride, at // channels
        near = pack(w, n, nw, ne, mean, median, (row & 7) << 3 | column & 7, nn)
        classes = min(size_class(beside >> 3), 7) | channel << 6
        far = pack(self.activity, classes, w >> 3, n >> 3, mean >> 2, slopes, texture, corrected[0] + 128 >> 8)
        return near, far


NUMBERS = {
    "audio": (PlainAudio, Shape("audio")),
    "audio, 16 bits": (PlainAudio16, Shape("audio", bits=16)),
    "audio, 16 bits, 2 channels": (PlainAudio16, Shape("audio", bits=16, channels=2)),
    "image": (PlainImage, Shape("image", width=19)),
    "image, 3 channels": (PlainImage, Shape("image", width=13, channels=3)),
}


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("name", ["sound", "picture", "noise", "zeros", "wide"])
def test_numbers_are_predicted_as_described(kind: str, name: str) -> None:
    plain, shape = NUMBERS[kind]
    data = INPUTS[name][:420]
    twin = plain(recipe(shape.mode, 2, shape.bits), shape)
    expected = np.array([twin.step(byte) for byte in data])
    model = ContextMix(mode=shape.mode, width=shape.width, bits=shape.bits, channels=shape.channels)
    assert (model.code_lengths([data])[0] == -numerics.log2(expected)).all()
