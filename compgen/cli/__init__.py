"""The command line. One small file a command: each parses, calls the library, prints.

What holds for every command is here: data goes to stdout, everything else to stderr; an expected failure is one line
and exit code 1, wrong usage one line and exit code 2, an interruption one line and exit code 130. Nothing heavy is
imported before a command runs, so that ``compgen --help`` is quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click

from compgen.cli import interrupt, options, output
from compgen.errors import CompgenError
from compgen.version import __version__

#: The module of each command, loaded when it is needed. (None is called ``list``: it would hide the builtin here.)
COMMANDS = {
    "sample": "compgen.cli.sample",
    "predict": "compgen.cli.predict",
    "compress": "compgen.cli.compress",
    "decompress": "compgen.cli.decompress",
    "inspect": "compgen.cli.inspect",
    "test": "compgen.cli.test",
    "train": "compgen.cli.train",
    "evaluate": "compgen.cli.evaluate",
    "correlate": "compgen.cli.correlate",
    "bench": "compgen.cli.bench",
    "classify": "compgen.cli.classify",
    "neuraltext": "compgen.cli.neuraltext",
    "list": "compgen.cli.listing",
}


class _Commands(options.Described, click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from compgen.registry import unknown_name

            raise click.UsageError(unknown_name("command", args[0], list(COMMANDS)), ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def cli() -> None:
    """Compression is prediction: any compressor generates, any predictor compresses.

    \b
    Examples:
      compgen sample --compressor gzip --length 200
      compgen sample photo.png --compressor png --out continued.png
      compgen predict notes.txt --compressor lzma2
      compgen compress notes.txt
      compgen bench rates notes.txt
      compgen list
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    interrupt.arm()
    name = Path(sys.argv[0]).stem
    try:
        code = _run(
            sys.argv[1:] if arguments is None else list(arguments),
            "python -m compgen" if name == "__main__" else name,
        )
    except KeyboardInterrupt:
        code = interrupt.announce()
    sys.exit(code)


def _run(arguments: list[str], program: str = "compgen") -> int:
    variable = f"_{program.upper()}_COMPLETE"
    if variable in os.environ:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, program, variable, os.environ[variable])
    try:
        # Not cli.main(): it turns an interruption into an empty line on stderr.
        with cli.make_context(program, arguments) as context:
            cli.invoke(context)
            sys.stdout.flush()  # a full disk or a closed pipe shows here at the latest
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as end:
        end.show()
        return 2
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else program
        return _fail(f"{error.format_message().rstrip('.')}; see {command} --help", 2)
    except BrokenPipeError:
        _drop_stdout()
        return 141  # as if the signal SIGPIPE had ended us, like other programs in a pipe
    except OSError as error:
        _drop_stdout()
        return _fail(error, 1)
    except (CompgenError, MemoryError) as error:
        return _fail(error, getattr(error, "exit_code", 1))
    return 0


def _fail(error: Exception | str, code: int) -> int:
    output.fail(error)
    return code


def _drop_stdout() -> None:
    """Send what is still buffered nowhere, or the interpreter would complain about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
