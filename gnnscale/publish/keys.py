"""Keys of rows as text, whatever type they have in the lake."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import pyarrow as pa

from gnnscale.arrays import key_array, key_kind, key_text


def type_text(kind: pa.DataType) -> str:
    """A type of keys as text, for :func:`key_texts`."""
    return base64.b64encode(pa.schema([("key", kind)]).serialize().to_pybytes()).decode()


@lru_cache(maxsize=64)
def text_type(text: str) -> pa.DataType:
    """Inverse of :func:`type_text`."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text))).field("key").type


def key_texts(keys: Iterable[Any], kind: pa.DataType) -> Sequence[str | None]:
    """Keys as rows are found by; None for what can be no key of the type.

    Args:
        keys: plain values.
        kind: type of the table's keys.
    """
    keys = list(keys)
    # Most keys are text or whole numbers, and a lookup should not wait for Arrow.
    if pa.types.is_string(kind) and all(type(key) is str for key in keys):
        return keys
    if kind == pa.int64() and all(type(key) is int for key in keys):
        return [str(key) for key in keys]
    found: list[str | None] = key_text(key_array(keys, kind)).to_pylist()
    return found


def parse_key(text: str, kind: pa.DataType) -> Any:
    """What somebody typed, as a plain value; the text itself where it is none of the type.

    Args:
        text: as typed.
        kind: type of the table's keys.
    """
    wanted = key_kind(kind)
    if wanted == "number":
        try:
            return Decimal(text)
        except InvalidOperation:
            return text
    if wanted == "truth value":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text
