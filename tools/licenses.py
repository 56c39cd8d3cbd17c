"""The licenses of what ``pip install gnnscale`` installs, as a page: ``python tools/licenses.py`` writes it anew."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution, metadata
from pathlib import Path

from packaging.requirements import Requirement

PAGE = Path(__file__).resolve().parents[1] / "docs/licenses.md"

KNOWN = {"huey": "MIT", "ray": "Apache-2.0", "skops": "MIT", "torch-geometric": "MIT"}
"""Of packages that say it in their license file alone."""

HEAD = """# Licenses

gnnscale is under Apache-2.0. `pip install gnnscale` installs, beside it, these packages, as tested; what each says of
itself. `python tools/licenses.py` writes this page anew.

| package | version | license |
|---|---|---|
"""


def installed_packages(root: str = "gnnscale") -> dict[str, str]:
    """What a package needs, and what that needs, where it is installed: name -> version. Extras count where needed."""
    found: dict[str, str] = {}
    queue: list[tuple[str, frozenset[str]]] = [(root, frozenset())]
    seen = set(queue)
    while queue:
        name, extras = queue.pop()
        try:
            needed = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        if name != root:
            found[normalized(name)] = distribution(name).version
        for line in needed:
            wanted = Requirement(line)
            marker = wanted.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                entry = (normalized(wanted.name), frozenset(wanted.extras))
                if entry not in seen:
                    seen.add(entry)
                    queue.append(entry)
    return dict(sorted(found.items()))


def normalized(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def license_of(name: str) -> str:
    """What a package says of its license, in a few words."""
    said = metadata(name)
    if expression := said.get("License-Expression"):
        return expression
    classes = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or [] if line.startswith("License ::")]
    named = [words for words in classes if words != "OSI Approved"]
    short = (said.get("License") or "").strip().splitlines()
    return ", ".join(named) or (short[0][:60] if short else "") or KNOWN.get(normalized(name), "see the package")


def write_page() -> str:
    """The page's text."""
    rows = (f"| {name} | {version} | {license_of(name)} |" for name, version in installed_packages().items())
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(write_page())
