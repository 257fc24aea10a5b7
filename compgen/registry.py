"""Names and specs -> objects. Every codec, predictor and sampler, built-in or not, comes in through an entry point.

A spec names an object and its parameters in one string, the same in Python and on the command line::

    gzip      gzip:level=6      lzma2:preset=9,dict_size=65536      transformer:PATH      mix(cm,order3:rate=2)

    spec      = name [ "(" spec { "," spec } ")" ] [ ":" argument { "," argument } ]
    argument  = value | key "=" value
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from compgen.errors import CompgenError, UsageError
from compgen.interfaces import Compressor, FileName, Predictor, Sampler

T = TypeVar("T")

COMPRESSORS = "compgen.compressors"
PREDICTORS = "compgen.predictors"
SAMPLERS = "compgen.samplers"
_KINDS = {COMPRESSORS: "compressor", PREDICTORS: "predictor", SAMPLERS: "modality"}


@dataclass(frozen=True)
class Spec:
    """A parsed spec: ``name(parts...):value,key=value,...``."""

    name: str
    parts: tuple[Spec, ...] = ()
    values: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        parts = "(" + ",".join(map(str, self.parts)) + ")" if self.parts else ""
        arguments = ",".join([*self.values, *(f"{key}={value}" for key, value in self.options)])
        return self.name + parts + (":" + arguments if arguments else "")


def parse_spec(text: str) -> Spec:
    """Parse a spec. Raises :class:`~compgen.errors.UsageError`."""
    spec, rest = _parse(text.strip(), text, nested=False)
    if rest:
        raise UsageError(f"cannot read the spec {text!r} from {rest!r} on; write name:key=value,... or name(spec,spec)")
    return spec


def _parse(text: str, whole: str, nested: bool) -> tuple[Spec, str]:
    """One spec from the start of ``text``; returns it and what follows."""
    end = next((i for i, c in enumerate(text) if c in "(),:"), len(text))
    name, rest = text[:end].strip(), text[end:]
    if not name:
        raise UsageError(f"the spec {whole!r} lacks a name; write name:key=value,... or name(spec,spec)")
    parts: list[Spec] = []
    if rest.startswith("("):
        while True:
            part, rest = _parse(rest[1:], whole, nested=True)
            parts.append(part)
            if not rest.startswith(","):
                break
        if not rest.startswith(")"):
            raise UsageError(f"cannot read the spec {whole!r}: a closing parenthesis is missing")
        rest = rest[1:]
    values: list[str] = []
    options: list[tuple[str, str]] = []
    if rest.startswith(":"):
        rest = _parse_arguments(rest[1:], values, options, nested)
    return Spec(name, tuple(parts), tuple(values), tuple(options)), rest


def _parse_arguments(text: str, values: list[str], options: list[tuple[str, str]], nested: bool) -> str:
    """Read ``value,key=value,...``; inside parentheses a comma before something without ``=`` starts the next spec."""
    while True:
        end = next((i for i, c in enumerate(text) if c == "," or (nested and c == ")")), len(text))
        argument, text = text[:end], text[end:]
        key, equals, value = argument.partition("=")
        if equals:
            options.append((key.strip().replace("-", "_"), value.strip()))
        else:
            values.append(argument.strip())
        if not text.startswith(","):
            return text
        following = text[1:].split(",")[0].split(")")[0] if nested else ""
        if nested and ("=" not in following or ":" in following.split("=")[0] or "(" in following):
            return text
        text = text[1:]


@cache
def entries(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name, sorted."""
    return {e.name: e for e in sorted(entry_points(group=group), key=lambda e: e.name)}


def lookup(group: str, name: str) -> Any:
    """Load one entry.

    Raises :class:`~compgen.errors.UsageError` for an unknown name, with the nearest known ones, and
    :class:`~compgen.errors.CompgenError` for a plug-in that does not load.
    """
    known = entries(group)
    if name not in known:
        raise UsageError(unknown_name(_KINDS[group], name, list(known)))
    try:
        return known[name].load()
    except (ImportError, AttributeError) as error:
        raise CompgenError(f"the plug-in {known[name].value} for {_KINDS[group]} {name!r} fails: {error}") from error


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """The message for a name that nobody registered."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "known: " + ", ".join(known)
    return f"unknown {kind} {name!r}; {hint}"


def build(spec: Spec, factory: Callable[..., T]) -> T:
    """Call ``factory`` with a spec's arguments, converted by the annotations of its parameters.

    A factory with a parameter ``parts`` gets there the predictors that the specs in parentheses name, as a tuple.
    """
    parameters = dict(inspect.signature(factory).parameters)
    arguments: dict[str, Any] = {}
    if parameters.pop("parts", None) is not None:
        arguments["parts"] = tuple(predictor(str(part)) for part in spec.parts)
    elif spec.parts:
        raise UsageError(f"{spec.name} is not made of other specs; write {spec.name}:key=value,...")
    hints = _hints(factory)
    positional = list(zip(parameters, spec.values, strict=False))
    if len(spec.values) > len(positional):
        raise UsageError(f"too many values in {str(spec)!r}; parameters of {spec.name}: {_names(parameters)}")
    for key, value in [*positional, *spec.options]:
        if key not in parameters:
            near = difflib.get_close_matches(key, parameters, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has: {_names(parameters)}"
            raise UsageError(f"{spec.name} has no parameter {key!r}; {hint}")
        if key in arguments:
            raise UsageError(f"parameter {key!r} is given twice in {str(spec)!r}")
        arguments[key] = _convert(spec.name, key, value, hints.get(key, str))
    return factory(**arguments)


def file_parameters(name: str) -> set[str]:
    """Which parameters of the predictor or compressor of that name are names of files."""
    for group in (PREDICTORS, COMPRESSORS):
        if name in entries(group):
            return {key for key, hint in _hints(lookup(group, name), extras=True).items() if hint == FileName}
    return set()


def _hints(factory: Any, extras: bool = False) -> dict[str, Any]:
    # The generated __init__ of a dataclass does not see the module in which an inherited field was annotated.
    if inspect.isclass(factory) and not dataclasses.is_dataclass(factory):
        factory = factory.__init__
    return typing.get_type_hints(factory, include_extras=extras)


def _names(parameters: Any) -> str:
    return ", ".join(parameters) or "none"


def _convert(name: str, key: str, value: str, hint: Any) -> Any:
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    choices = typing.get_args(hint) if union else (hint,)
    for choice in choices:
        if choice is type(None):
            if value in ("", "none", "None"):
                return None
        elif choice is bool:
            if value.lower() in ("true", "yes", "1", "false", "no", "0"):
                return value.lower() in ("true", "yes", "1")
        elif typing.get_origin(choice) is typing.Literal:
            if value in typing.get_args(choice):
                return value
        elif choice in (int, float):
            try:
                return choice(value)
            except ValueError:
                continue
        elif choice is str:
            return value
    raise UsageError(f"{name}: {key}={value} is not {_describe(choices)}")


def _describe(choices: tuple[Any, ...]) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", type(None): "none"}
    described = [
        "one of " + ", ".join(map(str, typing.get_args(choice)))
        if typing.get_origin(choice) is typing.Literal
        else words.get(choice, str(choice))
        for choice in choices
    ]
    return " or ".join(described)


def compressor(spec: str | Compressor | Predictor) -> Compressor:
    """The compressor that a spec names, e.g. ``compressor("gzip:level=6")``; an object passes through.

    The name of a predictor gives the predictor as a compressor. Raises :class:`~compgen.errors.UsageError` for unknown
    names and parameters.
    """
    from compgen.bridge import as_compressor  # here, as it brings compiled code

    made = _make(spec, COMPRESSORS, PREDICTORS) if isinstance(spec, str) else spec
    return as_compressor(made) if isinstance(made, Predictor) else made


def predictor(spec: str | Predictor | Compressor) -> Predictor:
    """The predictor that a spec names; the name of a compressor gives the compressor as a predictor.

    Raises :class:`~compgen.errors.UsageError` for unknown names and parameters.
    """
    from compgen.bridge import as_predictor

    made = _make(spec, PREDICTORS, COMPRESSORS) if isinstance(spec, str) else spec
    return as_predictor(made) if isinstance(made, Compressor) else made


def _make(text: str, *groups: str) -> Predictor | Compressor:
    """What a spec names in the first of the groups that has its name."""
    spec = parse_spec(text)
    for group in groups:
        if spec.name in entries(group):
            made: Predictor | Compressor = build(spec, lookup(group, spec.name))
            return made
    raise UsageError(unknown_name(_KINDS[groups[0]], spec.name, [name for group in groups for name in entries(group)]))


def sampler(name: str, **parameters: Any) -> Sampler:
    """The sampler of a modality, e.g. ``sampler("image", mode="raster")``; None means the modality's own default.

    Raises :class:`~compgen.errors.UsageError` for unknown modalities and for parameters the modality does not have.
    """
    factory = lookup(SAMPLERS, name)
    given = {key: value for key, value in parameters.items() if value is not None}
    known = inspect.signature(factory).parameters
    for key in given:
        if key not in known:
            raise UsageError(f"{key} means nothing for {name}; its parameters: {_names(known)}")
    made: Sampler = factory(**given)
    return made
