"""M1, the model that tokens are made with: which one it is, and whether it is the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compgen import registry
from compgen.errors import BadInputError
from compgen.interfaces import Predictor

#: Arguments of specs that say where weights are, which their hash says better, or how fast to go.
_ASIDE = ("file", "size", "streams")


def predictor(model: str | Predictor) -> Predictor:
    """M1 by its spec, or as it is."""
    return registry.predictor(model)


def identity(model: Predictor) -> dict[str, str]:
    """What its probabilities depend on."""
    return {"spec": model.spec, "numerics": model.numerics, "weights_sha256": model.weights_sha256}


def same(described: Mapping[str, str], model: str | Predictor | None, name: str) -> Predictor:
    """M1 as :func:`identity` describes it, or ``model``, if it is the same; ``name`` is for messages."""
    found = predictor(described["spec"] if model is None else model)
    now = identity(found)
    for key, what in (("weights_sha256", "weights"), ("numerics", "arithmetic")):
        if now[key] != described[key]:
            raise BadInputError(
                f"{name} was made with another M1: {described['spec']} with {what} {_short(described[key])}; "
                f"{now['spec']} has {_short(now[key])}; name the right one"
            )
    if _shape(now["spec"], bool(now["weights_sha256"])) != _shape(described["spec"], bool(now["weights_sha256"])):
        raise BadInputError(f"{name} was made with another M1: {described['spec']}, not {now['spec']}")
    return found


def _short(text: str) -> str:
    return repr(text[:16]) if text else "none"


def _shape(spec: str, weights: bool) -> Any:
    """A spec without what the hash of the weights says already."""
    parsed = registry.parse_spec(spec)
    if not weights:
        return parsed
    return parsed.name, parsed.parts, tuple(option for option in parsed.options if option[0] not in _ASIDE)
