"""Fuzz the archive reader: whatever the bytes, it gives data or raises CompgenError with one line, in bounded memory.

    python scripts/fuzz_archive.py --seconds 600

With atheris installed, libFuzzer guides the search by coverage; without, mutations are random. Both start from the
golden archives, and mutate either bytes or fields with all checksums made right again, so as to come past them. An
input that breaks the rule is written to the current folder and the exception shown. The last line is JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import random
import re
import resource
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Any

ATHERIS = importlib.util.find_spec("atheris") is not None
GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
MEMORY = 3 << 30
#: More than this is not decoded: time is no error, and archives of long runs are small.
MOST_DATA = 1 << 13
#: Of these a step is fast enough; the others only come to be made.
CHEAP = {"uniform", *(f"order{n}" for n in range(7)), "mix", "blend", "share", "rate", "learn"}
COUNTS = {"executions": 0, "opened": 0, "decoded": 0}

if ATHERIS:
    import atheris

    import compgen.coding.batch  # noqa: F401 - beforehand, as numba cannot compile what is instrumented

    with atheris.instrument_imports(include=["compgen.archive", "compgen.coding.payload", "compgen.registry"]):
        from compgen import archive as cgz
else:
    from compgen import archive as cgz
from compgen.archive import format as form  # noqa: E402
from compgen.errors import CompgenError  # noqa: E402

SPECS = ["order1", "uniform", "mix(order0,uniform)", "blend(order1)", "mix(mix(mix(order0)))", "gzip", "png:width=64"]
NASTY = ["(", ")", ",", ":", "=", "1e308", "nan", "-1", "²", "4_294_967_295", "/etc/passwd", "\x00", "mix(", "order6"]
EDGES = [0, 1, 2, 255, 256, 4096, 4097, 65535, 1 << 20, 1 << 30, (1 << 30) + 1, (1 << 31) - 1, (1 << 32) - 1]


def check(data: bytes) -> None:
    """Raise if reading ``data`` does anything but succeed or raise CompgenError with one line."""
    COUNTS["executions"] += 1
    summary = _expected(lambda: cgz.summarise(io.BytesIO(data)))
    reader = _expected(lambda: cgz.ArchiveReader(io.BytesIO(data)))
    if reader is None:
        return
    COUNTS["opened"] += 1
    if not set(re.findall(r"[a-z]\w*", reader.header.spec)) <= CHEAP:
        return
    if summary is None or summary.data_bytes > MOST_DATA:
        return
    read = _expected(reader.read)
    if read is not None:
        COUNTS["decoded"] += 1
        assert len(read) == summary.data_bytes


def _expected(call: Any) -> Any:
    try:
        return call()
    except CompgenError as error:
        message = str(error)
    if len(message.splitlines()) != 1 or "\x1b" in message:
        raise AssertionError(f"not one harmless line: {message!r}")
    return None


def mutate(data: bytes, generator: random.Random) -> bytes:
    """Another archive: a field of this one changed, checksums right; or bytes changed, checksums wrong."""
    if generator.random() < 0.25:
        return _mutate_bytes(data, generator)
    try:
        return _mutate_fields(data, generator)
    except (struct.error, IndexError, CompgenError, UnicodeError):
        return _mutate_bytes(data, generator)


def _mutate_bytes(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data or b"\x93CGZ")
    for _ in range(generator.choice([1, 1, 2, 8])):
        at = generator.randrange(len(changed) + 1)
        kind = generator.randrange(4)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << generator.randrange(8)
        elif kind == 1:
            changed[at : at + generator.randrange(8)] = generator.randbytes(generator.randrange(8))
        elif kind == 2:
            del changed[at:]
        else:
            changed += changed[at : at + 64]
    return bytes(changed)


def _mutate_fields(data: bytes, generator: random.Random) -> bytes:
    (length,) = struct.unpack_from("<H", data, 9)
    fields, rest = data[15 : 15 + length], data[15 + length :]
    if generator.random() < 0.4:
        fields = _mutate_header(fields, generator)
    else:
        rest = _mutate_blocks(rest, generator)
    fields = fields[:65535]
    checked = b"\x01" + struct.pack("<H", len(fields)) + fields
    return form.MAGIC + checked[:3] + struct.pack("<I", zlib.crc32(checked)) + fields + rest


def _mutate_header(fields: bytes, generator: random.Random) -> bytes:
    block_bytes, streams, mtime = struct.unpack_from("<IHq", fields)
    texts, at = [], 14
    for _ in range(4):
        (length,) = struct.unpack_from("<H", fields, at)
        texts.append(fields[at + 2 : at + 2 + length])
        at += 2 + length
    kind = generator.randrange(5)
    if kind == 0:
        block_bytes = generator.choice(EDGES)
    elif kind == 1:
        streams = generator.choice([0, 1, 2, 3, 4096, 4097, 65535])
    elif kind == 2:
        mtime = generator.choice([-1, 1 << 40, -(1 << 63), (1 << 63) - 1])
    elif kind == 3:
        texts[generator.randrange(4)] = generator.choice([b"", b"\xff", b"x" * 5000, b"\x1b[2J\n", b"abc"])
    else:
        spec = bytearray(generator.choice([texts[0], generator.choice(SPECS).encode()]))
        at = generator.randrange(len(spec) + 1)
        spec[at : at + generator.randrange(4)] = generator.choice(NASTY).encode() * generator.choice([1, 1, 1, 300])
        texts[0] = bytes(spec)
    packed = b"".join(struct.pack("<H", len(text)) + text for text in texts)
    return struct.pack("<IHq", block_bytes, streams, mtime) + packed


def _mutate_blocks(rest: bytes, generator: random.Random) -> bytes:
    blocks = []
    while rest[0]:
        fields = list(struct.unpack_from("<BIIIIII", rest)[:6])
        blocks.append((fields, rest[25 : 25 + fields[3]]))
        rest = rest[25 + fields[3] :]
    end = list(struct.unpack_from("<BIQ16s", rest))
    kind = generator.randrange(6)
    if blocks and kind < 4:
        at = generator.randrange(len(blocks))
        fields, code = blocks[at]
        if kind == 0:
            code = _mutate_bytes(code, generator)[: max(fields[2], 1)]
        elif kind == 1:
            fields[generator.choice([0, 2, 3])] = generator.choice(EDGES) & 0xFFFFFFFF
            fields[0] &= 255
        elif kind == 2:
            blocks.insert(generator.randrange(len(blocks) + 1), blocks[at])
        else:
            del blocks[at]
        if kind < 2:
            blocks[at] = [fields[0], fields[1], fields[2], len(code) if kind == 0 else fields[3], *fields[4:]], code
    else:
        end[generator.choice([1, 2])] = generator.choice(EDGES)
    packed = b""
    for number, (fields, code) in enumerate(blocks):
        head = struct.pack("<BIIIII", fields[0], number, fields[2], fields[3], zlib.crc32(code), fields[5])
        packed += head + struct.pack("<I", zlib.crc32(head)) + code
    if generator.random() < 0.8 and kind != 5:
        end[1:3] = len(blocks), sum(fields[2] for fields, _ in blocks)
    tail = struct.pack("<BIQ16s", *end)
    return packed + tail + struct.pack("<I", zlib.crc32(tail))


def _report() -> None:
    seconds = round(time.monotonic() - STARTED)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"atheris": ATHERIS, "seconds": seconds, "peak_rss_mib": peak, **COUNTS}), flush=True)


def _with_atheris(seconds: int) -> None:
    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        return mutate(data, random.Random(seed))[:max_size]

    def target(data: bytes) -> None:
        check(data)
        if time.monotonic() - STARTED > seconds:
            _report()
            sys.stdout.flush()
            os._exit(0)  # libFuzzer takes any other way of ending for a crash

    options = [sys.argv[0], str(GOLDEN), "-max_len=8192", "-timeout=30", "-rss_limit_mb=3000", "-print_final_stats=1"]
    atheris.Setup(options, target, custom_mutator=mutator)
    atheris.Fuzz()


def _without_atheris(seconds: int, seed: int) -> None:
    generator = random.Random(seed)
    seeds = [path.read_bytes() for path in sorted(GOLDEN.glob("*.cgz"))]
    while time.monotonic() - STARTED < seconds:
        data = generator.choice(seeds)
        for _ in range(generator.choice([1, 1, 2, 4])):
            data = mutate(data, generator)
        try:
            check(data)
        except BaseException:
            Path("crash.cgz").write_bytes(data)
            print("the input is in crash.cgz", file=sys.stderr)
            raise
    _report()


STARTED = time.monotonic()

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0, help="of the random mutations; atheris has its own")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if ATHERIS:
        # libFuzzer writes what it finds new into its first folder, which must not be the golden archives'.
        import shutil
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(GOLDEN, folder, dirs_exist_ok=True)
            GOLDEN = Path(folder)
            _with_atheris(arguments.seconds)
    else:
        _without_atheris(arguments.seconds, arguments.seed)
