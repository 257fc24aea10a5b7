"""``compgen compress``, ``decompress``, ``inspect`` and ``test``, mostly by running the installed program for real."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import synthetic_text

from compgen import cli
from compgen.archive import Header
from compgen.archive import format as form
from compgen.archive.paths import compressed_name, decompressed_name
from compgen.errors import BadInputError

PROGRAM = Path(sys.executable).with_name("compgen.exe" if sys.platform == "win32" else "compgen")
TEXT = synthetic_text(3000)
posix = pytest.mark.skipif(sys.platform == "win32", reason="uses signals, permissions and devices of POSIX")


def run(*arguments: str | Path, stdin: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the installed program."""
    command = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False, **options)


def call(*arguments: str | Path) -> int:
    """Run the program in this process, which is quicker; returns the exit code."""
    return cli._run([str(a) for a in arguments])


def empty_archive(**fields: Any) -> bytes:
    """An archive of nothing with whatever header; ``spec`` is uniform unless given."""
    digest = hashlib.blake2b(digest_size=form.DIGEST_BYTES).digest()
    return Header(**{"spec": "uniform", **fields}).pack() + form.End(0, 0, digest).pack()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a text, its archive in three blocks, and archives that are wrong in some way."""
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_bytes(TEXT)
    Path("other.txt").write_bytes(TEXT[:500])
    Path("dir").mkdir()
    assert call("compress", "notes.txt", "-o", "good.cgz", "--predictor", "order2", "--block-size", "1K") == 0
    good = Path("good.cgz").read_bytes()
    Path("truncated.cgz").write_bytes(good[:-30])
    Path("appended.cgz").write_bytes(good + b"\n")
    Path("newer.cgz").write_bytes(good[:8] + b"\x09" + good[9:])
    middle = len(good) // 2  # inside the code of block 1
    Path("damaged.cgz").write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
    Path("notes.cgz").write_bytes(TEXT)
    Path("void.cgz").write_bytes(b"")
    Path("unknown.cgz").write_bytes(empty_archive(spec="order99"))
    Path("weights.cgz").write_bytes(empty_archive(spec="order2", weights="ab" * 32))
    Path("path.cgz").write_bytes(empty_archive(spec="order2:x=/etc/passwd"))
    return tmp_path


# --- round trips ---


@posix
def test_through_pipes(folder: Path) -> None:
    script = (
        f"set -o pipefail; cat notes.txt | '{PROGRAM}' compress - | '{PROGRAM}' decompress - | cmp - notes.txt &&"
        f" '{PROGRAM}' compress --predictor order1 < notes.txt | '{PROGRAM}' test"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"-: ok, 3,000 bytes\n", b"")


def test_many_files_there_and_back(folder: Path) -> None:
    Path("empty").write_bytes(b"")
    names = ["notes.txt", "other.txt", "empty"]
    done = run("compress", *names)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    contents = {name: Path(name).read_bytes() for name in names}
    for name in names:
        Path(name).unlink()
    done = run("decompress", *(f"{name}.cgz" for name in names))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert {name: Path(name).read_bytes() for name in names} == contents
    assert all(Path(f"{name}.cgz").exists() for name in names)
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("options", [["--jobs", "2"], ["--jobs", "2", "--backend", "threading"]])
def test_jobs_do_not_change_an_archive(options: list[str], folder: Path) -> None:
    line = ["compress", "notes.txt", "--predictor", "order2", "--block-size", "1K", "-o", "jobs.cgz"]
    assert run(*line, *options).returncode == 0
    assert Path("jobs.cgz").read_bytes() == Path("good.cgz").read_bytes()
    assert run("decompress", "jobs.cgz", "-o", "-", *options).stdout == TEXT


def test_options_reach_the_archive(folder: Path) -> None:
    line = ["--predictor", "mix(order1,order3)", "--streams", "3", "--block-size", "2000", "--no-verify"]
    assert call("compress", "notes.txt", "-o", "o.cgz", *line) == 0
    (row,) = json.loads(run("inspect", "--json", "o.cgz").stdout)
    assert (row["header"]["spec"], row["header"]["streams"]) == ("mix(order1,order3)", 3)
    assert [block["data_bytes"] for block in row["blocks"]] == [2000, 1000]
    assert run("decompress", "o.cgz", "-o", "-").stdout == TEXT


def test_random_data_hardly_grow(folder: Path) -> None:
    data = np.random.default_rng(0).bytes(20_000)
    archive = run("compress", "--block-size", "5K", "--no-verify", stdin=data).stdout
    assert 20_000 < len(archive) <= 20_000 * 1.001 + 200
    Path("random.cgz").write_bytes(archive)
    assert b"stored" in run("inspect", "random.cgz").stdout
    assert run("decompress", stdin=archive).stdout == data


# --- files: names, times, permissions ---


@posix
def test_time_and_permissions_are_kept(folder: Path) -> None:
    Path("notes.txt").chmod(0o640)
    os.utime("notes.txt", ns=(0, 1_234_567_890_123_456_789))
    assert call("compress", "notes.txt") == 0
    status = Path("notes.txt.cgz").stat()
    assert (status.st_mtime_ns, stat.S_IMODE(status.st_mode)) == (1_234_567_890_123_456_789, 0o640)
    assert call("decompress", "notes.txt.cgz", "-o", "same.txt") == 0
    assert Path("same.txt").stat().st_mtime_ns == 1_234_567_890_123_456_789
    os.utime("notes.txt.cgz")  # as if it had been copied
    assert call("decompress", "notes.txt.cgz", "-o", "seconds.txt") == 0
    status = Path("seconds.txt").stat()
    assert (status.st_mtime, stat.S_IMODE(status.st_mode)) == (1_234_567_890, 0o640)


@pytest.mark.parametrize("mtime", [-(1 << 63) + 1, (1 << 63) - 1])
def test_a_time_beyond_all_clocks_does_no_harm(mtime: int, folder: Path) -> None:
    Path("when.cgz").write_bytes(empty_archive(mtime=mtime))
    assert call("decompress", "when.cgz") == 0
    assert Path("when").read_bytes() == b""
    assert call("inspect", "when.cgz") == 0


def test_the_name_in_an_archive_is_shown_and_never_used(folder: Path) -> None:
    Path("here.cgz").write_bytes(empty_archive(name="../evil"))
    before = sorted(folder.parent.iterdir())
    assert run("decompress", "here.cgz").returncode == 0
    assert Path("here").read_bytes() == b""
    assert sorted(folder.parent.iterdir()) == before
    assert b"../evil" in run("inspect", "here.cgz").stdout


@posix
def test_names_that_are_no_text(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \x1b[1m")
    Path(name).write_bytes(TEXT)
    assert run("compress", name, "-v").stderr.startswith(b"caf\\xe9 \\x1b[1m: 3,000 -> ")
    done = run("test", name + ".cgz")
    assert (done.returncode, done.stdout) == (0, b"caf\\xe9 \\x1b[1m.cgz: ok, 3,000 bytes\n")
    assert json.loads(run("inspect", name + ".cgz", "--json").stdout)[0]["source"] == name + ".cgz"


def test_names_by_default() -> None:
    assert compressed_name("a/b.txt") == "a/b.txt.cgz"
    assert (compressed_name("-"), decompressed_name("-")) == ("-", "-")
    assert decompressed_name("a/b.txt.CGZ") == "a/b.txt"
    for name in ("b.txt", ".cgz", "a/.cgz"):
        with pytest.raises(BadInputError, match="name the output with -o"):
            decompressed_name(name)


def test_what_exists_is_replaced_by_force_only(folder: Path) -> None:
    Path("notes.txt.cgz").write_bytes(b"precious")
    done = run("compress", "notes.txt")
    assert done.stderr == b"compgen: error: notes.txt.cgz exists already; --force replaces it\n"
    assert (done.returncode, Path("notes.txt.cgz").read_bytes()) == (1, b"precious")
    assert call("compress", "notes.txt", "--force") == 0
    assert b"notes.txt exists already" in run("decompress", "notes.txt.cgz").stderr
    Path("notes.txt").write_bytes(b"old")
    assert call("decompress", "notes.txt.cgz", "-f") == 0
    assert Path("notes.txt").read_bytes() == TEXT


def test_the_input_goes_only_when_told_to(folder: Path) -> None:
    assert call("compress", "notes.txt", "--rm") == 0
    assert not Path("notes.txt").exists()
    assert call("decompress", "notes.txt.cgz", "--rm") == 0
    assert Path("notes.txt").read_bytes() == TEXT
    assert not Path("notes.txt.cgz").exists()
    assert call("decompress", "damaged.cgz", "--rm") == 1
    assert Path("damaged.cgz").exists()


@posix
def test_links_are_followed(folder: Path) -> None:
    Path("link.txt").symlink_to("notes.txt")
    Path("link.cgz").symlink_to("real.cgz")
    assert call("compress", "link.txt", "-o", "link.cgz", "--rm") == 0
    assert (Path("link.cgz").is_symlink(), Path("link.txt").exists(), Path("notes.txt").exists()) == (True, False, True)
    assert call("test", "real.cgz") == 0


# --- what it prints ---


def test_the_summary(folder: Path) -> None:
    done = run("compress", "notes.txt", "-v", "-o", "o.cgz")
    size = Path("o.cgz").stat().st_size
    rate = rf"\({size / 30:.1f} %\), {8 * size / 3000:.3f} bits/byte"
    assert re.fullmatch(rf"notes.txt: 3,000 -> {size:,} bytes {rate}, [\d.e-]+ MB/s\n", done.stderr.decode())
    done = run("decompress", "o.cgz", "-v", "-o", "o")
    assert done.stderr.decode().startswith(f"o.cgz: {size:,} -> 3,000 bytes (")


def test_json(folder: Path) -> None:
    done = run("compress", "notes.txt", "missing", "--json", "--predictor", "order1")
    good, bad = json.loads(done.stdout)
    assert (done.returncode, good["target"], good["predictor"]) == (1, "notes.txt.cgz", "order1")
    size = Path("notes.txt.cgz").stat().st_size
    assert (good["data_bytes"], good["archive_bytes"], good["bits_per_byte"]) == (3000, size, 8 * size / 3000)
    assert bad == {"source": "missing", "error": "cannot read missing: no such file or directory"}
    rows = json.loads(run("test", "good.cgz", "damaged.cgz", "--json").stdout)
    assert [row.get("data_bytes") for row in rows] == [3000, None]
    (row,) = json.loads(run("inspect", "good.cgz", "--json").stdout)
    assert (row["exact"], row["problem_here"], row["header"]["name"]) == (True, None, "notes.txt")
    assert [block["number"] for block in row["blocks"]] == [0, 1, 2]
    assert json.loads(run("decompress", "good.cgz", "--json").stdout)[0]["target"] == "good"


def test_inspect(folder: Path) -> None:
    done = run("inspect", "good.cgz", "unknown.cgz")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "good.cgz"
    assert re.sub(" +", " ", lines[1]) == "predictor order2"
    assert "exact" in lines[2]
    assert lines[3].endswith("can be decoded")
    assert [line.split()[:3] for line in lines if re.match(r" +\d+  ", line)] == [
        ["0", "coded", "1,024"],
        ["1", "coded", "1,024"],
        ["2", "coded", "952"],
    ]
    assert "unknown predictor 'order99'" in done.stdout.decode()
    assert max(map(len, lines[:14])) <= 80


def test_inspect_shows_the_first_blocks_unless_told_otherwise(folder: Path) -> None:
    run("compress", "notes.txt", "-o", "o.cgz", "--block-size", "200", "--predictor", "uniform")
    assert b"5 more; --all shows them" in run("inspect", "o.cgz").stdout
    assert len(run("inspect", "o.cgz", "--all").stdout.splitlines()) == 8 + 2 + 15


def test_a_float_predictor_says_what_it_depends_on(folder: Path) -> None:
    assert run("compress", "-o", "o.cgz", "--predictor", "gzip", stdin=TEXT[:200]).returncode == 0
    (row,) = json.loads(run("inspect", "o.cgz", "--json").stdout)
    assert row["exact"] is False
    assert row["header"]["numerics"] == row["numerics_here"] != ""
    Path("else.cgz").write_bytes(empty_archive(spec="gzip", numerics="zlib 0.1 on another machine"))
    shown = run("inspect", "else.cgz").stdout
    assert b"zlib 0.1 on another machine" in shown
    assert b"differ" in shown


@posix
def test_on_a_terminal(folder: Path) -> None:
    from test_cli import on_terminal

    code, out, err = on_terminal("compress", "notes.txt", "--block-size", "1K", "--predictor", "order4")
    assert (code, out) == (0, "")
    assert "3.0 kB" in err
    assert "notes.txt: 3,000 -> " in err
    code, _, err = on_terminal("compress", "notes.txt", "-o", "q.cgz", "--quiet")
    assert (code, err) == (0, "")
    code, out, err = on_terminal("compress", "notes.txt", "-o", "-")
    assert (code, out) == (2, "")
    assert "a terminal cannot show an archive" in err
    code, out, _ = on_terminal("inspect", "good.cgz")
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", row)) for row in out.splitlines()) <= 80


# --- bad input ---

BAD = [
    # Archives that are none, or not whole
    (1, "decompress notes.cgz", "notes.cgz: this is not a compgen archive"),
    (1, "decompress void.cgz", "void.cgz: this is not a compgen archive"),
    (1, "decompress truncated.cgz", "truncated.cgz: the archive ends inside "),
    (1, "decompress appended.cgz", "appended.cgz: something follows the end of the archive"),
    (1, "decompress newer.cgz", "newer.cgz: the archive has format version 9, this compgen reads"),
    (1, "decompress damaged.cgz", "damaged.cgz: block 1 is damaged"),
    (1, "inspect damaged.cgz", "damaged.cgz: block 1 is damaged"),
    (1, "test truncated.cgz", "truncated.cgz: the archive ends inside "),
    (1, "inspect notes.txt", "notes.txt: this is not a compgen archive"),
    # Archives that cannot be decoded here
    (1, "decompress unknown.cgz", "unknown.cgz: the archive needs the predictor 'order99': unknown predictor"),
    (1, "decompress weights.cgz", "weights.cgz: the archive was made with 'order2' and weights abababab"),
    (1, "test path.cgz", "path.cgz: the archive's predictor wants x=/etc/passwd; if you trust it"),
    (1, "decompress good.cgz --predictor order1", "good.cgz: block 0 "),
    # Files that cannot be used
    (1, "compress missing.txt", "cannot read missing.txt: no such file or directory"),
    (1, "compress dir", "dir is a directory; compress a tar file of it"),
    (1, "decompress dir.cgz", "cannot read dir.cgz: no such file"),
    (1, "decompress dir -o o", "cannot read dir: is a directory"),
    (1, "test dir", "cannot read dir: is a directory"),
    (1, "compress good.cgz", "good.cgz ends in .cgz already; to compress it again, name the output with -o"),
    (1, "decompress notes.txt", "notes.txt does not end in .cgz; name the output with -o"),
    # Output that cannot be written
    (1, "compress notes.txt -o nowhere/o.cgz", "there is no directory nowhere"),
    (1, "compress notes.txt -o dir", "it is a directory"),
    (1, "decompress good.cgz -o notes.txt", "notes.txt exists already; --force replaces it"),
    (2, "compress notes.txt -o notes.txt", "the output is the input itself, notes.txt"),
    (2, "decompress good.cgz -o ./good.cgz --force", "the output is the input itself, good.cgz"),
    # Usage
    (2, "compress notes.txt --predictor ordr5", "unknown predictor 'ordr5'; did you mean order5"),
    (2, "decompress good.cgz --predictor ordr5", "unknown predictor 'ordr5'; did you mean order5"),
    (2, "compress notes.txt --block-size 0", "block size must be from 1 to 1073741824 bytes, not 0"),
    (2, "compress notes.txt --block-size 2G", "block size must be from 1"),
    (2, "compress notes.txt --block-size 5Q", "'5Q' is not a size; give bytes, or as in 64K, 16M or 1G"),
    (2, "compress notes.txt --streams 0", "streams must be from 1 to"),
    (2, "compress notes.txt --jobs 0", "jobs must be -1"),
    (2, "compress notes.txt other.txt -o o.cgz", "-o o.cgz is one output, and 2 files are given"),
    (2, "compress notes.txt -o - --json", "cannot both go to standard output"),
    (2, "compress notes.txt -o - --rm", "--rm needs a file on both sides"),
    (2, "compress notes.txt -o /dev/null --rm", "--rm needs a file on both sides"),
    (2, "comprss", "unknown command 'comprss'; did you mean compress"),
]


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


@pytest.mark.parametrize(("code", "line", "message"), BAD, ids=[line for _, line, _ in BAD])
def test_bad_input_is_one_line_and_leaves_everything_as_it_was(
    code: int, line: str, message: str, folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    before = contents(folder)
    exit_code = call(*line.split())
    out, err = capsysbinary.readouterr()
    assert message in err.decode()
    assert err.startswith(b"compgen: error: ")
    assert err.count(b"\n") == 1
    assert (exit_code, out) == (code, b"")
    assert contents(folder) == before


@pytest.mark.parametrize(
    "line", ["decompress damaged.cgz", "compress dir", "test notes.txt", "compress -o notes.txt a"]
)
def test_the_installed_program_shows_no_traceback(line: str, folder: Path) -> None:
    done = run(*line.split())
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"compgen: error: ")
    assert done.stderr.count(b"\n") == 1


def test_one_bad_file_does_not_keep_the_others(folder: Path) -> None:
    done = run("compress", "missing", "notes.txt", "dir", "other.txt")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert Path("notes.txt.cgz").exists()
    assert Path("other.txt.cgz").exists()
    done = run("test", "damaged.cgz", "good.cgz", "notes.txt", "notes.txt.cgz")
    assert (done.returncode, done.stdout.count(b": ok, 3,000 bytes\n"), done.stderr.count(b"\n")) == (1, 2, 2)


def test_a_missing_extra_names_itself(folder: Path) -> None:
    pytest.importorskip("pyppmd")
    Path("few.txt").write_bytes(b"abc" * 10)
    assert call("compress", "few.txt", "--predictor", "ppmd", "-o", "ppmd.cgz") == 0
    Path("pyppmd.py").write_text("raise ImportError")  # found before the real one
    for line in ("decompress ppmd.cgz", "test ppmd.cgz"):
        done = run(*line.split(), env={**os.environ, "PYTHONPATH": str(folder)})
        assert done.returncode == 1
        assert b"ppmd.cgz: " in done.stderr
        assert b"pip install 'compgen[ppmd]'" in done.stderr
        assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [PROGRAM, "compress", "notes.txt", "-o", "-"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"compgen: error: no space left on device\n")
    done = run("decompress", "good.cgz", "-o", "/dev/full")
    assert (done.returncode, done.stderr) == (1, b"compgen: error: cannot write /dev/full: no space left on device\n")


@posix
@pytest.mark.parametrize("line", ["compress random -o o --no-verify --block-size 4K", "decompress random.cgz -o o"])
def test_a_disk_that_fills_up_on_the_way_leaves_nothing(line: str, folder: Path) -> None:
    """A limit on the size of files fails in the same place as a full disk, and needs no disk of our own."""
    import resource

    data = np.random.default_rng(0).bytes(20_000)
    Path("random").write_bytes(data)
    Path("random.cgz").write_bytes(run("compress", "--predictor", "uniform", stdin=data).stdout)
    run(*line.split())  # or a file of compiled code would be the first to reach the limit
    Path("o").unlink()
    before = contents(folder)
    done = run(*line.split(), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)))
    assert (done.returncode, done.stderr) == (1, b"compgen: error: cannot write o: file too large\n")
    assert contents(folder) == before


@posix
def test_no_permission_to_write(folder: Path) -> None:
    Path("dir").chmod(0o500)
    target = "dir/o.cgz"
    if os.access("dir", os.W_OK):  # this user may write everywhere, but for what is no file system
        target = "/sys/o.cgz"
        if not Path("/sys").is_dir():
            pytest.skip("this user may write everywhere")
    done = run("compress", "notes.txt", "-o", target)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(f"compgen: error: cannot write {target}: ".encode())
    assert done.stderr.count(b"\n") == 1


@posix
def test_output_that_would_grow_its_own_input(folder: Path) -> None:
    with open("notes.txt", "ab") as end:
        done = subprocess.run(
            [PROGRAM, "compress", "notes.txt", "-o", "-"], stdout=end, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert b"the output is the input itself" in done.stderr
    assert Path("notes.txt").read_bytes() == TEXT


@posix
def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    Path("long").write_bytes(np.random.default_rng(0).bytes(300_000))
    options = "--predictor uniform --no-verify --block-size 10K"
    command = f"'{PROGRAM}' compress long -o - {options} | head -c 10 > /dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"141\n", b"")


# --- interruption ---

#: So slow that it is never done: each byte is 256 compressions of what is before it.
SLOW = ["compress", "long", "-o", "o.cgz", "--block-size", "300", "--predictor", "bz2", "--no-verify"]


def start_and_wait_for_blocks(folder: Path, *options: str, least: int) -> subprocess.Popen[bytes]:
    """Start the slow run in a session of its own, and wait until it has written a header and so many blocks."""
    Path("long").write_bytes(synthetic_text(50_000))
    process = subprocess.Popen([PROGRAM, *SLOW, *options], stderr=subprocess.PIPE, start_new_session=True)
    for _ in range(300):
        time.sleep(0.1)
        if any(path.stat().st_size > 60 + 100 * least for path in folder.glob(".*.tmp")):
            break
    assert process.poll() is None
    return process


@posix
@pytest.mark.parametrize(
    ("number", "options"), [(signal.SIGINT, []), (signal.SIGINT, ["--jobs", "2"]), (signal.SIGTERM, [])]
)
def test_an_interruption_ends_it_and_leaves_nothing(number: signal.Signals, options: list[str], folder: Path) -> None:
    process = start_and_wait_for_blocks(folder, *options, least=1)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"compgen: interrupted\n")
    assert not Path("o.cgz").exists()
    assert not list(folder.glob(".*"))
    assert Path("long").stat().st_size == 50_000


@posix
def test_an_interruption_inside_compiled_code_leaves_nothing(tmp_path: Path) -> None:
    """The main thread never sees the signal; the watching thread removes what is not finished."""
    program = """
import ctypes, pathlib
from compgen import files
from compgen.cli import interrupt

interrupt.arm()
with files.writing(pathlib.Path("o.cgz")) as file:
    file.write(b"half")
    c = ctypes.CDLL(None)  # releases the interpreter's lock while it calls, as compiled kernels do
    mutex = ctypes.create_string_buffer(64)
    c.pthread_mutex_lock(mutex)
    print("ready", flush=True)
    c.pthread_mutex_lock(mutex)  # waits for ever, through any signal
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert len(list(tmp_path.iterdir())) == 1
    time.sleep(1)  # until it is inside the call
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not list(tmp_path.iterdir())


@posix
def test_kill_leaves_nothing_that_passes_for_an_archive(folder: Path) -> None:
    before = set(folder.iterdir())
    process = start_and_wait_for_blocks(folder, least=2)
    process.kill()
    process.communicate(timeout=30)
    assert not Path("o.cgz").exists()
    left = set(folder.iterdir()) - before - {folder / "long"}
    assert len(left) == 1
    done = run("test", *left)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"truncated" in done.stderr


def test_an_archive_without_its_end_does_not_pass(folder: Path) -> None:
    """What is left of an archive that was redirected to a file when the program was killed between two blocks."""
    good = Path("good.cgz").read_bytes()
    Path("cut.cgz").write_bytes(good[: -struct.calcsize("<BIQ16sI")])
    assert call("test", "cut.cgz") == 1
