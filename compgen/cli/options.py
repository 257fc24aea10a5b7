"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


class Described(click.Command):
    """A command whose examples show the program under the name by which it was called, so that they can be pasted."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does it."""
        described, program = self.help, ctx.find_root().info_name or "compgen"
        self.help = re.sub(r"(^ *|\| )compgen (?=[a-z])", rf"\1{program} ", described or "", flags=re.MULTILINE)
        try:
            super().format_help_text(ctx, formatter)
        finally:
            self.help = described


def _complete(*groups: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Shell completion by the names that are registered in some groups of entry points."""

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from compgen.registry import entries

        names = sorted({name for group in groups for name in entries(group)})
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    return complete


def predictor(text: str) -> Callable[[F], F]:
    """``--predictor`` alone; compressors are predictors too."""
    groups = ("compgen.predictors", "compgen.compressors")
    return click.option("--predictor", metavar="SPEC", shell_complete=_complete(*groups), help=text)


def several(option: str, *groups: str, text: str) -> Callable[[F], F]:
    """An option for specs of some groups of entry points, which may be given several times."""
    return click.option(
        option,
        metavar="SPEC",
        multiple=True,
        shell_complete=_complete(*groups),
        help=f"{text} May be given several times.",
    )


def models(multiple: bool) -> Callable[[F], F]:
    """``--compressor`` and ``--predictor``."""
    again = " May be given several times." if multiple else ""

    def decorate(function: F) -> F:
        for option, groups, text in (
            ("--predictor", ("compgen.predictors", "compgen.compressors"), "Predictor, by name or spec."),
            (
                "--compressor",
                ("compgen.compressors",),
                "Compressor, by name or spec such as gzip:level=6.  [default: gzip]",
            ),
        ):
            function = click.option(
                option, metavar="SPEC", multiple=multiple, shell_complete=_complete(*groups), help=text + again
            )(function)
        return function

    return decorate


def modality(function: F) -> F:
    """``--modality``."""
    return click.option(
        "--modality",
        metavar="NAME",
        shell_complete=_complete("compgen.samplers"),
        help="text, image, audio or bytes.  [default: what FILE's first bytes say, else text]",
    )(function)


def size(text: str) -> int:
    """A number of bytes: 65536, 64K, 64KiB, 16M, 1G. A type for :func:`click.option`."""
    match = re.fullmatch(r"(\d{1,18})(?:([KMG])(?:i?B)?)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a size; give bytes, or as in 64K, 16M or 1G")
    return int(match[1]) << 10 * ("", "K", "M", "G").index((match[2] or "").upper())


def loudness(function: F) -> F:
    """``--verbose`` and ``--quiet``."""
    function = click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary on a terminal.")(
        function
    )
    return click.option("-v", "--verbose", is_flag=True, help="Say the summary even where there is no terminal.")(
        function
    )


def workers(function: F) -> F:
    """``--jobs`` and ``--backend``."""
    function = click.option(
        "--backend",
        metavar="NAME",
        help="Where jobs run: loky (processes), threading, dask, dask:ADDRESS, ray.  [default: loky]",
    )(function)
    return click.option("--jobs", type=int, metavar="N", help="Workers; -1 is one a core.  [default: 1]")(function)


@contextmanager
def working(jobs: int | None, backend: str | None) -> Iterator[None]:
    """The workers that ``--jobs`` and ``--backend`` ask for; a backend alone means one worker a core."""
    from compgen import parallel

    with parallel.jobs(jobs if jobs is not None else 1 if backend is None else -1, backend or "loky"):
        yield
