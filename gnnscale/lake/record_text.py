"""JSON that says by itself whether it is what was written."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

CHECKSUM: Final = "checksum"
"""Key beside those of a record: CRC-32 of their text."""


def record_text(record: Mapping[str, Any]) -> bytes:
    """A record as JSON with its checksum."""
    # Keys that are numbers are text when they are read, and sorted otherwise.
    plain = json.loads(json.dumps(dict(record)))
    return _text({**plain, CHECKSUM: _checksum(plain)})


def read_record_text(content: bytes) -> dict[str, Any]:
    """Inverse of :func:`record_text`; a record of a version that wrote no checksum is taken as it is.

    Raises:
        ValueError: it is no JSON object, or another than was written; the message says which.
    """
    record = json.loads(content)
    if not isinstance(record, dict):
        raise ValueError(f"it holds a {type(record).__name__}, and not keys and values")
    if CHECKSUM in record and record.pop(CHECKSUM) != _checksum(record):
        raise ValueError("it is not what was written")
    return record


def _checksum(record: dict[str, Any]) -> str:
    return f"{zlib.crc32(_text(record)):08x}"


def _text(record: dict[str, Any]) -> bytes:
    return json.dumps(record, indent=1, sort_keys=True).encode()
