"""enwik8 and enwik9: found, checked, or fetched from a server that breaks off, lies, or is not there."""

from __future__ import annotations

import errno
import hashlib
import http.server
import io
import lzma
import os
import re
import shutil
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compgen.datasets import download, load, wikipedia
from compgen.errors import BadInputError, UsageError

CONTENT = np.random.default_rng(6).integers(0, 256, 300_000, np.uint8).tobytes()


def zipped(content: bytes, member: str = "enwik8") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
    return file.getvalue()


@dataclass
class Server:
    """What the server holds, what it is to do wrong, and what it was asked for."""

    content: bytes
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)  # one answer each
    status: int | None = None
    asked: list[str] = field(default_factory=list)
    url: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        state: Server = self.server.state
        asked = self.headers.get("Range") or ""
        state.asked.append(asked)
        if state.status:
            self.send_error(state.status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state.ranges else 0
        if start >= len(state.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(state.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = state.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: state.break_after.pop(0)] if state.break_after else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that takes the place of the home of a small enwik8; an empty cache, no data folder, no pauses."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        state = Server(zipped(CONTENT))
        httpd.state = state  # type: ignore[attr-defined]
        state.url = f"http://127.0.0.1:{httpd.server_address[1]}/enwik8.zip"
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        small = {"size_bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
        known = replace(wikipedia.KNOWN["enwik8"], url=state.url, zip_bytes=len(state.content), **small)
        monkeypatch.setitem(wikipedia.KNOWN, "enwik8", known)
        monkeypatch.setattr(wikipedia, "SAMPLE_BYTES", 1000)
        monkeypatch.setattr(wikipedia, "SAMPLE_SHA256", hashlib.sha256(CONTENT[:1000]).hexdigest())
        monkeypatch.setattr(download, "_PAUSES_SECONDS", (0.0, 0.0))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.delenv("COMPGEN_DATA", raising=False)
        for proxy in [name for name in os.environ if name.lower().endswith("_proxy")]:
            monkeypatch.delenv(proxy)
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        yield state
        httpd.shutdown()
        thread.join()


def cached(tmp_path: Path) -> list[str]:
    folder = tmp_path / "cache" / "compgen"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# --- fetching --------------------------------------------------------------------------------------------------------


def test_it_is_fetched_once(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    dataset = load("enwik8", progress=lambda done, total: told.append((done, total)))
    assert dataset.read() == CONTENT
    assert (dataset.name, dataset.modality, dataset.size_bytes) == ("enwik8", "text", len(CONTENT))
    assert told[-1] == (len(server.content), len(server.content))
    assert load("enwik8").sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert server.asked == [""]
    assert cached(tmp_path) == ["enwik8"]


def test_what_has_come_before_an_interruption_is_kept(server: Server, tmp_path: Path) -> None:
    server.break_after = [100_000, 0, 0]  # some bytes, and then none in as many tries as there are
    with pytest.raises(BadInputError, match=r"100,000 bytes are kept, and the next try goes on from there") as error:
        load("enwik8")
    assert "COMPGEN_DATA" in str(error.value)
    assert cached(tmp_path) == ["enwik8.zip.part"]
    server.asked.clear()
    told: list[int] = []
    assert load("enwik8", progress=lambda done, _: told.append(done)).read() == CONTENT
    assert server.asked == ["bytes=100000-"]
    assert told[0] > 100_000
    assert cached(tmp_path) == ["enwik8"]


def test_a_server_that_cannot_go_on_begins_again(server: Server, tmp_path: Path) -> None:
    server.ranges, server.break_after = False, [100_000, 200_000]
    assert load("enwik8").read() == CONTENT
    assert server.asked == ["", "bytes=100000-", "bytes=200000-"]
    assert cached(tmp_path) == ["enwik8"]


def test_a_server_that_always_breaks_off_is_given_up(server: Server) -> None:
    server.ranges, server.break_after = False, [100_000] * 9
    with pytest.raises(BadInputError, match=r"the line broke after 100,000 of .* bytes\); 100,000 bytes are kept"):
        load("enwik8")
    assert len(server.asked) < 9


def test_a_line_that_breaks_often_is_taken_up_again(server: Server) -> None:
    server.break_after = [50_000] * 5
    assert load("enwik8").read() == CONTENT
    assert server.asked == ["", *(f"bytes={50_000 * tries}-" for tries in range(1, 6))]


def test_a_part_that_is_the_whole_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache" / "compgen").mkdir(parents=True)
    part = tmp_path / "cache" / "compgen" / "enwik8.zip.part"
    part.write_bytes(server.content)
    assert load("enwik8").read() == CONTENT
    part.write_bytes(server.content + b"more than there is")
    (part.parent / "enwik8").unlink()
    assert load("enwik8").read() == CONTENT
    assert server.asked == [f"bytes={len(server.content)}-", f"bytes={len(server.content) + 18}-", ""]


WRONG = {
    "another file": (zipped(CONTENT[:-1] + b"!"), "SHA-256 of its content is"),
    "a longer file": (zipped(CONTENT + b"!"), "more than 300,000 bytes"),
    "a shorter file": (zipped(CONTENT[:-1]), "SHA-256 of its content is"),
    "no archive": (b"<html>Log in to the network of this hotel</html>", "not a zip file"),
    "another archive": (zipped(CONTENT, "other"), "no item named"),
    "a damaged archive": (zipped(CONTENT)[:5000] + b"damage" + zipped(CONTENT)[5006:], "CRC|invalid|bad"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_content_is_never_used(server: Server, tmp_path: Path, wrong: str) -> None:
    content, message = WRONG[wrong]
    right, server.content = server.content, content
    with pytest.raises(BadInputError, match=rf"(?i)damaged, or is not what it was \(.*({message})"):
        load("enwik8")
    assert cached(tmp_path) == []
    server.content = right
    assert load("enwik8").read() == CONTENT


def test_a_part_of_something_else_is_noticed_and_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache" / "compgen").mkdir(parents=True)
    (tmp_path / "cache" / "compgen" / "enwik8.zip.part").write_bytes(b"x" * 1000)
    with pytest.raises(BadInputError, match="it was removed, try again"):
        load("enwik8")
    assert load("enwik8").read() == CONTENT


def test_no_connection_and_no_such_file_are_one_line(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(BadInputError, match=r"enwik8 is not here, and .* answers 404 Not Found; .*enwik8:path=FILE"):
        load("enwik8")
    known = replace(wikipedia.KNOWN["enwik8"], url="http://127.0.0.1:1/enwik8.zip")
    wikipedia.KNOWN["enwik8"] = known
    with pytest.raises(BadInputError, match=r"127\.0\.0\.1:1/enwik8\.zip cannot be fetched \(connection refused\)"):
        load("enwik8")
    assert "enwik8" not in cached(tmp_path)


def test_too_little_disk_is_noticed_before_anything_is_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 599_000, 599_000))
    with pytest.raises(BadInputError, match=r"enwik8 needs 1 MB of disk and .* has 1 MB free; make room, or set XDG"):
        load("enwik8")
    assert server.asked == []
    (tmp_path / "cache" / "compgen").mkdir(parents=True)
    (tmp_path / "cache" / "compgen" / "enwik8.zip.part").write_bytes(server.content[:100_000])
    assert load("enwik8").read() == CONTENT  # as what has come already needs no room


def test_a_disk_that_fills_up_keeps_what_has_come(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = download._append

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, block: bytes) -> int:
            if self.file.tell() > 100_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return int(self.file.write(block))

    monkeypatch.setattr(download, "_BLOCK_BYTES", 30_000)
    monkeypatch.setattr(download, "_append", lambda response, file, *rest: real(response, Full(file), *rest))
    with pytest.raises(BadInputError, match=r"cannot write .*part: no space left on device; what has come is kept"):
        load("enwik8")
    assert (tmp_path / "cache" / "compgen" / "enwik8.zip.part").stat().st_size == 120_000
    monkeypatch.setattr(download, "_append", real)
    assert load("enwik8").read() == CONTENT
    assert server.asked == ["", "bytes=120000-"]


def test_two_processes_do_not_fetch_the_same(server: Server, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="needs file locks of Unix")
    (tmp_path / "cache" / "compgen").mkdir(parents=True)
    with (tmp_path / "cache" / "compgen" / "enwik8.zip.part").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BadInputError, match="another process is fetching"):
            load("enwik8")


# --- what is at hand -------------------------------------------------------------------------------------------------


def place(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(content) if path.suffix == ".xz" else content)
    return path


@pytest.mark.parametrize("name", ["enwik8", "text/enwik8", "enwik8.xz", "text/enwik8.xz", "enwik8_0_300000"])
def test_the_data_folder_is_searched_first(server: Server, tmp_path: Path, name: str) -> None:
    place(tmp_path / "data" / name, CONTENT)
    dataset = load("enwik8", data_folder=tmp_path / "data")
    assert (dataset.name, dataset.read()) == ("enwik8", CONTENT)
    assert server.asked == []


def test_the_environment_names_the_data_folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPGEN_DATA", str(tmp_path / "data"))
    place(tmp_path / "data" / "text" / "enwik8", CONTENT)
    assert load("enwik8").read() == CONTENT


def test_a_part_of_it_serves_under_a_name_that_says_so(server: Server, tmp_path: Path) -> None:
    place(tmp_path / "data" / "text" / "enwik8_0_5000.xz", CONTENT[:5000])
    place(tmp_path / "data" / "text" / "enwik8_0_2000.xz", CONTENT[:2000])
    dataset = load("enwik8", data_folder=tmp_path / "data")
    assert (dataset.name, dataset.read()) == ("enwik8[:5000]", CONTENT[:5000])
    assert "only the first 5,000 bytes of enwik8" in dataset.description
    assert load("enwik8", data_folder=tmp_path / "data", limit_chunks=1).name == "enwik8[:2048]"
    nine = load("enwik9", data_folder=tmp_path / "data")
    assert (nine.name, nine.read()) == ("enwik9[:5000]", CONTENT[:5000])
    assert server.asked == []
    with pytest.raises(BadInputError, match="has only the first 5,000 bytes of enwik8"):
        wikipedia.find("enwik8", path=tmp_path / "data" / "text" / "enwik8_0_5000.xz", prefix=False)
    wikipedia.find("enwik8", data_folder=tmp_path / "data", prefix=False)
    assert server.asked == [""]
    assert load("enwik8", data_folder=tmp_path / "data").name == "enwik8"


def test_limits_are_the_same_bytes_wherever_they_come_from(server: Server, tmp_path: Path) -> None:
    place(tmp_path / "part" / "enwik8_0_150000", CONTENT[:150_000])
    part = load("enwik8", data_folder=tmp_path / "part", limit_bytes=100_000)
    whole = load(f"enwik8:path={place(tmp_path / 'enwik8', CONTENT)}", limit_bytes=100_000)
    assert (part.name, part.sha256) == (whole.name, whole.sha256) == ("enwik8[:100000]", part.sha256)


def test_the_larger_one_holds_the_smaller(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    larger = CONTENT + CONTENT
    known = replace(wikipedia.KNOWN["enwik9"], size_bytes=len(larger), sha256=hashlib.sha256(larger).hexdigest())
    monkeypatch.setitem(wikipedia.KNOWN, "enwik9", known)
    place(tmp_path / "data" / "enwik9", larger)
    assert load("enwik8", data_folder=tmp_path / "data").read() == CONTENT
    assert load("enwik9", data_folder=tmp_path / "data").read() == larger
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("enwik8", CONTENT[:-1] + b"!", r"is not enwik8: its SHA-256 is"),
        ("enwik8", CONTENT[:-1], r"has 299,999 bytes, not 300,000"),
        ("enwik8_0_5000", CONTENT[:4999], r"has 4,999 bytes, not 5,000"),
        ("enwik8_0_5000", CONTENT[1:5001], r"does not begin as enwik8 does"),
    ],
)
def test_files_of_other_content_are_not_used(
    server: Server, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    place(tmp_path / "data" / name, content)
    with pytest.raises(BadInputError, match=f"{name}.* {message}.*fetch it again from {re.escape(server.url)}"):
        load("enwik8", data_folder=tmp_path / "data")


def test_a_path_that_is_given_is_the_only_one(server: Server, tmp_path: Path) -> None:
    path = place(tmp_path / "a,b=c" / "mine.xz", CONTENT)
    assert load(f"enwik8:path={path}").read() == CONTENT
    assert load(f"enwik8:{path}").read() == CONTENT
    with pytest.raises(BadInputError, match="none: no such file"):
        load(f"enwik8:path={tmp_path / 'none'}")
    with pytest.raises(BadInputError, match="too few to tell"):
        load(f"enwik8:path={place(tmp_path / 'short', CONTENT[:999])}")
    with pytest.raises(UsageError, match="enwik8 has no parameter 'pth'; it has: path, layout"):
        load("enwik8:pth=x")


def test_what_is_known_of_them_fits_the_real_beginning(real_data: Path) -> None:
    dataset = load("enwik8", data_folder=real_data)
    assert hashlib.sha256(dataset.read()[: wikipedia.SAMPLE_BYTES]).hexdigest() == wikipedia.SAMPLE_SHA256
    assert dataset.name == f"enwik8[:{dataset.size_bytes}]" or dataset.sha256 == wikipedia.KNOWN["enwik8"].sha256
