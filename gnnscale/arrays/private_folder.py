"""The user's own folder in the temporary folder, which nobody else reads, writes or has put there."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from gnnscale.schema import LakeError


def private_folder() -> Path:
    """The folder ``gnnscale-<uid>`` in the temporary folder, made where it is not there.

    Everybody may write to the temporary folder: what another user has put in its place, or may write to, is not taken,
    and a symbolic link is not followed. Nobody but the user can put links into it.

    Raises:
        LakeError: it is a link or no folder, or belongs to, or can be written by, somebody else.
    """
    folder = Path(tempfile.gettempdir()) / f"gnnscale-{os.getuid()}"
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
