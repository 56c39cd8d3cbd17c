"""Folders and files of arrays that one process of a host builds and the others map."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gnnscale.arrays.array_checks import find_damage, write_checks
from gnnscale.arrays.private_folder import private_folder

log = logging.getLogger(__name__)

KEPT = 2
"""Versions of the same arrays that stay: a process that began before the latest came may open the one before it."""

PARTIAL = ".partial"
"""What the name of a folder or file ends with while it is made: the same for all who make it, one after the other."""

BeforeRemoval = Callable[[Path, bool], None]
"""Called with a folder before it is removed, and whether the process that it was of has been killed."""


def _do_nothing(folder: Path, left: bool) -> None:
    """Before a folder is removed."""


def name_folder(cache: str | Path | None, kind: str, owner: str, content: str) -> Path:
    """Where the arrays made from some content are, or would be.

    Args:
        cache: folder on a local disk; default: the user's own in the temporary folder.
        kind: what the arrays are, a word.
        owner: what there is one of, whatever its versions; what the cache lies in may be moved together with it.
        content: tells one version from all others.

    Raises:
        LakeError: what is in the place of the user's own folder is not; see :func:`private_folder`.
    """
    folder = private_folder() if cache is None else Path(cache)
    around = str(folder.parent)
    if cache is not None and owner.startswith(around):
        owner = "." + owner.removeprefix(around)
    parts = (hashlib.sha256(text.encode()).hexdigest() for text in (owner, content))
    return folder / "-".join([kind, *(part[:16] for part in parts)])


@contextmanager
def scratch_folder(
    cache: str | Path | None, kind: str, owner: str, before_removal: BeforeRemoval = _do_nothing
) -> Iterator[Path]:
    """A folder of this process's own, removed at the end; those that processes which were killed have left go first.

    Args:
        cache: folder on a local disk; default: the user's own in the temporary folder.
        kind: what is in it, a word.
        owner: what it is for; several processes may work on the same. Without one, the folder has a short name.
        before_removal: called with each folder, this one too, before it is removed, and whether its process was killed.
    """
    remove_left(cache, kind, owner, before_removal)
    family = _family(cache, kind, owner)
    family.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{family.name}-", dir=family.parent))
    with ExitStack() as stack:
        lock = stack.enter_context((folder / "unlocked").open("w"))
        # It is held until the folder is gone: nobody else takes this one for left.
        stack.callback(_remove, folder, before_removal, False)
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "unlocked").rename(folder / "lock")
        yield folder


def remove_left(cache: str | Path | None, kind: str, owner: str, before_removal: BeforeRemoval = _do_nothing) -> None:
    """Remove the folders of :func:`scratch_folder` that processes of this host which were killed have left."""
    family = _family(cache, kind, owner)
    remove_abandoned(family.parent, f"{family.name}-*", before_removal)


def remove_abandoned(folder: Path, pattern: str = "*", before_removal: BeforeRemoval = _do_nothing) -> None:
    """Remove every folder of :func:`scratch_folder` in a folder whose process of this host was killed.

    Args:
        folder: that they are in.
        pattern: of their names.
        before_removal: called with each, and that its process was killed.
    """
    for lock_file in folder.glob(f"{pattern}/lock"):
        with suppress(OSError), lock_file.open("r+") as lock:
            # Who lives holds it.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It may have been removed, by who has ended the folder in order and lives, since it was opened.
            if os.fstat(lock.fileno()).st_nlink:
                _remove(lock_file.parent, before_removal, True)


def _remove(folder: Path, before_removal: BeforeRemoval, left: bool) -> None:
    before_removal(folder, left)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.is_dir():
        # A process that was ending has written to it meanwhile: whoever looks next finds it.
        with suppress(OSError):
            (folder / "lock").touch()


def _family(cache: str | Path | None, kind: str, owner: str) -> Path:
    """What the names of scratch folders begin with."""
    return name_folder(cache, kind, owner, "") if owner else name_folder(cache, kind, "", "").with_name(kind)


def build_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Have a folder filled by one process of the host, while the others wait.

    What is there already is held against what it was (:mod:`gnnscale.arrays.array_checks`), once in each process; what
    is damaged is made again, and whoever has mapped it keeps what it has mapped.

    Args:
        folder: what to make; where it is there already, and whole, nothing is done.
        write: fills a new folder; the result appears whole or not at all.

    Returns:
        ``folder``.
    """
    if _is_whole(folder):
        return folder
    with locked(folder):
        if _is_whole(folder):
            return folder
        if folder.is_dir():
            log.warning("%s is damaged (%s), and is made again", folder, find_damage(folder))
            shutil.rmtree(folder)
        partial = folder.with_name(f".{folder.name}{PARTIAL}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            write(partial)
            write_checks(partial)
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _CHECKED[folder] = _stamp(folder)
    return folder


_CHECKED: dict[Path, tuple[int, int]] = {}
"""Folders that this process has made or found to be whole, and what they were then."""


def _stamp(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    # Nobody can set when a folder was changed, as copies set when it was written.
    return found.st_ino, found.st_ctime_ns


def _is_whole(folder: Path) -> bool:
    try:
        made = _stamp(folder)
    except FileNotFoundError:
        return False
    if _CHECKED.get(folder) != made:
        if find_damage(folder) is not None:
            return False
        _CHECKED[folder] = made
    return True


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
    with locked(file):
        if not file.exists():
            partial = file.with_name(f".{file.name}{PARTIAL}")
            try:
                write(partial)
                os.replace(partial, file)
            finally:
                partial.unlink(missing_ok=True)
    return file


@contextmanager
def hold_built(folder: Path, write: Callable[[Path], None]) -> Iterator[Path]:
    """A folder of :func:`build_once` that nobody removes while its files are opened; what is mapped then stays mapped.

    Args:
        folder: what to make, and hold.
        write: fills a new folder.
    """
    while True:
        build_once(folder, write)
        with locked(folder, fcntl.LOCK_SH):
            # It may have been removed before it was held.
            if folder.is_dir():
                yield folder
                return


def remove_older(folder: Path, kept: int = KEPT) -> None:
    """Remove versions of what :func:`name_folder` named, but for so many, this one among them, that were built last.

    What a process that was killed had begun to make goes, too. Those that a process holds (:func:`hold_built`), or
    makes, stay until the next time.
    """
    family = folder.name.rpartition("-")[0]
    for partial in folder.parent.glob(f".{family}-*{PARTIAL}"):
        made = partial.with_name(partial.name[1 : -len(PARTIAL)])
        with suppress(OSError), locked(made, fcntl.LOCK_EX | fcntl.LOCK_NB) as lock:
            shutil.rmtree(partial, ignore_errors=True)
            if not made.is_dir():
                lock.unlink(missing_ok=True)
    versions = []
    for path in folder.parent.glob(f"{family}-*"):
        # Another process may remove it meanwhile.
        with suppress(FileNotFoundError):
            if path.is_dir() and path != folder:
                versions.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(versions)[: max(0, len(versions) - (kept - 1))]:
        # Held, or of a user who alone may remove it.
        with suppress(OSError), locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB) as lock:
            shutil.rmtree(path, ignore_errors=True)
            lock.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[Path]:
    """Hold the lock of what is, or is to be, made; yields the file that stands for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.parent / f".{path.name}.lock"
    while True:
        held = False
        with file.open("w") as lock:
            fcntl.flock(lock, how)
            # Who held it before may have removed it, and then it keeps nobody out.
            with suppress(FileNotFoundError):
                held = os.path.samestat(os.fstat(lock.fileno()), file.stat())
            if held:
                yield file
                return
