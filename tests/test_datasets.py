"""Data sets: what they serve, in which order, from which kinds of files, and what they leave out and say of it."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import lzma
import pickle
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
from conftest import synthetic_image, synthetic_speech, synthetic_text
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import compgen
from compgen.datasets import Dataset, load
from compgen.datasets.dataset import Skip
from compgen.datasets.images import tiles_of
from compgen.errors import BadInputError, MissingExtraError, UsageError

RNG = np.random.default_rng(1)
COLOUR = RNG.integers(0, 256, (70, 130, 3), np.uint8)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Neither the working folder nor the environment has data, unless a test is about real data."""
    (tmp_path / "nowhere").mkdir()
    monkeypatch.chdir(tmp_path / "nowhere")
    if "real_data" not in request.fixturenames:
        monkeypatch.delenv("COMPGEN_DATA", raising=False)


def image_file(path: Path, pixels: np.ndarray | Image.Image, **parameters: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path, **parameters)
    return path


def audio_file(path: Path, samples: int, seed: int = 0, samplerate: int = 16000, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pcm = np.frombuffer(synthetic_speech(samples, 16, seed), "<i2")
    soundfile.write(path, pcm, samplerate, subtype=subtype)
    return path


def reasons(dataset: Dataset) -> dict[str, str]:
    return {Path(path).name: reason for path, reason in dataset.skipped}


def slow_tiles(colour: np.ndarray, rows: int = 32) -> list[bytes]:
    """Tile by tile and pixel by pixel, in scan order."""
    height, width = colour.shape[:2]
    return [
        bytes(sum(map(int, colour[y, x])) // 3 for y in range(top, top + rows) for x in range(left, left + 64))
        for top in range(0, height - rows + 1, rows)
        for left in range(0, width - 63, 64)
    ]


# --- chunks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Joined:
    joined: ClassVar[bool] = True
    parts: tuple[bytes, ...]

    def pieces(self, chunk_bytes: int, skip: Skip) -> Iterator[bytes]:
        for part in self.parts:
            if part:
                yield part
            else:
                skip("nothing", "empty")


class Apart(Joined):
    joined: ClassVar[bool] = False


@given(
    parts=st.lists(st.binary(max_size=20), max_size=8).map(tuple),
    chunk_bytes=st.integers(1, 9),
    limit_bytes=st.none() | st.integers(1, 60),
    joined=st.booleans(),
)
def test_chunks_are_what_one_would_cut(
    parts: tuple[bytes, ...], chunk_bytes: int, limit_bytes: int | None, joined: bool
) -> None:
    if joined:
        whole = b"".join(parts)[:limit_bytes]
    else:
        whole = b"".join(part[: len(part) // chunk_bytes * chunk_bytes] for part in parts)[:limit_bytes]
        whole = whole[: len(whole) // chunk_bytes * chunk_bytes]
    expected = [whole[start : start + chunk_bytes] for start in range(0, len(whole) - chunk_bytes + 1, chunk_bytes)]
    source = (Joined if joined else Apart)(parts)
    dataset = Dataset("set", "text", "", "", source, chunk_bytes, limit_bytes=limit_bytes)
    if not whole:
        with pytest.raises(BadInputError):
            dataset.read()
        return
    assert dataset.read() == whole
    assert (dataset.size_bytes, dataset.chunk_count) == (len(whole), len(expected))
    assert dataset.sha256 == hashlib.sha256(whole).hexdigest()
    for _ in range(2):  # as often as wanted
        if expected:
            assert list(dataset.chunks()) == expected
        else:
            with pytest.raises(BadInputError, match="too few for a chunk of"):
                list(dataset.chunks())


def test_sets_too_small_for_a_chunk_say_so(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_bytes(b"short")
    dataset = load(str(tmp_path / "note.txt"))
    assert (dataset.read(), dataset.chunk_count) == (b"short", 0)
    with pytest.raises(BadInputError, match=r"note\.txt has 5 bytes, too few for a chunk of 2,048; give more data or"):
        next(dataset.chunks())
    assert list(load(str(tmp_path / "note.txt"), chunk_bytes=2).chunks()) == [b"sh", b"or"]
    image_file(tmp_path / "dot.png", COLOUR[:31])
    with pytest.raises(BadInputError, match=r"nothing in 1 file can be used; .*dot\.png: 130x31 pixels, smaller"):
        next(load(str(tmp_path / "dot.png")).chunks())


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    for number in range(3):
        image_file(tmp_path / "set" / f"{number}.png", COLOUR)
    dataset = load(f"imagenet:path={tmp_path / 'set'}", limit_chunks=2)
    (tmp_path / "set" / "1.png").write_bytes(b"damaged")
    assert (dataset.chunk_count, dataset.skipped) == (2, [])  # the first image has four
    assert pickle.loads(pickle.dumps(dataset)).sha256 == dataset.sha256


def test_importing_it_brings_nothing_heavy() -> None:
    code = "import sys, compgen.datasets; print({'numpy', 'PIL', 'soundfile', 'pyarrow', 'http'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


# --- random ----------------------------------------------------------------------------------------------------------


def test_random_bytes_are_the_same_everywhere() -> None:
    dataset = load("random:bytes=3000001")
    assert (dataset.name, dataset.modality, dataset.size_bytes) == ("random", "random", 3_000_001)
    assert dataset.sha256 == "c5b3093d8c383495293f65228acecfd12026226273d1d39a58d4b4ec447b3d15"
    seven = load("random:seed=7", limit_bytes=100_000)
    assert (seven.name, seven.sha256[:16]) == ("random:seed=7", "fd1619d2f40b4f79")
    assert load("random", seed=7, limit_bytes=100_000).sha256 == seven.sha256
    assert load("random", limit_bytes=3_000_001).sha256 == dataset.sha256
    counts = np.bincount(np.frombuffer(dataset.read(), np.uint8), minlength=256)
    assert abs(((counts - 3_000_001 / 256) ** 2).sum() / (3_000_001 / 256) - 255) < 5 * (2 * 255) ** 0.5


def test_random_bytes_follow_the_definition_of_philox() -> None:
    """Ten rounds over a counter of four words that starts at 1, written out after the paper."""
    low = (1 << 64) - 1
    words = []
    for counter in range(1, 4):
        x, key = [counter, 0, 0, 0], [7, 0]
        for _ in range(10):
            first, second = 0xD2E7470EE14C6C93 * x[0], 0xCA5A826395121157 * x[2]
            x = [(second >> 64) ^ x[1] ^ key[0], second & low, (first >> 64) ^ x[3] ^ key[1], first & low]
            key = [(key[0] + 0x9E3779B97F4A7C15) & low, (key[1] + 0xBB67AE8584CAA73B) & low]
        words += x
    expected = b"".join(word.to_bytes(8, "little") for word in words)
    assert load("random:seed=7", limit_bytes=96).read() == expected


# --- images ----------------------------------------------------------------------------------------------------------


def test_tiles_are_in_scan_order(tmp_path: Path) -> None:
    image_file(tmp_path / "a.png", COLOUR)
    dataset = load(str(tmp_path / "a.png"))
    assert list(dataset.chunks()) == slow_tiles(COLOUR)
    assert (dataset.modality, dataset.width, dict(dataset.geometry)) == ("image", 64, {"width": 64})
    assert list(load(str(tmp_path / "a.png"), chunk_bytes=640).chunks()) == slow_tiles(COLOUR, rows=10)
    with pytest.raises(UsageError, match="chunk_bytes of images must be a multiple of 64, not 2000"):
        load(str(tmp_path / "a.png"), chunk_bytes=2000)


@given(height=st.integers(1, 80), width=st.integers(1, 200), rows=st.integers(1, 40))
def test_tiles_cover_whole_rows_and_columns_once(height: int, width: int, rows: int) -> None:
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width), np.uint8)
    if height < rows or width < 64:
        with pytest.raises(BadInputError, match="smaller than a tile"):
            tiles_of(pixels, rows)
        return
    expected = slow_tiles(np.repeat(pixels[:, :, None], 3, axis=2), rows)
    assert [tile.tobytes() for tile in tiles_of(pixels, rows)] == expected


def test_the_first_image_of_each_class_comes_before_the_second_of_any(tmp_path: Path) -> None:
    pictures = {}
    for number, name in enumerate(["b/1.png", "b/2.png", "a/deep/9.png", "a/deep/10.png", "a/x.png", "top.png"]):
        pictures[name] = np.full((32, 64), number, np.uint8)
        image_file(tmp_path / "set" / name, pictures[name])
    served = [chunk[0] for chunk in load(f"imagenet:path={tmp_path / 'set'}").chunks()]
    assert served == [3, 4, 0, 5, 2, 1]  # a/deep/10, a/x, b/1, top; then a/deep/9, b/2


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "I;16", "1", "P", "CMYK", "YCbCr"])
def test_images_of_every_kind_are_served(tmp_path: Path, mode: str) -> None:
    pixels = np.frombuffer(synthetic_image(32), np.uint8).reshape(32, 64)
    if mode == "I;16":
        picture = Image.fromarray(pixels.astype(np.uint16) * 256 + 77)
    else:
        picture = Image.fromarray(pixels).convert("RGB").convert(mode)
    path = image_file(tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png"), picture)
    with Image.open(path) as opened:
        assert opened.mode == {"YCbCr": "RGB"}.get(mode, mode)
        colour = np.asarray(opened.convert("RGB")).astype(int)
    expected = colour.sum(axis=2) // 3 if mode in ("1", "P", "CMYK", "YCbCr") else pixels
    assert load(str(path)).read() == expected.astype(np.uint8).tobytes()


def test_the_first_frame_counts_and_exif_turns_but_not_as_in_the_paper(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((64, 64), level, np.uint8)) for level in (10, 200)]
    image_file(tmp_path / "film.gif", frames[0], save_all=True, append_images=frames[1:])
    assert set(load(str(tmp_path / "film.gif")).read()) == {10}
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    path = image_file(tmp_path / "turned.png", COLOUR[:32, :64], exif=exif)
    gray = COLOUR[:32, :64].astype(int).sum(axis=2) // 3
    assert load(str(path)).read() == gray[::-1, ::-1].astype(np.uint8).tobytes()
    paper = load(str(path), layout="paper")
    assert paper.read() == gray.astype(np.uint8).tobytes()
    assert (paper.name, dict(paper.geometry), paper.width) == ("turned.png:layout=paper", {"width": 32}, 64)


def test_what_is_no_image_is_skipped_and_listed(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    good = image_file(folder / "n1" / "good.png", COLOUR).read_bytes()
    image_file(folder / "n1" / "tiny.png", COLOUR[:20, :30])
    (folder / "n1" / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "n1" / "cut.jpg").write_bytes(image_file(tmp_path / "whole.jpg", COLOUR).read_bytes()[:3000])
    (folder / "n1" / "text.jpg").write_bytes(b"not found")
    (folder / "n1" / "empty.jpg").write_bytes(b"")
    (folder / "n1" / "lost.jpg").symlink_to(tmp_path / "nowhere" / "lost.jpg")
    (folder / "n1" / "labels.txt").write_bytes(b"beside the point")
    (folder / ".DS_Store").write_bytes(b"beside the point")
    (folder / ".cache").mkdir()
    image_file(folder / ".cache" / "thumbnail.png", COLOUR)
    dataset = load(f"imagenet:path={folder}")
    assert list(dataset.chunks()) == slow_tiles(COLOUR)
    found = reasons(dataset)
    assert sorted(found) == ["cut.jpg", "cut.png", "empty.jpg", "lost.jpg", "text.jpg", "tiny.png"]
    assert "damaged" in found["cut.png"]
    assert "damaged" in found["cut.jpg"]
    assert found["tiny.png"] == "30x20 pixels, smaller than a tile of 64x32"
    assert "no such file" in found["lost.jpg"]


def test_images_with_too_many_pixels_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_file(tmp_path / "set" / "small.png", COLOUR[:32, :64])
    image_file(tmp_path / "set" / "vast.png", COLOUR)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    assert "pixels" in reasons(load(str(tmp_path / "set")))["vast.png"]


# --- archives and tables ---------------------------------------------------------------------------------------------


def tar_of(files: dict[str, bytes], mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("secret.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return packed.getvalue()


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.tar.xz", "a.tar.bz2"])
def test_archives_are_read_in_place(tmp_path: Path, name: str) -> None:
    mode = {"tar": "w", "tgz": "w:gz"}.get(name[2:], f"w:{name[6:]}")
    file = image_file(tmp_path / "one.png", COLOUR).read_bytes()
    other = image_file(tmp_path / "two.png", 255 - COLOUR).read_bytes()
    inner = tar_of({"n01/1.png": other, "../../evil.png": other})
    files = {"z/1.png": file, "README.txt": b"no image", "bad.png": b"bad", "n.tar": inner}
    (tmp_path / name).write_bytes(tar_of(files, mode))
    dataset = load(f"imagenet:path={tmp_path / name}")
    assert list(dataset.chunks()) == slow_tiles(COLOUR) + slow_tiles(255 - COLOUR) * 2
    assert list(reasons(dataset)) == ["bad.png"]
    assert not list(tmp_path.rglob("evil.png"))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(BadInputError, match=rf"{name} is damaged or not whole after \d files .*; fetch it again"):
        load(f"imagenet:path={tmp_path / name}").read()


def tables(folder: Path, column: str, cells: list[object]) -> None:
    """What the hub has, and what save_to_disk makes."""
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra arrow")
    from pyarrow import parquet

    table = pyarrow.table({"label": list(range(len(cells))), column: cells})
    (folder / "saved").mkdir(parents=True)
    (folder / "saved" / "state.json").write_text("{}")
    (folder / "saved" / "dataset_info.json").write_text("{}")
    with pyarrow.ipc.new_stream(str(folder / "saved" / "data-00000-of-00001.arrow"), table.schema) as writer:
        writer.write_table(table)
    (folder / "hub" / "data").mkdir(parents=True)
    parquet.write_table(table, folder / "hub" / "data" / "train-00000-of-00001.parquet")


@pytest.mark.parametrize("layout", ["saved", "hub"])
def test_tables_of_hugging_face_are_read(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = image_file(tmp_path / "one.png", COLOUR).read_bytes()
    lost = {"bytes": None, "path": str(tmp_path / "one.png")}  # a path that is not to be followed
    tables(tmp_path, "image", [{"bytes": file, "path": "x.png"}, lost, {"bytes": b"bad", "path": None}])
    dataset = load(f"imagenet:path={tmp_path / layout}")
    assert list(dataset.chunks()) == slow_tiles(COLOUR)
    (first, lost_reason), (_, bad_reason) = dataset.skipped
    assert first.endswith(":2")
    assert lost_reason == "no bytes; make a table that holds the files, not their paths"
    assert "not an image" in bad_reason
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"compgen\[arrow\]"):
        load(f"imagenet:path={tmp_path / layout}").read()


def test_tables_without_the_column_or_damaged_are_named(tmp_path: Path) -> None:
    tables(tmp_path, "picture", [b"x"])
    with pytest.raises(BadInputError, match=r"parquet has no column image or .*; it has: label, picture"):
        load(f"imagenet:path={tmp_path / 'hub'}").read()
    path = tmp_path / "saved" / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadInputError, match=r"arrow: not a whole \.arrow file"):
        load(f"imagenet:path={tmp_path / 'saved'}").read()


def test_tables_of_recordings_are_read(tmp_path: Path) -> None:
    content = audio_file(tmp_path / "a.flac", 5000).read_bytes()
    tables(tmp_path, "audio", [{"bytes": content, "path": "a.flac"}])
    assert load(f"librispeech:path={tmp_path / 'hub'}").read() == synthetic_speech(5000)[:4096]


# --- recordings ------------------------------------------------------------------------------------------------------


def test_recordings_are_cut_one_by_one(tmp_path: Path) -> None:
    folder = tmp_path / "train-clean-100"
    audio_file(folder / "103" / "1240" / "103-1240-0000.flac", 5000, 1)
    audio_file(folder / "103" / "1240" / "103-1240-0001.flac", 4096, 2)
    audio_file(folder / "211" / "122425" / "211-122425-0000.wav", 2047 + 2048, 3)
    (folder / "103" / "1240" / "103-1240.trans.txt").write_bytes(b"103-1240-0000 CHAPTER ONE")
    eight = [synthetic_speech(count, 8, seed) for count, seed in ((5000, 1), (4095, 3), (4096, 2))]
    dataset = load(f"librispeech:path={folder}")
    assert b"".join(dataset.chunks()) == eight[0][:4096] + eight[1][:2048] + eight[2]
    assert {len(chunk) for chunk in dataset.chunks()} == {2048}
    assert (dataset.name, dataset.modality, dataset.bits, dataset.samplerate) == ("librispeech", "audio", 8, 16000)
    assert dataset.skipped == []
    native = load(f"librispeech:path={folder},bits=16", limit_chunks=4)
    assert native.read() == synthetic_speech(5000, 16, 1)[:8192]
    assert (native.name, native.bits, native.geometry["byteorder"]) == ("librispeech:bits=16", 16, "little")
    assert load(f"librispeech:path={folder}", bits=16).sha256 == load(f"librispeech:path={folder},bits=16").sha256
    assert load(f"librispeech:path={folder}", layout="paper").sha256 == dataset.sha256
    with pytest.raises(UsageError, match="chunk_bytes of samples of 16 bits must be even, not 2047"):
        load(f"librispeech:path={folder},bits=16", chunk_bytes=2047)
    with pytest.raises(UsageError, match="layout=paper has samples of 8 bits"):
        load(f"librispeech:path={folder},bits=16", layout="paper")


def test_the_archives_of_openslr_are_read_in_place(tmp_path: Path) -> None:
    names = [f"LibriSpeech/dev-clean/84/121123/84-121123-000{i}.flac" for i in range(3)]
    contents = [audio_file(tmp_path / "set" / name, 3000 + i, i).read_bytes() for i, name in enumerate(names)]
    files = dict(zip(names, contents, strict=True)) | {"LibriSpeech/README.TXT": b"about"}
    (tmp_path / "dev-clean.tar.gz").write_bytes(tar_of(files, "w:gz"))
    archive = load(f"librispeech:path={tmp_path / 'dev-clean.tar.gz'}")
    assert archive.sha256 == load(f"librispeech:path={tmp_path / 'set'}").sha256
    assert (archive.chunk_count, archive.skipped) == (3, [])


def test_recordings_of_another_kind_are_skipped_and_listed(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    good = audio_file(folder / "good.flac", 30_000)
    audio_file(folder / "fast.flac", 5000, samplerate=44100)
    audio_file(folder / "short.flac", 2047)
    soundfile.write(folder / "stereo.wav", np.zeros((5000, 2), np.int16), 16000)
    (folder / "cut.flac").write_bytes(good.read_bytes()[:9000])
    wave = audio_file(tmp_path / "whole.wav", 9000).read_bytes()
    (folder / "cut.wav").write_bytes(wave[:9000])
    (folder / "piped.wav").write_bytes(wave[:4] + b"\xff\xff\xff\xff" + wave[8:])
    content = bytearray(good.read_bytes())
    content[30] ^= 1  # in the MD5 of the samples
    (folder / "changed.flac").write_bytes(content)
    (folder / "noise.flac").write_bytes(b"fLaC" + bytes(100))
    dataset = load(f"librispeech:path={folder}")
    assert dataset.chunk_count == 30_000 // 2048 + 9000 // 2048
    found = reasons(dataset)
    assert found["fast.flac"] == "44,100 Hz, not 16,000"
    assert found["short.flac"] == "2,047 samples, too few for a chunk of 2,048 bytes"
    assert found["cut.wav"] == "cut off after 9,000 of 18,044 bytes"
    assert "MD5" in found["changed.flac"]
    assert "2 channels" in found["stereo.wav"]
    assert set(found) == {"fast.flac", "short.flac", "stereo.wav", "cut.flac", "cut.wav", "changed.flac", "noise.flac"}


def test_other_recordings_keep_their_sample_rate(tmp_path: Path) -> None:
    audio_file(tmp_path / "set" / "a.wav", 5000, 1, 44100)
    audio_file(tmp_path / "set" / "b.wav", 5000, 1, 8000)
    dataset = load(str(tmp_path / "set"))
    assert (dataset.modality, dataset.samplerate, dataset.name) == ("audio", 44100, "set")
    assert reasons(dataset) == {"b.wav": "8,000 Hz, not 44,100"}


# --- text and names --------------------------------------------------------------------------------------------------


def test_texts_are_joined_and_damaged_ones_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "b").mkdir(parents=True)
    texts = [synthetic_text(400_000, seed) for seed in range(3)]
    (folder / "a.txt.xz").write_bytes(lzma.compress(texts[0]))
    (folder / "b" / "c.txt").write_bytes(texts[1])
    (folder / "b" / "d.txt.gz").write_bytes(gzip.compress(texts[2])[:-4])  # found out at its very end
    (folder / "e.txt").write_bytes(b"")
    image_file(folder / "f.png", COLOUR)
    dataset = load(str(folder))
    assert (dataset.modality, dataset.name) == ("text", "set")
    assert dataset.read() == texts[0] + texts[1]
    found = reasons(dataset)
    assert set(found) == {"d.txt.gz", "e.txt", "f.png"}
    assert found["d.txt.gz"].startswith("not a whole .gz file")
    assert (found["e.txt"], found["f.png"]) == ("empty", "image, not text")
    assert load(str(folder), limit_bytes=400_001).read() == texts[0] + texts[1][:1]
    assert load(f"file:{folder},modality=image").read() == b"".join(slow_tiles(COLOUR))
    assert load(f"file:{folder / 'f.png'},modality=text").read() == (folder / "f.png").read_bytes()


def test_a_path_is_a_data_set_of_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_file(tmp_path / "photos" / "a.jpg", COLOUR)
    audio_file(tmp_path / "speech" / "a.flac", 5000)
    (tmp_path / "odd:name,x=1").write_bytes(b"odd")
    monkeypatch.chdir(tmp_path)
    assert [load(name).modality for name in ("photos", "speech/", "photos/a.jpg", "file:speech")] == [
        *("image", "audio", "image", "audio")
    ]
    assert load("odd:name,x=1").read() == load(tmp_path / "odd:name,x=1").read() == b"odd"
    assert load("file:odd:name,x=1").read() == b"odd"


def test_the_data_folder_has_sets_by_name_or_modality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_file(tmp_path / "data" / "image" / "a.png", COLOUR)
    audio_file(tmp_path / "data" / "audio" / "a.flac", 5000)
    monkeypatch.setenv("COMPGEN_DATA", str(tmp_path / "data"))
    by_modality = load("imagenet").sha256, load("librispeech").sha256
    image_file(tmp_path / "data" / "imagenet" / "b.png", 255 - COLOUR)
    audio_file(tmp_path / "data" / "LibriSpeech" / "b.flac", 5000, 1)
    by_name = load("imagenet").sha256, load("librispeech").sha256
    assert not set(by_modality) & set(by_name)
    monkeypatch.delenv("COMPGEN_DATA")
    assert load("imagenet", data_folder=tmp_path / "data").sha256 == by_name[0]


def test_wrong_names_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for spec, message in {
        "imagnet": "'imagnet' is neither a data set nor a file or folder; did you mean imagenet?",
        "./none.txt": "neither a data set nor a file or folder; known: enwik8, enwik9, imagenet",
        "random:size=3": "random has no parameter 'size'; it has: seed, bytes",
        "random:seed=x": "random: seed=x is not a whole number",
        "random:seed=1,seed=2": "parameter 'seed' is given twice",
        "random:seed=-1": "seed must be from 0 to",
        "random:bytes=0": "bytes must be at least 1, not 0",
        "librispeech:bits=12": "bits must be 8 or 16, not 12",
        "imagenet:layout=square": "layout must be one of compgen, paper, not square",
        "file": "name a file or folder: file:PATH",
        f"file:{tmp_path},modality=smell": "modality must be one of text, image, audio, not smell",
    }.items():
        with pytest.raises(UsageError) as error:
            load(spec)
        assert message in str(error.value)
    for spec, message in {
        "imagenet": "imagenet is not here; get it from https://www.image-net.org/download.php and give",
        "librispeech": "librispeech is not here; get it from https://www.openslr.org/12 and give",
        f"imagenet:path={tmp_path / 'none'}": "none: no such file or folder",
        f"file:{tmp_path / 'none'}": "none: no such file or folder",
    }.items():
        with pytest.raises(BadInputError) as missing:
            load(spec)
        assert message in str(missing.value)
    for limit in ("limit_bytes", "limit_chunks", "chunk_bytes"):
        with pytest.raises(UsageError, match=f"{limit} must be at least 1, not 0"):
            load("random", **{limit: 0})  # type: ignore[arg-type]
    for spec in (
        str(tmp_path / "empty"),
        f"imagenet:path={tmp_path / 'empty'}",
        f"librispeech:path={tmp_path / 'empty'}",
        f"file:{tmp_path / 'empty'},modality=audio",
    ):
        with pytest.raises(BadInputError, match=r"has no (text|image|audio) in it: .*empty"):
            load(spec).read()


def test_unreadable_folders_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0)
    try:
        next(folder.iterdir(), None)
    except PermissionError:
        with pytest.raises(BadInputError, match="locked: permission denied"):
            load(str(tmp_path)).read()
    else:
        pytest.skip("whoever runs this may read everything")
    finally:
        folder.chmod(0o700)


# --- real data -------------------------------------------------------------------------------------------------------

#: Rates in percent of the first 1500 chunks, counted without compgen: gzip, xz, PNG 64 and 32 wide, FLAC of 8 bits.
COUNTED = {
    "enwik8": (48.8, 51.0, 84.9, 86.9, 87.8),
    "imagenet": (71.8, 65.6, 59.4, 65.7, 63.1),
    "librispeech": (35.0, 34.9, 34.0, 35.4, 27.3),
    "random": (100.1, 100.0, 101.6, 103.2, 99.9),
}


@pytest.mark.parametrize("name", COUNTED)
def test_classical_rates_agree_with_an_independent_count(real_data: Path, name: str) -> None:
    rates = []
    for spec in ("gzip", "lzma2", "png", "png as in the paper", "flac"):
        spec, _, paper = spec.partition(" ")
        dataset = load(name, limit_chunks=1500, layout="paper" if paper else "compgen")
        codec = compgen.compressor(spec)
        fields = {field.name for field in dataclasses.fields(codec)}  # type: ignore[arg-type]
        codec = dataclasses.replace(codec, **{k: v for k, v in dataset.geometry.items() if k in fields})  # type: ignore[type-var]
        bits = [codec.code_length(chunk) for chunk in dataset.chunks()]
        overhead_bytes = getattr(codec, "overhead_bytes", 0)
        rates.append(100 * (sum(bits) / 8 + overhead_bytes) / (2048 * len(bits)))
    assert rates == pytest.approx(COUNTED[name], abs=0.3)


def test_real_sets_are_whole(real_data: Path) -> None:
    images, speech = load("imagenet", limit_chunks=3000), load("librispeech", limit_chunks=3000)
    assert (images.chunk_count, speech.chunk_count) == (3000, 3000)
    assert images.skipped == speech.skipped == []
    assert random.Random(0).choice(list(images.chunks())) != random.Random(0).choice(list(speech.chunks()))
