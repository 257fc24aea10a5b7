"""One table of codecs crossed with one table of inputs. A new codec joins by adding a row to CODECS."""

from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import pickle
import struct
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
import zstandard
from conftest import synthetic_image, synthetic_speech, synthetic_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from baselines import _flac_frames, _png_filters
from baselines.bz2 import Bz2
from baselines.flac import Flac
from baselines.lzma2 import Lzma2
from baselines.png import Png
from baselines.zstd import Zstd
from compgen import parallel, registry
from compgen.errors import BadInputError, CorruptDataError, MissingExtraError, UsageError
from compgen.interfaces import Compressor

# ------------------------------------------------------------------------------------------------ the table of inputs

INPUTS = {
    "empty": b"",
    "one byte": b"a",
    "two bytes": b"\xff\x00",
    "text": synthetic_text(1500),
    "100 KB": synthetic_text(50_000) + synthetic_image(400) + synthetic_speech(24_400),
    "incompressible": np.random.default_rng(0).bytes(2048),
    "all equal": bytes(3000),
    "periodic": b"abcabd" * 400,
    "image tile": synthetic_image(32),
    "speech": synthetic_speech(2048),
}
SMALL = [name for name in INPUTS if name != "100 KB"]

# ------------------------------------------------------------------------------------------------ the table of codecs


def xz_container(code: bytes) -> int:
    """Bytes of an .xz file that are not LZMA2 (The .xz File Format, sections 2.1.2 and 4.3)."""
    index = code[-12 - 4 * (int.from_bytes(code[-8:-4], "little") + 1) : -12]
    if not index[1]:
        return len(code)
    unpadded = sum((byte & 127) << 7 * i for i, byte in enumerate(index[2:7]) if all(b & 128 for b in index[2 : 2 + i]))
    block_header, crc64 = 4 * (code[12] + 1), 8
    # Of LZMA2 itself, a stored chunk's header (3 bytes) and the end byte are left out.
    return len(code) - (unpadded - block_header - crc64) + 4


def flac_container(code: bytes) -> int:
    position, last = 4, False
    while not last:
        last = bool(code[position] & 128)
        position += 4 + int.from_bytes(code[position + 1 : position + 4], "big")
    return position


def flac_left_out(code: bytes) -> int:
    return flac_container(code) + 8


def webp_container(code: bytes) -> int:
    return 45 * code.count(b"WEBPVP8L")


def zstd_container(code: bytes) -> int:
    return zstandard.frame_header_size(code) + 3 + 4


@dataclass(frozen=True)
class Row:
    """Specs to test, bytes of a file that code lengths leave out, and bits of padding that may come on top."""

    specs: tuple[str, ...]
    container: Callable[[bytes], int]
    padding: int = 0
    empty_file_is_all_container: bool = True


def fixed(size: int) -> Callable[[bytes], int]:
    return lambda code: size


CODECS = {
    "gzip": Row(("gzip", "gzip:level=1"), fixed(18), 7, False),
    "zlib": Row(("zlib",), fixed(6), 7, False),
    "lzma2": Row(("lzma2", "lzma2:preset=1,lc=2,lp=1,pb=0", "lzma2:dict_size=4096,extreme=true"), xz_container),
    "bz2": Row(("bz2", "bz2:level=1"), fixed(24), 7),
    "zstd": Row(("zstd", "zstd:level=3,window_log=12", "zstd:level=-5"), zstd_container),
    "brotli": Row(("brotli:quality=9", "brotli:quality=5,lgwin=16,mode=text"), lambda c: 7 + (c[0] & 1), 0, False),
    "png": Row(("png", "png:level=6,filters=none", "png:filters=paeth,window_bits=9"), fixed(63), 7),
    "flac": Row(("flac", "flac:level=8", "flac:bits=16", "flac:bits=16,byteorder=big,level=0"), flac_left_out, 7),
    "webp": Row(("webp", "webp:quality=0,method=0"), webp_container, 8),
    "jxl": Row(("jxl", "jxl:effort=1"), fixed(62)),
    "ppmd": Row(("ppmd", "ppmd:order=4,memory=65536,variant=H"), lambda code: 27 if code[8:9] == b"H" else 26),
}
SPECS = [(name, spec) for name, row in CODECS.items() for spec in row.specs]
ALL_SPECS = pytest.mark.parametrize(("name", "spec"), SPECS, ids=[spec for _, spec in SPECS])
DEFAULTS = [(name, row.specs[0]) for name, row in CODECS.items()]
DEFAULT_SPECS = pytest.mark.parametrize(("name", "spec"), DEFAULTS, ids=list(CODECS))


def codec_of(name: str, spec: str) -> Compressor:
    for optional, module in (("ppmd", "pyppmd"), ("jxl", "pillow_jxl")):
        if name == optional:
            pytest.importorskip(module)
    return registry.compressor(spec)


def test_every_registered_codec_is_in_the_table() -> None:
    ours = {
        name for name, entry in registry.entries(registry.COMPRESSORS).items() if entry.value.startswith("baselines.")
    }
    assert ours == set(CODECS)


# ------------------------------------------------------------------------------------------------------- every codec


@ALL_SPECS
@pytest.mark.parametrize("kind", INPUTS)
def test_round_trip(name: str, spec: str, kind: str) -> None:
    codec = codec_of(name, spec)
    assert codec.decompress(codec.compress(INPUTS[kind])) == INPUTS[kind]


@ALL_SPECS
@pytest.mark.parametrize("kind", INPUTS)
def test_code_length_is_the_length_of_the_file_without_its_container(name: str, spec: str, kind: str) -> None:
    codec, row, data = codec_of(name, spec), CODECS[name], INPUTS[kind]
    code = codec.compress(data)
    length = codec.code_length(data)
    if not data and row.empty_file_is_all_container:
        assert length == 0
    elif name == "png" and len(data) % 64:
        # The file has a whole last row and its length chunk; what is counted is tested against zlib below.
        assert length < 8 * len(code)
    else:
        surplus = 8 * (len(code) - row.container(code)) - length
        # FLAC at 16 bits completes an odd byte; its note is metadata and so in the container already.
        assert 0 <= surplus <= row.padding


@DEFAULT_SPECS
def test_overhead_bytes_are_those_of_a_small_file(name: str, spec: str) -> None:
    codec: Any = codec_of(name, spec)
    data = INPUTS["image tile"]
    surplus = len(codec.compress(data)) - codec.code_length(data) / 8 - codec.overhead_bytes
    # Further: padding to a byte; padding of .xz to 4 bytes and longer numbers there; a longer frame header of zstd.
    assert 0 <= surplus < {"lzma2": 9, "zstd": 4, "webp": 2}.get(name, 1)


@ALL_SPECS
@pytest.mark.parametrize("kind", ["empty", "one byte", "text", "image tile", "speech"])
def test_continuations_are_code_lengths(name: str, spec: str, kind: str) -> None:
    codec = codec_of(name, spec)
    # Costly codecs get a shorter context; codecs that know better than brute force get all of it.
    context = INPUTS[kind][: 90 if codec.brute_force else 2048]
    expected = [codec.code_length(context + bytes((byte,))) for byte in range(256)]
    assert codec.continuations(context).lengths().tolist() == expected


@ALL_SPECS
def test_continuations_of_100_kb(name: str, spec: str) -> None:
    codec, context = codec_of(name, spec), INPUTS["100 KB"]
    if codec.brute_force:
        pytest.skip("brute force is the definition; it is tested on short contexts")
    lengths = codec.continuations(context).lengths()
    for byte in (0, 1, 32, 101, 128, 255):
        assert lengths[byte] == codec.code_length(context + bytes((byte,)))


@ALL_SPECS
def test_push_and_fork_keep_the_invariant(name: str, spec: str) -> None:
    codec = codec_of(name, spec)
    data = INPUTS["image tile"][:200]
    state = codec.continuations(data[:60])
    for byte in data[60:70]:
        state.push(byte)
    branch = state.fork()
    branch.push(7)
    branch_context = data[:70] + b"\7"
    if not codec.brute_force:
        for byte in data[70:]:
            state.push(byte)
    context = data if not codec.brute_force else data[:70]
    for each, known in ((state, context), (branch, branch_context)):
        lengths = each.lengths()
        assert lengths.shape == (256,)
        assert lengths.dtype == np.float64
        for byte in (0, 7, 90, 255):
            assert lengths[byte] == codec.code_length(known + bytes((byte,)))


@ALL_SPECS
def test_lengths_belong_to_the_caller(name: str, spec: str) -> None:
    state = codec_of(name, spec).continuations(b"abc")
    first = state.lengths()
    expected = first.tolist()
    first[:] = 0
    assert state.lengths().tolist() == expected


@ALL_SPECS
def test_pickle_spec_and_equality(name: str, spec: str) -> None:
    codec = codec_of(name, spec)
    assert codec.name == name
    assert pickle.loads(pickle.dumps(codec)) == codec
    assert registry.compressor(codec.spec) == codec
    assert hash(registry.compressor(codec.spec)) == hash(codec)
    assert set(vars(codec)) == {f.name for f in fields(codec)}  # type: ignore[arg-type]


@DEFAULT_SPECS
def test_damage_is_noticed(name: str, spec: str) -> None:
    codec = codec_of(name, spec)
    data = INPUTS["text"][:400]
    code = codec.compress(data)
    for position in range(len(code)):
        damaged = bytearray(code)
        damaged[position] ^= 1 << position % 8
        try:
            # Bytes that carry nothing (a time stamp, a vendor string) may change.
            assert codec.decompress(bytes(damaged)) == data
        except CorruptDataError as error:
            assert "\n" not in str(error)  # noqa: PT017


@DEFAULT_SPECS
@pytest.mark.parametrize("kind", ["one byte", "text", "speech"])
def test_cut_and_extended_files_are_refused(name: str, spec: str, kind: str) -> None:
    codec = codec_of(name, spec)
    code = codec.compress(INPUTS[kind])
    for stop in {*range(0, len(code), max(1, len(code) // 40)), len(code) - 1}:
        with pytest.raises(CorruptDataError):
            codec.decompress(code[:stop])
    for more in (b"\0", b"garbage", code):
        with pytest.raises(CorruptDataError):
            codec.decompress(code + more)


@DEFAULT_SPECS
@pytest.mark.parametrize("foreign", [b"", b"\0" * 100, b"not compressed at all", bytes(range(256))])
def test_other_data_is_refused(name: str, spec: str, foreign: bytes) -> None:
    with pytest.raises(CorruptDataError):
        codec_of(name, spec).decompress(foreign)


@DEFAULT_SPECS
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300) | st.lists(st.sampled_from([b"ab", b"abc", b"\0\0", b"\x80"])).map(b"".join))
def test_any_bytes_round_trip(name: str, spec: str, data: bytes) -> None:
    codec = codec_of(name, spec)
    assert codec.decompress(codec.compress(data)) == data
    assert codec.code_length(data) >= 0


@DEFAULT_SPECS
def test_codecs_are_shared_among_threads(name: str, spec: str) -> None:
    codec = codec_of(name, spec)
    data = [INPUTS["text"][i:300] for i in range(16)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(codec.code_length, data)) == [codec.code_length(part) for part in data]
        assert list(pool.map(codec.decompress, pool.map(codec.compress, data))) == data


def test_brute_force_runs_on_jobs() -> None:
    codec = Bz2()
    expected = codec.continuations(b"abcabc").lengths()
    with parallel.jobs(2):
        assert (codec.continuations(b"abcabc").lengths() == expected).all()


@pytest.mark.parametrize(
    "spec",
    [
        *("lzma2:preset=10", "lzma2:preset=-1", "lzma2:dict_size=100", "lzma2:lc=4,lp=1", "lzma2:pb=5"),
        *("bz2:level=0", "bz2:level=10", "zstd:level=23", "zstd:window_log=9", "zstd:window_log=32"),
        *("brotli:quality=12", "brotli:lgwin=9", "brotli:mode=music", "png:width=0", "png:level=10"),
        *("png:filters=best", "png:window_bits=8", "flac:bits=12", "flac:level=9", "flac:samplerate=0"),
        *("flac:byteorder=middle", "webp:width=16384", "webp:quality=101", "webp:method=7", "jxl:effort=0"),
        *("jxl:width=0", "ppmd:order=1", "ppmd:memory=100", "ppmd:variant=J"),
    ],
)
def test_parameters_are_checked(spec: str) -> None:
    with pytest.raises(UsageError) as error:
        registry.compressor(spec)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("spec", "module", "extra"), [("ppmd", "pyppmd", "ppmd"), ("jxl", "pillow_jxl", "jxl")])
def test_absent_packages_are_named(monkeypatch: pytest.MonkeyPatch, spec: str, module: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    codec = registry.compressor(spec)
    with pytest.raises(MissingExtraError, match=rf"compgen\[{extra}\]"):
        codec.compress(b"abc")


# -------------------------------------------------------------------------------------- other programs read the files


@pytest.mark.parametrize("kind", ["image tile", "periodic", "all equal", "text"])
def test_pillow_reads_our_png(kind: str) -> None:
    data = INPUTS[kind]
    with Image.open(io.BytesIO(Png().compress(data))) as image:
        image.load()
        assert image.mode == "L"
        assert image.width == 64
        assert image.tobytes()[: len(data)] == data


@pytest.mark.parametrize("spec", ["webp", "jxl"])
def test_pillow_reads_our_other_images(spec: str) -> None:
    codec = codec_of(spec, spec)
    with Image.open(io.BytesIO(codec.compress(INPUTS["image tile"]))) as image:
        assert image.convert("L").tobytes() == INPUTS["image tile"]


def test_libraries_read_our_general_files() -> None:
    import brotli

    data = INPUTS["text"]
    assert lzma.decompress(Lzma2().compress(data)) == data
    assert bz2.decompress(Bz2().compress(data)) == data
    assert zstandard.ZstdDecompressor().decompress(Zstd().compress(data)) == data
    assert brotli.decompress(registry.compressor("brotli").compress(data)) == data


def test_libsndfile_reads_our_flac() -> None:
    import soundfile

    data = synthetic_speech(999, bits=16) + b"\x07"
    samples, rate = soundfile.read(io.BytesIO(Flac(bits=16).compress(data)), dtype="int16")
    assert rate == 16000
    # The odd byte is completed by the high byte before it.
    assert samples.astype("<i2").tobytes() == data + data[-2:-1]


# -------------------------------------------------------------------------------------------------------------- lzma2


def adversarial_inputs() -> list[bytes]:
    generator = np.random.default_rng(1)
    counters = b"".join(b"abcd%05d" % i for i in range(3000))
    mixed = b"".join(b"abcd" + generator.bytes(2) for _ in range(3000))
    return [
        *(data[:size] for size in (1, 5, 2048, 2049, 9000) for data in (counters, mixed, counters[::-1])),
        b"".join(bytes([i % 256, i // 256]) for i in range(4000)),
        generator.integers(0, 3, 5000, dtype=np.uint8).tobytes(),
        generator.integers(0, 20, 8000, dtype=np.uint8).tobytes(),
        generator.bytes(700) * 12,
        bytes(5000) + generator.bytes(100) + bytes(300),
        generator.bytes(70_000),
        *(INPUTS[kind] for kind in INPUTS),
    ]


def naive_lzma_bits(data: bytes, preset: int) -> int:
    code = lzma.compress(data, preset=preset)
    return 8 * (len(code) - xz_container(code))


@pytest.mark.parametrize("preset", [9, 9 | lzma.PRESET_EXTREME, 6, 4, 0, 3])
def test_lzma2_lengths_are_those_of_the_full_dictionary(preset: int) -> None:
    codec = Lzma2(preset=preset & 15, extreme=bool(preset & lzma.PRESET_EXTREME))
    for data in adversarial_inputs():
        assert codec.code_length(data) == naive_lzma_bits(data, preset)


def test_lzma2_lengths_are_those_of_the_full_dictionary_on_real_data(real_chunks: dict[str, list[bytes]]) -> None:
    for kind, chunks in real_chunks.items():
        stream = b"".join(chunks[:40])
        for data in (*chunks[:12], chunks[0][:777], stream[:16_384], stream[1000:70_000]):
            assert Lzma2().code_length(data) == naive_lzma_bits(data, 9), kind


@pytest.mark.slow
def test_lzma2_is_a_hundred_times_faster_than_naive() -> None:
    context = synthetic_text(2048)

    def seconds(length_of: Callable[[bytes], object], repeats: int) -> float:
        start = time.process_time()
        for byte in range(repeats):
            length_of(context + bytes((byte,)))
        return (time.process_time() - start) / repeats

    naive = min(seconds(lambda data: lzma.compress(data, preset=9), 10) for _ in range(3))
    assert naive > 100 * min(seconds(Lzma2().code_length, 256) for _ in range(3))


# ---------------------------------------------------------------------------------------------------------------- bz2


@pytest.mark.parametrize("size", [79_980, 79_985, 79_990, 100_000])
def test_bz2_block_size_is_not_seen(size: int) -> None:
    # Runs of exactly four grow to five bytes, the worst case of the first run-length code.
    data = b"".join(bytes([i % 251] * 4) for i in range(size // 4))
    code = bz2.compress(data, 9)
    assert 0 <= 8 * (len(code) - 24) - Bz2().code_length(data) <= 7


# ---------------------------------------------------------------------------------------------------------------- png


def plain_predictor(kind: str, a: int, b: int, c: int) -> int:
    """The PNG Specification, section 9.2 and 9.4, word for word."""
    if kind == "paeth":
        p = a + b - c
        return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
    return {"none": 0, "sub": a, "up": b, "average": (a + b) // 2}[kind]


def plain_scanlines(data: bytes, width: int, kinds: tuple[str, ...]) -> bytes:
    """What the numba kernel does, plainly: each row under the filter with the least sum of absolute differences."""
    out = b""
    above = [0] * width
    for start in range(0, len(data), width):
        row = data[start : start + width]
        trials = []
        for kind in kinds:
            left, corner = [0, *row], [0, *above]
            filtered = [(x - plain_predictor(kind, left[i], above[i], corner[i])) % 256 for i, x in enumerate(row)]
            cost = sum(abs(v - 256 if v > 127 else v) for v in filtered)
            trials.append((cost, bytes([_png_filters.FILTERS.index(kind), *filtered])))
        out += min(trials, key=lambda trial: trial[0])[1]
        above = list(row)
    return out


@settings(max_examples=40, deadline=None)
@given(
    data=st.binary(min_size=1, max_size=200),
    width=st.integers(1, 40),
    filters=st.sampled_from(["adaptive", *_png_filters.FILTERS]),
)
def test_png_filters_like_the_specification(data: bytes, width: int, filters: Any) -> None:
    codec = Png(width=width, filters=filters)
    kinds = _png_filters.FILTERS if filters == "adaptive" else (filters,)
    assert codec._scanlines(data) == plain_scanlines(data, width, kinds)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 2048, 2000])
def test_png_counts_the_scanlines_cut_where_the_data_ends(length: int) -> None:
    data = INPUTS["image tile"][:length]
    encoder = zlib.compressobj(9, zlib.DEFLATED, -15, 8, zlib.Z_FILTERED)
    stream = encoder.compress(plain_scanlines(data, 64, _png_filters.FILTERS)) + encoder.flush()
    assert 0 <= 8 * len(stream) - Png().code_length(data) <= 7


@pytest.mark.parametrize("codec", [Png(), Png(width=17), Png(width=1), Png(filters="average", width=50)])
def test_png_continuations_step_by_step(codec: Png) -> None:
    data = synthetic_image(6, 50, seed=3)
    state = codec.continuations(b"")
    for position, byte in enumerate(data):
        if position % 7 == 0:
            lengths = state.lengths()
            for last in {byte, 0, 128, 255}:
                assert lengths[last] == codec.code_length(data[:position] + bytes((last,))), position
        state.push(byte)


def test_png_width_is_a_promise() -> None:
    codec = Png(width=10)
    with pytest.raises(BadInputError, match="whole rows of 10 pixels"):
        codec.compress(bytes(25))
    assert codec.decompress(codec.compress(bytes(30))) == bytes(30)
    assert codec.code_length(bytes(25)) > 0
    for spec in ("webp:width=10", "jxl:width=10"):
        with pytest.raises(BadInputError):
            registry.compressor(spec).compress(bytes(25))


def test_png_reads_what_other_writers_write() -> None:
    file = io.BytesIO()
    Image.frombytes("L", (64, 32), INPUTS["image tile"]).save(file, "PNG")
    assert Png().decompress(file.getvalue()) == INPUTS["image tile"]


def test_png_refuses_an_image_that_lies_about_its_size() -> None:
    code = bytearray(Png().compress(INPUTS["image tile"]))
    code[16:24] = struct.pack(">II", 0x7FFFFFFF, 0x7FFFFFFF)
    code[29:33] = struct.pack(">I", zlib.crc32(code[12:29]))
    with pytest.raises(CorruptDataError, match="do not fill"):
        Png().decompress(bytes(code))


def test_long_webp_is_several_images() -> None:
    data = synthetic_image(10, 16383) + b"end"
    codec = registry.compressor("webp:quality=0,method=0,width=none")
    narrow = type(codec)(width=5, quality=0, method=0)  # type: ignore[call-arg]
    assert narrow.decompress(narrow.compress(data[: 5 * 16383 + 10])) == data[: 5 * 16383 + 10]
    assert codec.decompress(codec.compress(data)) == data


# --------------------------------------------------------------------------------------------------------------- flac


@pytest.mark.parametrize("level", [0, 3, 5, 8])
@pytest.mark.parametrize("length", [2, 3, 4095 * 2, 4096 * 2, 4096 * 2 + 1, 9001, 24_001])
def test_flac_continuations_across_frames(level: int, length: int) -> None:
    codec = Flac(bits=16, level=level)
    data = synthetic_speech(12_001, bits=16, seed=level)[:length]
    state = codec.continuations(data[: length - 2])
    for byte in data[length - 2 :]:
        state.push(byte)
    lengths = state.lengths()
    for byte in (0, 1, 127, 128, 255):
        assert lengths[byte] == codec.code_length(data + bytes((byte,)))


def test_flac_frame_numbers_count() -> None:
    # From frame 128 on, a frame's number takes two bytes.
    codec = Flac(level=0)
    data = synthetic_speech(1152 * 130 + 10)
    for size in (1152 * 128 - 1, 1152 * 128, 1152 * 130 + 9):
        lengths = codec.continuations(data[:size]).lengths()
        assert lengths[data[size]] == codec.code_length(data[: size + 1])


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(5000, np.int16),
        np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16),
        np.arange(5000, dtype=np.int16),
        np.arange(5000, dtype=np.int16) * 4,
        np.array([0, 1, 30_000, -30_000] * 1250, np.int16),
        np.frombuffer(synthetic_speech(5000, bits=16), "<i2").astype(np.int16),
        np.frombuffer(synthetic_speech(5000, bits=16), "<i2").astype(np.int16) // 8 * 8,
    ],
    ids=["constant", "verbatim", "fixed", "wasted bits", "spikes", "lpc", "lpc with wasted bits"],
)
def test_flac_walk_finds_the_end_of_frames(samples: Any) -> None:
    for level in range(9):
        code = Flac(bits=16, level=level)._encode(samples)
        walked, _ = _flac_frames.walk_mono(
            np.frombuffer(code, np.uint8), flac_container(code), 16, _flac_frames.table()
        )
        assert walked == len(samples)


# ------------------------------------------------------------------------------------------------------- golden files

#: Files of formats or containers of our own, with what they hold: they must be read for ever.
GOLDEN_DATA = bytes(i * i % 251 for i in range(64 * 3 + 5))
QUESTION = b"to be or not to be, that is the question"
GOLDEN: dict[str, tuple[str, bytes]] = {
    "png": (
        "89504e470d0a1a0a0000000d49484452000000400000000108000000004b06f7cb0000000863674c4e0000000000000028fa"
        "956c6d000000364944415478da632cf9bdd18979b73ff33a3f46d63521bf373a311fff12f2e5a7f01a4faeb5215ffeee0e64"
        "f9c0c7f895ed3f030e000055171370393d5a320000000049454e44ae426082",
        QUESTION,
    ),
    "flac:bits=16": (
        "664c6143000000221000100000003400003403e800f0000000151d385b01e9ef7cf5d88b70dc774d3bf4020000056367656e"
        "0184000028200000007265666572656e6365206c6962464c414320312e342e3320323032333036323300000000fff8650800"
        "1499026f7462202065726f6e20746f7420206f6562202c6874746169202073687420657571736569746e6f6e216ba8",
        QUESTION + b"!",
    ),
    "flac": (
        "664c6143000000221000100000000b00000b03e80070000000018d39dd7eef115ea6975446ef4082951f020000056367656e"
        "0184000028200000007265666572656e6365206c6962464c414320312e342e3320323032333036323300000000fff8650200"
        "007203033fac",
        b"",
    ),
    "webp": (
        "5249464682000000574542505650384c610000002f270000006fa0a66d0336a7aeaf204aa26ada366073eafa0aa224aaa66d"
        "0336a7aeaf204aa2f31fdbb6f51f009248024012009004000000000045912435e468060fd88802e2131108410002285e58c0"
        "5944ff631ab2fa3bc242779376e4ef3c000043474c4e0c00000000000000000000281ce24a45",
        QUESTION,
    ),
    "jxl": (
        "0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c200000001463674c4e00000000000000281ce2"
        "4a45000000496a786c63ff0a00004e80a0b81108000100c8004b188b15525c4e772a9e77d0850700a7da7d9e2a2c4f4ab205"
        "98ce0bf945617972395abd86c8665bf9c35349ff3c03de0d01",
        QUESTION,
    ),
    "ppmd:variant=H": (
        "6367504d599f007948100100000000000000000000280073f9054a2d64cacfe5ac876209c46e1992facfef074187232986f1"
        "fec0be6cd400",
        QUESTION,
    ),
    "ppmd:variant=I": (
        "6367504d2631f076491001000000000000000000002873f9051dd9ef043e456e1a505c1ece1b04d8d9d08eea6fc63bfb2956"
        "d2e9136600",
        QUESTION,
    ),
    "brotli": (
        "6f00d600454ae21c710280df48ed7437672a4a1039ba7e13732b9b8504335036104c483f8ddc38a304",
        QUESTION,
    ),
}
PNG_SHA256 = "3fd5ef90fa84bf3251f4d1d6c5bdaa6f8a232e9343ecb74f189e8afc20e39cba"


@pytest.mark.parametrize("spec", GOLDEN)
def test_golden_files_are_read(spec: str) -> None:
    code, data = GOLDEN[spec]
    assert codec_of(spec.partition(":")[0], spec).decompress(bytes.fromhex(code)) == data


def test_png_bytes_are_golden() -> None:
    # Stored blocks are the same with every zlib.
    assert hashlib.sha256(Png(level=0).compress(GOLDEN_DATA)).hexdigest() == PNG_SHA256


def test_flac_note_is_a_metadata_block_after_streaminfo() -> None:
    codec = Flac(bits=16)
    whole, odd = codec.compress(b"abcb"), codec.compress(b"abc")
    assert odd[:42] + odd[42 + 9 :] == whole
    assert odd[42 : 42 + 9] == b"\x02\x00\x00\x05cgen\x01"


# ---------------------------------------------------------------------------------------------------- rates, real data


def percent(codec: str, chunks: list[bytes]) -> float:
    made = registry.compressor(codec)
    return 100 * sum(made.code_length(chunk) / 8 for chunk in chunks) / sum(map(len, chunks))


def test_rates_have_the_order_of_table_1(real_chunks: dict[str, list[bytes]]) -> None:
    """Deletang et al. 2024, Table 1: gzip and LZMA2 do text, PNG and FLAC their own kind, and nothing does noise."""
    text, image, audio = (real_chunks[kind][:80] for kind in ("text", "image", "audio"))
    assert percent("gzip", text) < percent("lzma2", text) < 56 < percent("png", text) < percent("flac", text)
    assert percent("png", image) < percent("png:width=32", image) < percent("gzip", image)
    assert percent("flac", audio) < min(percent("gzip", audio), percent("lzma2", audio), percent("png", audio))
    noise = [INPUTS["incompressible"]]
    for codec in ("gzip", "lzma2", "zstd", "brotli", "flac"):
        assert 100 <= percent(codec, noise) < 100.5


def test_speech_of_16_bits_wants_16_bits(real_chunks: dict[str, list[bytes]]) -> None:
    audio = real_chunks["audio16"][:80]
    assert percent("flac:bits=16", audio) < percent("lzma2", audio) < percent("flac", audio)
