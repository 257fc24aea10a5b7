"""Documents of files and folders, whatever their format, and what is wrong with a line."""

from __future__ import annotations

import gzip
import json
import lzma
import sys
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compgen.datasets import documents as module
from compgen.datasets.documents import Document, Origin, documents
from compgen.errors import BadInputError, MissingExtraError

TEXTS = ["a rose is a rose", "", 'quotes " and\nlines\r\n', "héllo ▁ 😀 \u2028"]
PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.ZstdCompressor().compress}


def texts(*names: str | Path, **options: str) -> list[str | bytes]:
    return [document.text for document in documents(names, **options)]


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("field", ["text", "content", "body"])
def test_json_lines(tmp_path: Path, packed: str, field: str) -> None:
    path = tmp_path / f"web.jsonl{packed}"
    path.write_bytes(PACK[packed](b"\xef\xbb\xbf" + lines(*({"id": 1, field: text} for text in TEXTS)) + b"\n  \n"))
    found = list(documents([path], **({"field": field} if field == "body" else {})))
    assert [document.text for document in found] == TEXTS
    assert [document.source for document in found] == [f"{path}:{number}" for number in (1, 2, 3, 4)]
    assert {document.domain for document in found} == {"web"}
    assert [document.data for document in found] == [text.encode() for text in TEXTS]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8), pretty=st.booleans())
def test_any_text_comes_back_from_json(tmp_path: Path, rows: list[str], pretty: bool) -> None:
    path = tmp_path / "any.ndjson"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=pretty) for row in rows), "utf-8", newline="")
    assert texts(path) == rows


@pytest.mark.parametrize("packed", PACK)
def test_a_plain_file_is_a_document_of_bytes(tmp_path: Path, packed: str) -> None:
    path = tmp_path / f"notes.txt{packed}"
    path.write_bytes(PACK[packed](b"\xff\x00 any bytes"))
    assert list(documents([path])) == [Document(b"\xff\x00 any bytes", str(path), "notes")]
    empty = tmp_path / f"empty.txt{packed}"
    empty.write_bytes(PACK[packed](b""))
    assert texts(empty) == [b""]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from("ab\né😀"), max_size=120))
def test_a_long_file_comes_in_parts(tmp_path: Path, text: str) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PART_BYTES", 16)
        found = list(documents([path]))
    assert b"".join(document.data for document in found) == text.encode()
    assert [document.part for document in found] == list(range(len(found)))
    assert "".join(document.characters() for document in found) == text  # no character is cut
    assert all(len(document.data) <= 16 for document in found)


def test_folders_and_domains(tmp_path: Path) -> None:
    folder = tmp_path / "web"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.jsonl").write_bytes(lines({"text": "b", "kind": "mail"}, "plain"))
    (folder / "deep" / "a.txt").write_bytes(b"a")
    (folder / ".hidden").write_bytes(b"no")
    assert [(d.text, d.domain) for d in documents([folder])] == [("b", "web"), ("plain", "web"), (b"a", "web")]
    assert [d.domain for d in documents([f"code={folder}", Origin(folder / "b.jsonl", "x")])] == ["code"] * 3 + [
        "x"
    ] * 2
    (folder / "b.jsonl").write_bytes(lines({"text": "b", "kind": "mail"}, {"text": "c", "kind": 7}))
    assert [d.domain for d in documents([folder / "b.jsonl"], domain_field="kind")] == ["mail", "7"]
    (tmp_path / "a=b.txt").write_bytes(b"there is such a file")
    assert Origin.parse(str(tmp_path / "a=b.txt")).domain == "a=b"
    (tmp_path / "none").mkdir()
    with pytest.raises(BadInputError, match="empty folder"):
        texts(tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines({"text": "good"}) + b'{"text": "cut', r"web\.jsonl:2: not JSON"),
        (b"[\n", r"web\.jsonl:1: not JSON .*array over several lines"),
        (lines({"text": "good"}) + b'{"text": "\xe9"}\n', r"web\.jsonl:2: not UTF-8 \(byte 0xe9\)"),
        (lines({"text": "good"}, {"body": "x", "id": 2}), r"web\.jsonl:2: no field 'text' or 'content'.* 'body', 'id'"),
        (lines({"text": None}), r"web\.jsonl:1: the field 'text' holds no text but NoneType"),
        (lines([1, 2]), r"web\.jsonl:1: a line is an object .* not list"),
        (b'{"text": "\\ud83d"}\n', r"web\.jsonl:1: half of a surrogate pair, U\+D83D"),
        (b"[" * 100_000, r"web\.jsonl:1: not JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "web.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=message):
        texts(path)


def test_what_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    for name in ("none.txt", "none.jsonl", "none.parquet", "none.jsonl.xz"):
        with pytest.raises(BadInputError, match="no such file"):
            texts(tmp_path / name)
    sixteen = Document("wide".encode("utf-16"), "x.txt", "x")
    with pytest.raises(BadInputError, match=r"x\.txt: not UTF-8 \(byte 0xff at 0\); it looks like UTF-16"):
        sixteen.characters()


def test_memory_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(lines({"text": "word " * 20_000}))
    tracemalloc.start()
    assert sum(len(document.text) for document in documents([path])) == 30_000_000
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()


# --- tables ---


@pytest.fixture
def table() -> object:
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra arrow")
    return pyarrow.table({"content": TEXTS * 200, "id": list(range(800)), "kind": ["a", "b"] * 400})


def save_to_disk(table: object, folder: Path, files: int = 2) -> None:
    """The folder that ``datasets`` 4 writes, as far as it matters."""
    import pyarrow

    folder.mkdir(parents=True)
    names = [f"data-{number:05}-of-{files:05}.arrow" for number in range(files)]
    rows = table.num_rows // files  # type: ignore[attr-defined]
    for number, name in enumerate(names):
        part = table.slice(number * rows, rows)  # type: ignore[attr-defined]
        with pyarrow.ipc.new_stream(str(folder / name), part.schema) as writer:
            writer.write_table(part, max_chunksize=150)
    (folder / "dataset_info.json").write_text('{"features": {}}')
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))


def test_folders_of_datasets(tmp_path: Path, table: object) -> None:
    save_to_disk(table, tmp_path / "one")
    assert texts(tmp_path / "one") == TEXTS * 200
    for split in ("train", "test"):
        save_to_disk(table, tmp_path / "both" / split, files=1)
    (tmp_path / "both" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert {d.domain for d in documents([tmp_path / "both"])} == {"both/train", "both/test"}
    assert {d.domain for d in documents([tmp_path / "one"], domain_field="kind")} == {"a", "b"}
    assert next(iter(documents([tmp_path / "one"]))).source.endswith("data-00000-of-00002.arrow:1")


def test_datasets_own_folder(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="compares with Hugging Face's datasets where it is installed")
    datasets.Dataset.from_dict({"text": TEXTS}).save_to_disk(tmp_path / "one")
    assert texts(tmp_path / "one") == TEXTS


def test_parquet(tmp_path: Path, table: object) -> None:
    from pyarrow import parquet

    parquet.write_table(table, tmp_path / "web.parquet", row_group_size=300)
    assert texts(tmp_path / "web.parquet") == TEXTS * 200
    with pytest.raises(BadInputError, match=r"no field 'body'.* 'content', 'id'"):
        texts(tmp_path / "web.parquet", field="body")
    with pytest.raises(BadInputError, match="'id' holds no text but int"):
        texts(tmp_path / "web.parquet", field="id")
    (tmp_path / "web.parquet").write_bytes((tmp_path / "web.parquet").read_bytes()[:-9])
    with pytest.raises(BadInputError, match="not a whole"):
        texts(tmp_path / "web.parquet")


def test_damaged_datasets_are_refused(tmp_path: Path, table: object) -> None:
    save_to_disk(table, tmp_path / "one", files=1)
    path = tmp_path / "one" / "data-00000-of-00001.arrow"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInputError, match="not a whole"):
        texts(tmp_path / "one")
    (tmp_path / "one" / "state.json").write_text("{}")
    with pytest.raises(BadInputError, match="not what save_to_disk writes"):
        texts(tmp_path / "one")


def test_tables_need_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"compgen\[arrow\]"):
        texts(tmp_path / "web.parquet")
