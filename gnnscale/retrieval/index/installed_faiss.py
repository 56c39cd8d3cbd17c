"""Which of FAISS's packages is installed: they are folders of one name, and overwrite each other."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions

log = logging.getLogger(__name__)

PACKAGES = re.compile(r"faiss[-_.]+(cpu|gpu)([-_.]+\w+)?", re.IGNORECASE)
"""As pip knows them: for the CPU, and for GPUs of several versions of CUDA."""


def faiss_packages(installed: Iterable[Distribution] | None = None) -> list[str]:
    """Names and versions of FAISS's packages, sorted.

    Args:
        installed: to look among; default: all that this Python finds.
    """
    names = ((each.metadata["Name"] or "", each.version) for each in (installed or distributions()))
    return sorted({f"{name} {version}" for name, version in names if PACKAGES.fullmatch(name)})


def log_faiss(packages: list[str] | None = None) -> None:
    """Say which FAISS there is, and warn where there are several.

    Args:
        packages: of :func:`faiss_packages`; default: those that are installed.
    """
    found = faiss_packages() if packages is None else packages
    if len(found) > 1:
        log.warning(
            "%s are both in the folder faiss, and the last that was installed has overwritten the other: uninstall all "
            "of them, and install one",
            " and ".join(found),
        )
        return
    where = "the CPU and GPUs" if found and "gpu" in found[0] else "the CPU"
    log.info("FAISS is %s, for %s", found[0] if found else "of no package of its own", where)
