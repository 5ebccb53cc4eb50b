"""Makes docs/recommendation.schema.json from the documents' classes, so that both say the same."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from agentaflow_advisor.documents import AdviceDocument
from agentaflow_advisor.model import ACTIONS, Action
from agentaflow_advisor.render import to_json

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SERVED: Mapping[str, Any] = {
    "observed_at": {
        "description": "Over HTTP only: when the fleet was last looked at with success.",
        "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
    },
    "stale": {"description": "Over HTTP only: the newest look failed.", "type": "boolean"},
    "error": {
        "description": "Over HTTP only: why it failed.",
        "anyOf": [{"type": "string"}, {"type": "null"}],
    },
}
SCALARS: Mapping[object, Mapping[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    Decimal: {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"},
    type(None): {"type": "null"},
}
BOUNDS: Mapping[str, Mapping[str, Any]] = {
    "confidence": {"minimum": 0, "maximum": 1},
    "percentile": {"minimum": 0, "maximum": 1},
    "times_seen": {"minimum": 1},
}
UNBOUNDED = frozenset({"newest_age_seconds"})
"""Numbers that may be infinite, which JSON has only as null."""


def advice_schema() -> dict[str, Any]:
    """Of `agentaflow recommend -o json`, in JSON Schema 2020-12."""
    definitions: dict[str, Any] = {}
    document = _object(AdviceDocument, definitions)
    document["properties"] |= SERVED
    return {
        "$schema": DRAFT,
        "$id": "urn:agentaflow:recommendation:1",
        "title": "agentaflow recommend -o json",
        **document,
        "$defs": dict(sorted(definitions.items())),
    }


def _object(cls: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    constants = (
        {"channel": {"const": cls.channel}, "kind": {"const": cls.kind}}
        if issubclass(cls, Action)
        else {}
    )
    return {
        "description": " ".join((cls.__doc__ or "").split()),
        "type": "object",
        "properties": {
            **constants,
            **{name: _field(name, hints[name], definitions) for name in names},
        },
        "required": [*constants, *names],
        "additionalProperties": False,
    }


def _field(name: str, hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if name.endswith("_at"):  # render.plain writes these as times
        time = {"type": "string", "format": "date-time"}
        return {"anyOf": [time, {"type": "null"}]} if type(None) in get_args(hint) else time
    if name in UNBOUNDED:
        return {"anyOf": [{"type": "number"}, {"type": "null"}]}
    return {**_type(hint, definitions), **BOUNDS.get(name, {})}


def _type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is float:
        return {"type": "number"}
    if hint in SCALARS:
        return dict(SCALARS[hint])
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_type(each, definitions) for each in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0], definitions)}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _type(arguments[1], definitions)}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    if hint is Action:
        return {"anyOf": [_type(each, definitions) for each in ACTIONS.values()]}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = {}  # taken, should it refer to itself
            definitions[hint.__name__] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    raise TypeError(f"{hint!r} has no JSON Schema here: add it")


if __name__ == "__main__":
    print(to_json(advice_schema()))
