"""How much memory this process may take: of the machine, of its container, by ``ulimit -v``."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CGROUP_LIMITS: Final = ("memory.max", "memory/memory.limit_in_bytes")
"""Files of a container's limit, of cgroups of version 2 and 1."""


@dataclass(frozen=True)
class MemoryLimits:
    """What there is to take.

    Args:
        memory: bytes of this machine, or of the container that this process is in.
        source: where that figure is from.
        addresses: bytes that ``ulimit -v`` allows; None where it allows any number.
    """

    memory: int
    source: str
    addresses: int | None


def memory_limits(root: Path = Path("/sys/fs/cgroup")) -> MemoryLimits:
    """The limits of this process.

    Args:
        root: where the system shows the limits of containers.
    """
    memory, source = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "this machine"
    for name in CGROUP_LIMITS:
        with suppress(OSError, ValueError):
            limit = int((root / name).read_text())
            if limit < memory:
                memory, source = limit, f"this container, by {root / name}"
    addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
    return MemoryLimits(memory, source, None if addresses == resource.RLIM_INFINITY else addresses)
