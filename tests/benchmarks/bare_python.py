"""A folder of a few installed packages and of what they say they need: what a Python without others imports from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path


def link_packages(folder: Path, names: Iterable[str]) -> set[str]:
    """Link packages into an empty folder, for ``python -S`` with this folder as its path.

    Args:
        folder: gets a link to every file and folder that these packages have on the top level.
        names: as pip knows them; what they require, without extras, comes with them.

    Returns:
        Names of all that are there, in lower case.
    """
    found: dict[str, Distribution] = {}
    queue = list(names)
    while queue:
        name = re.sub(r"[-_.]+", "-", queue.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            # Of another platform, or of a version of Python that this is not.
            continue
        for line in found[name].requires or ():
            needed, _, condition = line.partition(";")
            if "extra" not in condition:
                queue.append(re.split(r"[\s\[<>=!~(]", needed.strip(), maxsplit=1)[0])
    for each in found.values():
        for file in each.files or ():
            top = file.parts[0]
            place = folder / top
            if top not in ("..", "bin", "__pycache__") and not place.is_symlink():
                place.symlink_to(Path(str(each.locate_file(top))))
    return set(found)
