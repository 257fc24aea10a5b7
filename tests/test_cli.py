"""The command line: what it prints, where, and with which exit code. Much of it runs the installed program for real."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import soundfile
from PIL import Image

import compgen
from compgen import cli, registry

PROGRAM = Path(sys.executable).with_name("compgen.exe" if sys.platform == "win32" else "compgen")
TEXT = b"it was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
posix = pytest.mark.skipif(sys.platform == "win32", reason="uses signals and terminals of POSIX")


def run(*arguments: str | Path, stdin: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the installed program."""
    command = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False, **options)


@pytest.fixture
def call(capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., tuple[int, bytes, str]]:
    """Run the program in this process; returns exit code, stdout and stderr."""

    def call(*arguments: str | Path) -> tuple[int, bytes, str]:
        capsysbinary.readouterr()
        code = cli._run([str(a) for a in arguments])
        out, err = capsysbinary.readouterr()
        return code, out, err.decode()

    return call


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one input of each kind, some of them bad."""
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_bytes(TEXT)
    Path("empty.txt").write_bytes(b"")
    Path("dir").mkdir()
    pixels = np.add.outer(np.arange(12), 3 * np.arange(16)).astype(np.uint8)
    Image.fromarray(pixels).save("picture.png")
    Path("cut.png").write_bytes(Path("picture.png").read_bytes()[:50])
    wave = np.round(8000 * np.sin(np.arange(400) / 9)).astype(np.int16)
    soundfile.write("tone.wav", wave, 16000)
    Path("cut.wav").write_bytes(Path("tone.wav").read_bytes()[:20])
    soundfile.write("stereo.wav", np.stack([wave, wave], axis=1), 16000)
    return tmp_path


# --- help and version ---


def test_help_imports_nothing_heavy() -> None:
    program = "import sys; from compgen import cli; cli._run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"numpy", "scipy", "numba", "joblib", "PIL", "rich", "soundfile", "matplotlib", "distributed"}
    assert not heavy & set(done.stderr.split())


def test_version_by_both_ways_of_starting() -> None:
    assert run("--version").stdout.decode().strip() == f"compgen {compgen.__version__}"
    module = subprocess.run([sys.executable, "-m", "compgen", "-V"], capture_output=True, text=True, check=True)
    assert module.stdout.strip() == f"python -m compgen {compgen.__version__}"


@pytest.mark.parametrize("name", ["", *cli.COMMANDS])
def test_every_help_has_an_example(name: str, call: Callable[..., tuple[int, bytes, str]]) -> None:
    code, out, err = call(*name.split(), "--help")
    assert (code, err) == (0, "")
    assert re.search(rf"Examples:\n +.*compgen {name}", out.decode())
    assert all(len(line) <= 100 for line in out.decode().splitlines())


def test_every_command_is_described() -> None:
    context = click.Context(cli.cli)
    for name in cli.COMMANDS:
        command = cli.cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        for parameter in command.params:
            assert isinstance(parameter, click.Argument) or getattr(parameter, "help", None), (name, parameter.name)


def test_without_a_command_it_shows_the_help() -> None:
    done = run()
    assert done.returncode == 2
    assert b"Examples:" in done.stderr + done.stdout


@posix
def test_shell_completion_knows_commands_and_codecs() -> None:
    def complete(line: str) -> str:
        words = {"_CGEN_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()))}
        short_name = PROGRAM.with_name(PROGRAM.name.replace("comp", "c"))
        return subprocess.run(
            [short_name], env={**os.environ, **words}, capture_output=True, check=True
        ).stdout.decode()

    assert "plain,sample" in complete("cgen ")
    assert "plain,gzip" in complete("cgen sample --compressor ")


@posix
def test_bash_runs_it_under_the_short_name_and_with_the_documented_function_under_the_long_one() -> None:
    """In bash, compgen is a builtin: `compgen list` would do nothing and succeed."""
    page = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    function = page[page.index("compgen() {") : page.index("\n}\n", page.index("compgen() {")) + 3]
    environment = {**os.environ, "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"}
    script = f"cgen --version\n{function}\ncompgen --version\ncompgen list samplers\ncompgen -W 'one two' -- t\n"
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == f"cgen {compgen.__version__}"
    assert lines[1] == f"compgen {compgen.__version__}"
    assert lines[2].startswith("samplers")
    assert lines[-1] == "two"


def test_examples_can_be_pasted_under_the_name_the_program_was_called_by() -> None:
    module = subprocess.run([sys.executable, "-m", "compgen", "list", "-h"], capture_output=True, text=True, check=True)
    assert "\n    python -m compgen list\n" in module.stdout
    assert b"\n    compgen list\n" in run("list", "-h").stdout


# --- bad input ---

BAD = [
    # Files that cannot be used
    (1, "sample missing.txt", "cannot read missing.txt: no such file or directory"),
    (1, "sample dir", "cannot read dir: is a directory"),
    (1, "sample empty.txt", "empty.txt is empty"),
    (1, "predict missing.txt", "cannot read missing.txt: no such file"),
    (1, "predict empty.txt --score", "empty.txt is empty"),
    (1, "sample notes.txt --context 5000", "has 110 bytes, fewer than the context of 5000"),
    (1, "sample cut.png --out o.png", "image is damaged"),
    (1, "sample notes.txt --modality image --out o.png", "not an image"),
    (1, "sample cut.wav --out o.wav", "audio"),
    (1, "sample notes.txt --modality audio --out o.wav", "not audio"),
    (1, "sample stereo.wav --out o.wav", "2 channels"),
    (1, "sample tone.wav --context 5000 --out o.wav", "too few for a context of 5000"),
    (1, "sample picture.png --context 16 --out o.png", "the image has 16 columns"),
    # Output that cannot be written
    (1, "sample notes.txt --out nowhere/o.txt", "there is no directory nowhere"),
    (1, "sample notes.txt --out dir", "it is a directory"),
    (2, "sample notes.txt --out notes.txt", "is the input itself"),
    (2, "sample picture.png --out o.jpg", "image is written as .png, not '.jpg'"),
    (2, "sample tone.wav --out o.mp3", "audio is written as .wav or .flac, not '.mp3'"),
    (2, "sample tone.wav --samples 2", "several sounds do not fit into one stream"),
    # Unknown names, with the nearest known one
    (2, "sampel", "unknown command 'sampel'; did you mean sample?"),
    (2, "sample --lenght 5", "'--length'"),
    (2, "sample notes.txt --compressor gzpi", "unknown compressor 'gzpi'; did you mean gzip"),
    (2, "sample notes.txt --predictor unifrom", "unknown predictor 'unifrom'; did you mean uniform"),
    (2, "sample notes.txt --compressor gzip:levle=3", "gzip has no parameter 'levle'; did you mean level?"),
    (2, "sample notes.txt --compressor gzip:level=high", "gzip: level=high is not a whole number"),
    (2, "sample notes.txt --compressor gzip:level=77", "level"),
    (2, "sample notes.txt --compressor gzip(", "'gzip('"),
    (2, "sample notes.txt --modality txet", "unknown modality 'txet'; did you mean text"),
    (2, "sample notes.txt --backend dusk", "unknown backend 'dusk'; known: "),
    (2, "list codecs", "'codecs' is not one of"),
    # Values out of range
    (2, "sample notes.txt --temperature nan", "temperature must be a finite number above 0, not nan"),
    (2, "sample notes.txt --temperature 0", "temperature must be a finite number above 0"),
    (2, "sample notes.txt --temperature inf", "temperature must be a finite number above 0"),
    (2, "sample notes.txt --top-k 0", "top-k must be at least 1"),
    (2, "sample notes.txt --top-p 1.5", "top-p must be above 0 and at most 1"),
    (2, "sample notes.txt --top-p nan", "top-p must be above 0 and at most 1"),
    (2, "sample notes.txt --seed -1", "seed must not be negative"),
    (2, "sample notes.txt --seed 18446744073709551616", "seed must be below 2**64"),
    (2, "sample notes.txt --length 0", "length must be at least 1"),
    (2, "sample notes.txt --length many", "'many' is not a valid integer"),
    (2, "sample notes.txt --samples 0", "samples must be at least 1"),
    (2, "sample notes.txt --context -3", "context must be at least 1"),
    (2, "sample notes.txt --jobs 0", "jobs must be -1"),
    (2, "predict notes.txt --limit 0", "limit must be at least 1"),
    (2, "predict notes.txt --top 0", "--top must be from 1 to 256"),
    (2, "predict notes.txt --context 0", "--context must be at least 1"),
    # Combinations that make no sense
    (2, "sample notes.txt --compressor gzip --predictor uniform", "give --compressor or --predictor, not both"),
    (2, "sample notes.txt --width 5", "width means nothing for text"),
    (2, "sample notes.txt --bits 8", "bits means nothing for text"),
    (2, "sample picture.png --offset 5 --out o.png", "offset means nothing for image"),
    (2, "sample notes.txt --compressor png:width=60 --context 100 --length 30", "60"),
    (2, "predict notes.txt --compressor gzip --compressor lzma2", "add --score"),
    (2, "predict notes.txt --score --context 5", "--context means nothing with --score"),
    (2, "predict", "Missing argument 'FILE'"),
    (2, "sample notes.txt other.txt", "unexpected extra argument"),
]


@pytest.mark.parametrize(("code", "line", "message"), BAD, ids=[line for _, line, _ in BAD])
def test_bad_input_is_one_line(
    code: int, line: str, message: str, folder: Path, call: Callable[..., tuple[int, bytes, str]]
) -> None:
    before = sorted(folder.iterdir())
    exit_code, out, err = call(*line.split())
    assert message in err
    assert err.startswith("compgen: error: ")
    assert err.count("\n") == 1
    assert out == b""
    assert exit_code == code
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("line", ["sample missing.txt", "sample notes.txt --temperature nan", "sampel", "predict dir"])
def test_the_installed_program_shows_no_traceback(line: str, folder: Path) -> None:
    done = run(*line.split())
    assert done.returncode in (1, 2)
    assert done.stdout == b""
    assert done.stderr.startswith(b"compgen: error: ")
    assert done.stderr.count(b"\n") == 1


def test_empty_standard_input() -> None:
    done = run("sample", "-")
    assert done.returncode == 1
    assert done.stderr == b"compgen: error: standard input is empty; give at least one byte\n"


@posix
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    Path("notes.txt").chmod(0)
    if os.access("notes.txt", os.R_OK):
        pytest.skip("this user may read everything")
    assert run("sample", "notes.txt").stderr == b"compgen: error: cannot read notes.txt: permission denied\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PROGRAM, "sample", "notes.txt"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"compgen: error: no space left on device\n")


@posix
def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    command = f"'{PROGRAM}' predict notes.txt --json --top 256 | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert (len(done.stdout), done.stderr) == (10, b"")


# --- sample ---


def test_a_pipe_gets_exactly_the_bytes() -> None:
    done = run("sample", "-", "--length", "5", stdin=TEXT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == compgen.sample("gzip", TEXT, 5)[0]


def test_without_a_file_the_packaged_text_is_continued() -> None:
    done = run("sample", "--length", "7", "--seed", "3")
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, b"", 7)


@pytest.mark.parametrize("options", [["--jobs", "2"], ["--jobs", "2", "--backend", "threading"], ["--jobs", "-1"]])
@pytest.mark.parametrize("codec", ["gzip", "bz2"])
def test_jobs_do_not_change_the_output(codec: str, options: list[str], folder: Path) -> None:
    line = ["sample", "notes.txt", "--compressor", codec, "--length", "4", "--samples", "3", "--seed", "11"]
    alone = run(*line)
    assert alone.returncode == 0, alone.stderr
    assert run(*line, *options).stdout == alone.stdout


def test_a_dask_cluster_of_its_own(folder: Path) -> None:
    pytest.importorskip("distributed")
    line = ["sample", "notes.txt", "--compressor", "bz2", "--length", "3"]
    done = run(*line, "--backend", "dask", "--jobs", "2")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == run(*line).stdout


def test_a_dask_cluster_that_runs_already(folder: Path) -> None:
    distributed = pytest.importorskip("distributed")
    line = ["sample", "notes.txt", "--compressor", "bz2", "--length", "3"]
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        done = run(*line, "--jobs", "2", "--backend", f"dask:{cluster.scheduler_address}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == run(*line).stdout


def test_several_samples_on_standard_output(folder: Path, call: Callable[..., tuple[int, bytes, str]]) -> None:
    _, out, _ = call("sample", "notes.txt", "--length", "9", "--samples", "2")
    first, second = compgen.sample("gzip", TEXT, 9, samples=2)
    assert out == first + b"\n" + second


def test_options_reach_the_sampler(folder: Path, call: Callable[..., tuple[int, bytes, str]]) -> None:
    line = (
        "sample notes.txt --predictor order2 --context 60 --length 8 --temperature 0.5 --top-k 9 --top-p 0.9 --seed 4"
    )
    _, out, _ = call(*line.split())
    options = {"temperature": 0.5, "top_k": 9, "top_p": 0.9, "seed": 4}
    assert out == compgen.sample("order2", TEXT[-60:], 8, **options)[0]  # type: ignore[arg-type]
    _, out, _ = call(*["sample", "notes.txt", "--predictor", "order2", "--length", "8", "--greedy"])
    assert out == compgen.sample("order2", TEXT, 8, greedy=True)[0]


def test_text_to_files(folder: Path, call: Callable[..., tuple[int, bytes, str]]) -> None:
    expected = compgen.sample("gzip", TEXT, 6, samples=2)
    assert call("sample", "notes.txt", "--length", "6", "--out", "one.txt") == (0, b"", "")
    assert Path("one.txt").read_bytes() == expected[0]
    assert call("sample", "notes.txt", "--length", "6", "--samples", "2", "--out", "more.txt") == (0, b"", "")
    assert [Path(f"more-{i}.txt").read_bytes() for i in (1, 2)] == expected
    assert not Path("more.txt").exists()
    call("sample", "notes.txt", "--length", "6", "--modality", "bytes", "--with-context", "--out", "one.txt")
    assert Path("one.txt").read_bytes() == TEXT + expected[0]
    assert not list(folder.glob(".*"))


def test_an_image_is_recognised_and_written(folder: Path, call: Callable[..., tuple[int, bytes, str]]) -> None:
    assert call("sample", "picture.png", "--compressor", "png", "--out", "o.png") == (0, b"", "")
    with Image.open("o.png") as image:
        assert image.format == "PNG"
    code, out, _ = call("sample", "picture.png", "--compressor", "png", "--mode", "raster")
    assert code == 0
    with Image.open(io.BytesIO(out)) as image:
        assert image.format == "PNG"


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_sound_is_recognised_and_written(
    suffix: str, folder: Path, call: Callable[..., tuple[int, bytes, str]]
) -> None:
    line = ["sample", "tone.wav", "--compressor", "flac", "--context", "300", "--length", "20", "--out"]
    code, out, err = call(*line, f"o{suffix}")
    assert (code, out, err) == (0, b"", "")
    samples, rate = soundfile.read(f"o{suffix}")
    assert (len(samples), rate) == (320, 16000)
    assert call(*line, f"o{suffix.upper()}", "--bits", "16")[0] == 0


def test_json_of_a_sample(folder: Path, call: Callable[..., tuple[int, bytes, str]]) -> None:
    _, out, _ = call("sample", "notes.txt", "--length", "6", "--samples", "2", "--json", "--seed", "9")
    document = json.loads(out)
    assert (document["predictor"], document["modality"], document["seed"]) == ("gzip", "text", 9)
    sampled = [base64.b64decode(sample["sampled_base64"]) for sample in document["samples"]]
    assert sampled == compgen.sample("gzip", TEXT, 6, samples=2, seed=9)
    _, out, _ = call("sample", "picture.png", "--out", "o.png", "--json")
    assert json.loads(out)["samples"][0]["files"] == ["o.png"]


@posix
def test_the_output_may_be_a_link_or_a_device(folder: Path, call: Callable[..., tuple[int, bytes, str]]) -> None:
    Path("real.txt").write_bytes(b"old")
    Path("link.txt").symlink_to("real.txt")
    assert call("sample", "notes.txt", "--length", "6", "--out", "link.txt")[0] == 0
    assert Path("link.txt").is_symlink()
    assert len(Path("real.txt").read_bytes()) == 6
    assert call("sample", "notes.txt", "--length", "6", "--out", "/dev/null")[0] == 0


# --- interruption ---


@posix
@pytest.mark.parametrize("options", [[], ["--jobs", "2"], ["--jobs", "2", "--backend", "threading"]])
def test_ctrl_c_ends_it(options: list[str], folder: Path) -> None:
    Path("long.txt").write_bytes(np.random.default_rng(1).bytes(50_000))
    before = sorted(folder.iterdir())
    line = ["sample", "long.txt", "--compressor", "bz2", "--context", "50000", "--length", "5000", "--out", "o.txt"]
    # A session of its own, so that the signal reaches its workers as well, as Ctrl-C on a terminal does, and not us.
    process = subprocess.Popen([PROGRAM, *line, *options], stderr=subprocess.PIPE, start_new_session=True)
    try:
        time.sleep(3)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert err == b"compgen: interrupted\n"
    assert process.returncode == 130
    assert sorted(folder.iterdir()) == before


@posix
def test_ctrl_c_does_not_wait_for_compiled_code() -> None:
    """The main thread is in one long call that never looks for signals; the watching thread ends the program."""
    program = """
import ctypes
from compgen.cli import interrupt

interrupt.arm()
print("ready", flush=True)
c = ctypes.CDLL(None)  # releases the interpreter's lock while it calls, as compiled kernels do
mutex = ctypes.create_string_buffer(64)
c.pthread_mutex_lock(mutex)
c.pthread_mutex_lock(mutex)  # waits for ever, through any signal
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"compgen: interrupted\n")


# --- terminals ---


def on_terminal(*arguments: str) -> tuple[int, str, str]:
    """Run the program with stdout and stderr on two pseudo-terminals of 80 columns; returns code, stdout, stderr."""
    import fcntl
    import pty
    import struct
    import termios

    outputs: list[list[bytes]] = [[], []]
    pairs = [pty.openpty() for _ in outputs]
    for _, slave in pairs:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    process = subprocess.Popen(
        [PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=pairs[0][1], stderr=pairs[1][1], env=environment
    )

    def collect(master: int, into: list[bytes]) -> None:
        while True:
            try:
                into.append(os.read(master, 4096))
            except OSError:  # Linux's way of saying that the other end is closed
                return
            if not into[-1]:
                return

    readers = [
        threading.Thread(target=collect, args=(pair[0], into)) for pair, into in zip(pairs, outputs, strict=True)
    ]
    for reader in readers:
        reader.start()
    process.wait(timeout=60)
    for _, slave in pairs:
        os.close(slave)
    for reader in readers:
        reader.join()
    for master, _ in pairs:
        os.close(master)
    out, err = (b"".join(parts).decode().replace("\r\n", "\n") for parts in outputs)
    return process.returncode, out, err


@posix
def test_a_terminal_sees_progress_and_nothing_that_steers_it(folder: Path) -> None:
    code, out, err = on_terminal("sample", "notes.txt", "--predictor", "uniform", "--length", "2000")
    assert code == 0
    sampled = compgen.sample("uniform", TEXT, 2000)[0]
    assert b"\x1b" in sampled
    assert out.endswith("\n")
    assert "\x1b" not in out
    assert "sampling uniform" in err
    assert on_terminal("sample", "notes.txt", "--length", "5")[1].rstrip("\n") != ""


@posix
@pytest.mark.parametrize("name", ["picture.png", "tone.wav"])
def test_a_terminal_is_spared_binary_data(name: str, folder: Path) -> None:
    code, out, err = on_terminal("sample", name)
    assert (code, out) == (2, "")
    assert "a terminal cannot show this modality" in err


@posix
def test_tables_fit_a_terminal(folder: Path) -> None:
    for line in ("list", "predict notes.txt", "predict notes.txt --score --predictor order1"):
        code, out, _ = on_terminal(*line.split())
        assert code == 0
        assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", row)) for row in out.splitlines()) <= 80


# --- predict and list ---


def test_the_distribution_over_the_next_byte(folder: Path, call: Callable[..., tuple[int, bytes, str]]) -> None:
    code, out, err = call("predict", "notes.txt", "--predictor", "order2", "--top", "3")
    assert (code, err) == (0, "")
    lines = out.decode().splitlines()
    assert lines[0].split() == ["byte", "char", "probability", "bits"]
    assert "253 more" in lines[4]
    assert "order2 after 110 bytes: entropy" in lines[-1]
    assert "\x1b" not in out.decode()


def test_the_distribution_as_json(folder: Path, call: Callable[..., tuple[int, bytes, str]]) -> None:
    _, out, _ = call("predict", "notes.txt", "--compressor", "gzip", "--context", "50", "--top", "256", "--json")
    document = json.loads(out)
    p = compgen.predictor("gzip").session([TEXT[-50:]]).probabilities()[0]
    assert document["context_bytes"] == 50
    assert document["rest_probability"] == 0
    assert {row["byte"]: row["probability"] for row in document["next"]} == dict(enumerate(p.tolist()))
    assert document["entropy_bits"] == pytest.approx(-(p * np.log2(p)).sum())
    probabilities = [row["probability"] for row in document["next"]]
    assert probabilities == sorted(probabilities, reverse=True)


def test_scores_compare_models(folder: Path, call: Callable[..., tuple[int, bytes, str]]) -> None:
    line = ["predict", "notes.txt", "--score", "--limit", "40", "--compressor", "gzip", "--predictor", "uniform"]
    rows = json.loads(call(*line, "--json")[1])
    assert [row["model"] for row in rows] == ["gzip", "uniform"]
    gzip = compgen.compressor("gzip")
    bits = compgen.as_predictor(gzip).code_lengths([TEXT[:40]])[0].sum()
    assert rows[0]["bits_per_byte"] == pytest.approx(bits / 40)
    assert rows[0]["codec_bits_per_byte"] == pytest.approx(gzip.code_length(TEXT[:40]) / 40)
    assert rows[1]["bits_per_byte"] == pytest.approx(8)
    assert rows[1]["codec_bits_per_byte"] is None
    assert all(row["bytes"] == 40 and row["seconds"] >= 0 for row in rows)
    table = call(*line)[1].decode().splitlines()
    assert table[0].startswith("model")
    assert table[2].split() == ["uniform", "8.000", "40", table[2].split()[-1]]


def test_list_names_everything_that_is_registered(call: Callable[..., tuple[int, bytes, str]]) -> None:
    document = json.loads(call("list", "--json")[1])
    groups = {"compressors": registry.COMPRESSORS, "predictors": registry.PREDICTORS, "samplers": registry.SAMPLERS}
    for kind, group in groups.items():
        assert [row["name"] for row in document[kind]] == list(registry.entries(group))
        for row in document[kind]:
            assert row["description"] or row["problem"], row["name"]
            assert row["distribution"]
    gzip = next(row for row in document["compressors"] if row["name"] == "gzip")
    assert gzip["parameters"]["level"] == 9
    assert gzip["distribution"] == "compgen"
    out = call("list", "compressors")[1].decode()
    assert "gzip" in out
    assert "predictors" not in out


def test_list_survives_a_broken_plugin_and_names_where_one_is_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: Callable[..., tuple[int, bytes, str]]
) -> None:
    info = tmp_path / "someones_codecs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: someones-codecs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[compgen.compressors]\nbroken = nonexistent_module:Codec\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.entries.cache_clear()
    try:
        rows = json.loads(call("list", "compressors", "--json")[1])["compressors"]
    finally:
        registry.entries.cache_clear()
    broken = next(row for row in rows if row["name"] == "broken")
    assert broken["distribution"] == "someones-codecs"
    assert "nonexistent_module" in broken["problem"]
