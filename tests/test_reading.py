"""Reading files of data: packed or not, whole or damaged, alone or in folders."""

from __future__ import annotations

import gzip
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard

from compgen.datasets.reading import files_below, open_file, read_file
from compgen.errors import BadInputError

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".xz": lzma.compress,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
DATA = np.random.default_rng(0).integers(0, 20, 300_000, np.uint8).tobytes()


@pytest.mark.parametrize("suffix", ["", ".txt", *PACKERS])
def test_what_was_packed_comes_out_whole_and_piece_by_piece(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data{suffix}"
    path.write_bytes(PACKERS.get(suffix, bytes)(DATA))
    assert read_file(path) == DATA
    with open_file(path) as file:
        pieces = list(iter(lambda: file.read(70_001), b""))
    assert [len(piece) for piece in pieces] == [70_001] * 4 + [300_000 - 4 * 70_001]
    assert b"".join(pieces) == DATA


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_files_may_have_several_parts(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data{suffix}"
    path.write_bytes(PACKERS[suffix](DATA) + PACKERS[suffix](b"") + PACKERS[suffix](DATA[:99]))
    assert read_file(path) == DATA + DATA[:99]


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("damage", ["cut", "changed", "other", "empty"])
def test_damage_is_one_line(tmp_path: Path, suffix: str, damage: str) -> None:
    packed = PACKERS[suffix](DATA)
    path = tmp_path / f"data{suffix}"
    path.write_bytes(
        {
            "cut": packed[:-3],
            "changed": packed[:70_000] + bytes([packed[70_000] ^ 255]) + packed[70_001:],
            "other": b"neither of these formats",
            "empty": b"",
        }[damage]
    )
    with pytest.raises(BadInputError, match=rf"data{suffix}: not a whole \{suffix} file \(.+\)$"):
        read_file(path)


def test_what_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.xz", "no such file"), (tmp_path, "is a directory"), (Path("a\0b"), "null")):
        with pytest.raises(BadInputError, match=message):
            open_file(path)


@pytest.mark.parametrize("suffix", PACKERS)
def test_what_expands_a_thousandfold_is_read_in_bounded_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"zeros{suffix}"
    path.write_bytes(PACKERS[suffix](bytes(100_000_000)))
    tracemalloc.start()
    try:
        with open_file(path) as file:
            assert sum(len(piece) for piece in iter(lambda: file.read(1 << 20), b"")) == 100_000_000
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_folders_are_walked_in_one_order(tmp_path: Path) -> None:
    for name in ("b/2", "b/10", "a/x/1", "B/1", "c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [path.relative_to(tmp_path).as_posix() for path in files_below([tmp_path / "c", tmp_path])]
    assert found == ["c", "B/1", "a/x/1", "b/10", "b/2", "c"]
