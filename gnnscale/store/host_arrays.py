"""Folders and files of arrays that one process of a host builds and the others map."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KEPT = 2
"""Versions of the same arrays that stay: a process that began before the latest came may open the one before it."""


def name_folder(cache: str | Path | None, kind: str, owner: str, content: str) -> Path:
    """Where the arrays made from some content are, or would be.

    Args:
        cache: folder on a local disk; default: one in the temporary folder.
        kind: what the arrays are, a word.
        owner: what there is one of, whatever its versions.
        content: tells one version from all others.
    """
    parts = (hashlib.sha256(text.encode()).hexdigest() for text in (owner, content))
    return Path(cache or Path(tempfile.gettempdir()) / "gnnscale") / "-".join([kind, *(part[:16] for part in parts)])


def empty_folder(cache: str | Path | None, kind: str, owner: str, content: str) -> Path:
    """The folder of :func:`name_folder`, made anew without what a run that was killed has left in it."""
    folder = name_folder(cache, kind, owner, content)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@contextmanager
def scratch_folder(cache: str | Path | None, kind: str, owner: str) -> Iterator[Path]:
    """A folder of this process's own, removed at the end; those that processes which were killed have left go first.

    Args:
        cache: folder on a local disk; default: one in the temporary folder.
        kind: what is in it, a word.
        owner: what it is for; several processes may work on the same.
    """
    family = name_folder(cache, kind, owner, "")
    family.parent.mkdir(parents=True, exist_ok=True)
    for left in family.parent.glob(f"{family.name}-*"):
        with suppress(OSError), (left / "lock").open("r+") as lock:
            # Who lives holds it.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{family.name}-", dir=family.parent))
    try:
        with (folder / "unlocked").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "unlocked").rename(folder / "lock")
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def build_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Have a folder filled by one process of the host, while the others wait.

    Args:
        folder: what to make; where it is there already, nothing is done.
        write: fills a new folder; the result appears whole or not at all.

    Returns:
        ``folder``.
    """
    if folder.is_dir():
        return folder
    with _locked(folder):
        if folder.is_dir():
            return folder
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            write(partial)
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def build_file_once(file: Path, write: Callable[[Path], None]) -> Path:
    """Have a file written by one process of the host, while the others wait.

    Args:
        file: what to make; where it is there already, nothing is done.
        write: makes a file of another name; the result appears whole or not at all.

    Returns:
        ``file``.
    """
    if file.exists():
        return file
    with _locked(file):
        if not file.exists():
            # The name is the same for all, so that what one that was killed has left is written over.
            partial = file.with_name(f".{file.name}.partial")
            try:
                write(partial)
                os.replace(partial, file)
            finally:
                partial.unlink(missing_ok=True)
    return file


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of what is to be made, in a folder that is made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove_older(folder: Path, kept: int = KEPT) -> None:
    """Remove versions of what :func:`name_folder` named, but for so many, this one among them, that were built last."""
    family = folder.name.rpartition("-")[0]
    versions = [path for path in folder.parent.glob(f"{family}-*") if path.is_dir() and path != folder]
    for path in sorted(versions, key=lambda path: path.stat().st_mtime_ns)[: max(0, len(versions) - (kept - 1))]:
        shutil.rmtree(path, ignore_errors=True)
        (path.parent / f".{path.name}.lock").unlink(missing_ok=True)
