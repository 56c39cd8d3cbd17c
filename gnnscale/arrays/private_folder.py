"""The user's own folder in the temporary folder, which nobody else reads, writes or has put there."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gnnscale.schema import LakeError

_OUTSIDE: list[str] = []
"""The temporary folder, while another is in its place."""


def private_folder() -> Path:
    """The folder ``gnnscale-<uid>`` in the temporary folder, made where it is not there.

    Everybody may write to the temporary folder: what another user has put in its place, or may write to, is not taken,
    and a symbolic link is not followed. Nobody but the user can put links into it.

    Raises:
        LakeError: it is a link or no folder, or belongs to, or can be written by, somebody else.
    """
    folder = Path(_temporary_folder()) / f"gnnscale-{os.getuid()}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            what = "a symbolic link" if stat.S_ISLNK(found.st_mode) else f"of mode {stat.filemode(found.st_mode)}"
            raise LakeError(
                f"{folder} is {what} of user {found.st_uid}, and has to be a folder that user {os.getuid()} alone can "
                "write to; remove it, or set TMPDIR or lake.cache to another folder"
            ) from None
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
    return folder


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Have what libraries write to the temporary folder by ``tempfile`` come into another one.

    They remove it when they have done; where the process is killed meanwhile, it stays in the temporary folder for
    good. In a :func:`scratch_folder` it goes when the next run begins.

    Args:
        folder: that is there.
    """
    _OUTSIDE.append(_temporary_folder())
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        _OUTSIDE.pop()


def _temporary_folder() -> str:
    return _OUTSIDE[-1] if _OUTSIDE else tempfile.gettempdir()
