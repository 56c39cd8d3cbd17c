"""Passwords and keys in what is shown or kept: masked, whoever wrote them there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"
"""Stands for a secret."""

_PASSWORD: Final = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/:@'\"]*:)(?!\d+(?:[/?#\s]|$))[^\s@'\"]+@", re.I)
"""``scheme://user:password@``: a port is no password, and a secret key may have slashes in it."""

_PARAMETER: Final = re.compile(
    r"([?&;](?:sig|signature|[a-z0-9_.-]*(?:token|password|secret|access[_.-]?key|api[_.-]?key|credential)[a-z0-9_.-]*)=)"
    r"[^\s&;'\"]+",
    re.I,
)
_JDBC: Final = re.compile(r"jdbc:[^\s'\"]+", re.I)

_JDBC_SECRETS: Final = (
    # Oracle's ``user/password@host``, and properties that stand behind a comma, a slash or a bracket.
    (re.compile(r"(:[^\s/:@'\"]+/)[^\s/@'\"]+@"), rf"\1{MASK}@"),
    (re.compile(r"([(,/:][\w.-]*(?:password|passwd|pwd|secret|token|key)=)[^\s&;,)'\"]+", re.I), rf"\1{MASK}"),
    (re.compile(r"([?&;]pwd=)[^\s&;'\"]+", re.I), rf"\1{MASK}"),
)
"""What a JDBC URL hides a password in, beside what other URIs do."""

_SECRET_NAME: Final = re.compile(
    r"secret|passw|token|credential|(access|account|api|private|shared|encryption)[_.-]?key|\bsas\b|connection[_.-]?string",
    re.I,
)

OPEN_MAPPINGS: Final = frozenset({"conf", "options", "storage_options"})
"""Sections of a configuration whose keys are a library's: what they are called tells whether they are secret."""


def mask_text(text: str) -> str:
    """A text with the passwords and signatures of its URIs masked."""
    return _JDBC.sub(_mask_jdbc, _PARAMETER.sub(rf"\1{MASK}", _PASSWORD.sub(rf"\1{MASK}@", text)))


def _mask_jdbc(match: re.Match[str]) -> str:
    url = match[0]
    for pattern, masked in _JDBC_SECRETS:
        url = pattern.sub(masked, url)
    return url


def mask_secrets(data: Any, named: bool = False) -> Any:
    """Plain data with its secrets masked: passwords in URIs, and values of options that are called like secrets.

    Args:
        data: mappings, sequences and values, as in JSON.
        named: whether the keys of ``data`` are those of options; see :data:`OPEN_MAPPINGS`.
    """
    if isinstance(data, str):
        return mask_text(data)
    if isinstance(data, Mapping):
        return {
            key: MASK
            if named and isinstance(value, str) and is_secret_name(key)
            else mask_secrets(value, named or key in OPEN_MAPPINGS)
            for key, value in data.items()
        }
    if isinstance(data, list | tuple):
        return [mask_secrets(value, named) for value in data]
    return data


def is_secret_name(name: str) -> bool:
    """Whether an option of that name holds a secret."""
    return _SECRET_NAME.search(str(name)) is not None
