"""Checks of mapped arrays: what the files of a folder were when they were made, so that a turned bit is found."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

CHECKS: Final = "checks.json"
"""File of a folder that says what the others were."""

READ_WHOLE: Final = 1 << 30
"""Bytes of a folder up to which its files are read when it is opened, at some GiB a second; of more, sizes count."""

_PART: Final = 1 << 24


def write_checks(folder: Path) -> None:
    """Write down what the files of a folder are; see :func:`find_damage`."""
    checks = {str(file.relative_to(folder)): [file.stat().st_size, *_figures(file)] for file in _files(folder)}
    (folder / CHECKS).write_text(json.dumps(checks))


def find_damage(folder: Path) -> str | None:
    """The first file of a folder that is not what it was when it was made; None where all are.

    A folder that was made without checks counts as whole.

    Args:
        folder: of :func:`write_checks`.
    """
    try:
        checks = json.loads((folder / CHECKS).read_text())
        sizes = {name: int(size) for name, (size, _, _) in checks.items()}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError):
        return CHECKS
    whole = sum(sizes.values()) <= READ_WHOLE
    for name, (size, *known) in checks.items():
        try:
            same = (folder / name).stat().st_size == size and (not whole or _figures(folder / name) == known)
        except OSError:
            same = False
        if not same:
            return str(name)
    return None


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in sorted(os.walk(folder)):
        yield from (Path(place) / name for name in sorted(names) if name != CHECKS)


def _figures(file: Path) -> list[int]:
    """Exclusive or, and sum modulo 2^64, of a file's words of eight octets: one turned bit changes both."""
    mixed, total = np.uint64(0), 0
    with file.open("rb") as source:
        while part := source.read(_PART):
            words = np.frombuffer(part + bytes(-len(part) % 8), np.uint64)
            mixed ^= np.bitwise_xor.reduce(words)
            total += int(words.sum(dtype=np.uint64))
    return [int(mixed), total % (1 << 64)]
