"""Keep README.md and docs/ true: run every command they show and write what it prints; generate the reference pages.

    python scripts/update_docs.py            rewrite what is out of date
    python scripts/update_docs.py --check    only say what is, and exit with 1 if anything

In a ``console`` block a line that starts with ``$`` is a command, and what follows is its output (write ``?`` to have
it filled in); a command that shows no output must only succeed. ``python`` blocks of a file run one after the other in
one namespace. ``bash`` blocks (installation) are run by continuous integration. ``<!-- not run: REASON -->`` on the
line above a block leaves it out.
"""

from __future__ import annotations

import difflib
import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    *("README.md", "docs/compressing.md", "docs/sampling.md", "docs/transformer.md", "docs/plugins.md"),
    *("docs/parallel.md", "docs/evaluating.md", "docs/datasets.md", "docs/benchmark.md", "docs/classify.md"),
    "docs/neuraltext.md",
)
_BLOCK = re.compile(r"^(?P<skip><!-- not run: .+ -->\n)?```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
#: Wall-clock times, which differ from run to run: the last column of a table of scores.
_SECONDS = re.compile(r" +\d+\.\d$", re.MULTILINE)


def blocks(page: str) -> Iterator[re.Match[str]]:
    """The code blocks of a page that are meant to run."""
    return (block for block in _BLOCK.finditer(page) if not block["skip"])


def prepare(folder: Path) -> None:
    """The files that examples use: a text, a picture and a sound, the same on every machine."""
    import numpy as np
    import soundfile
    from PIL import Image

    import compgen.datasets

    (folder / "notes.txt").write_bytes(compgen.datasets.default_context())
    os.utime(folder / "notes.txt", (1_577_934_245, 1_577_934_245))
    y, x = np.mgrid[:24, :32]
    Image.fromarray(((3 * x + 5 * y + 90 * (x > y)) % 256).astype(np.uint8)).save(folder / "photo.png")
    t = np.arange(1600)
    wave = (6000 * np.sin(t / 11) + 3000 * np.sin(t / 5)).astype(np.int16)
    soundfile.write(folder / "speech.flac", wave, 16000)


def run_console(body: str, folder: Path) -> str:
    """The body of a console block with what its commands print now."""
    written = []
    for part in re.split(r"^(?=\$ )", body, flags=re.MULTILINE):
        if not part:
            continue
        command = re.match(r"\$ ((?:.*\\\n)*.*)\n", part)
        if command is None:
            raise ValueError(f"a console block must start with $: {part!r}")
        shown = part[command.end() :]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command[1]],
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise ValueError(f"{command[1]!r} exits with {done.returncode}: {done.stderr.decode()}")
        printed = done.stdout.decode(errors="backslashreplace")
        if shown and _SECONDS.sub("", shown.rstrip()) != _SECONDS.sub("", printed.rstrip()):
            shown = printed.rstrip("\n") + "\n\n" * shown.endswith("\n\n") + "\n" * (not shown.endswith("\n\n"))
        written.append(f"$ {command[1]}\n{shown}")
    return "".join(written)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Python blocks find the files of the examples, as commands do."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def updated(page: str, folder: Path) -> str:
    """A page with the output of its commands as it is now. A Python block that fails raises."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    changes = []
    for block in blocks(page):
        if block["kind"] == "console":
            changes.append((block.span("body"), run_console(block["body"], folder)))
        elif block["kind"] == "python":
            with working_in(folder):
                exec(compile(block["body"], "<documentation>", "exec"), namespace)
    for (start, end), text in reversed(changes):
        page = page[:start] + text + page[end:]
    return page


def command_reference() -> str:
    """``docs/cli.md``: the help of every command."""
    from click.testing import CliRunner

    from compgen.cli import COMMANDS, cli

    parts = ["# Commands\n\nThe help texts of the program, for reading and searching.\n"]
    for name in ("", *_with_subcommands(COMMANDS)):
        arguments = [*name.split(), "--help"]
        text = CliRunner().invoke(cli, arguments, prog_name="cgen", terminal_width=80, catch_exceptions=False).output
        parts.append(f"## cgen {name}".rstrip() + f"\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(parts) + _COMMAND_NOTES


def _with_subcommands(names: Iterable[str]) -> Iterator[str]:
    """Each command, and after a group those in it."""
    import click

    from compgen.cli import cli

    context = click.Context(cli)
    for name in names:
        yield name
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            yield from (f"{name} {inner}" for inner in command.list_commands(context))


def codec_reference() -> str:
    """``docs/codecs.md``: what every codec says of itself."""
    from compgen import registry

    parts = [_CODEC_INTRODUCTION]
    for name, entry in registry.entries(registry.COMPRESSORS).items():
        if entry.dist is None or entry.dist.name == "compgen":
            parts.append(f"## {name}\n\n{markdown(inspect.getdoc(entry.load()) or '')}\n")
    return "\n".join(parts)


def markdown(docstring: str) -> str:
    """A docstring's reStructuredText, as far as we use it, as Markdown."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", docstring).replace("``", "`")
    text = re.sub(r"^:param (\w+): ", r"- `\1`: ", text, flags=re.MULTILINE)
    text = re.sub(r"\n    (?=\S)", "\n  ", text)  # continued lines of a parameter
    return re.sub(r"((?:^>>> .*\n?(?:^[^\n]+\n?)*)+)", r"```pycon\n\1\n```", text, flags=re.MULTILINE).replace(
        "\n\n```\n", "\n```\n"
    )


_COMMAND_NOTES = """
## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | the data cannot be used, or something it needs is missing; one line on standard error |
| 2 | wrong usage; one line on standard error |
| 130 | interrupted with Ctrl-C, or asked to terminate; no file under the final name |
| 141 | the reader of standard output went away |

Output files are written under a temporary name and renamed when they are whole. Several files on one line: one that
fails is one line on standard error, the others go on, and the exit code is 1 at the end.

## Shell completion

Completion knows commands, options, and the names of codecs, predictors and modalities, those of plug-ins among them.
Put the line of your shell where it reads its settings:

| shell | line | file |
|---|---|---|
| bash | `eval "$(_CGEN_COMPLETE=bash_source cgen)"` | `~/.bashrc` |
| zsh | `eval "$(_CGEN_COMPLETE=zsh_source cgen)"` | `~/.zshrc` |
| fish | `_CGEN_COMPLETE=fish_source cgen \\| source` | `~/.config/fish/completions/cgen.fish` |

## The long name in bash

`compgen` is the same program as `cgen`, but in bash that name belongs to a shell builtin, which completion scripts
need. A function in `~/.bashrc` gives both what is theirs:

```text
compgen() {
    case "$1" in
        -[!-]*) builtin compgen "$@" ;;
        *) env compgen "$@" ;;
    esac
}
```
"""

_CODEC_INTRODUCTION = """# Codecs

What follows is what each codec says of itself: what it codes, what its code length counts and leaves out, and its
parameters. `cgen list compressors` prints the parameters with their defaults; in a spec they are given as in
`gzip:level=6,window_bits=12`.

Code lengths are in bits. What a container adds to every input alike (magic numbers, headers, checksums) is left out,
because it cancels in a distribution over the next byte and would only blur comparisons of short inputs. `compress`
writes the whole container, which other programs can read.
"""


def outdated(folder: Path) -> dict[Path, str]:
    """The pages that are not as they should be, with what they should be."""
    wanted = {}
    for number, name in enumerate(PAGES):  # each in a folder of its own, as in the tests
        own = folder / str(number)
        own.mkdir()
        prepare(own)
        wanted[ROOT / name] = updated((ROOT / name).read_text(encoding="utf-8"), own)
    wanted[ROOT / "docs/cli.md"] = command_reference()
    wanted[ROOT / "docs/codecs.md"] = codec_reference()
    return {
        path: text for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        changed = outdated(Path(folder))
    for path, text in changed.items():
        if "--check" in sys.argv:
            old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            print(*difflib.unified_diff(old, text.splitlines(), path.name, "now", lineterm=""), sep="\n")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"updated {path.relative_to(ROOT)}")
    return 1 if changed and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
