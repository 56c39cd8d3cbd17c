"""What README and the docs tell a reader to type."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)
INLINE = re.compile(r"`((?:gnnscale|make|python -m)\s[^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, and what is in it."""

    page: str
    line: int
    content: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Blocks of a language, page by page."""
    found = []
    for page in PAGES:
        text = page.read_text()
        matches = [match for match in FENCE.finditer(text) if match[1] == language]
        found += [Block(page.name, text[: match.start()].count("\n") + 1, match[2]) for match in matches]
    return found


def commands() -> list[tuple[str, list[str]]]:
    """Commands of all pages as words, each once, with the place of the first: of shell blocks, and inline."""
    found: dict[tuple[str, ...], str] = {}
    for block in blocks("bash"):
        for line in _joined(block.content):
            if words := shlex.split(line, comments=True):
                found.setdefault(tuple(words), str(block))
    for page in PAGES:
        text = page.read_text()
        for match in INLINE.finditer(FENCE.sub("", text)):
            words = shlex.split(" ".join(match[1].split()))
            found.setdefault(tuple(words), page.name)
    return [(place, list(words)) for words, place in found.items()]


def _joined(content: str) -> list[str]:
    """Lines of a shell, those of an open quotation together."""
    lines: list[str] = []
    for line in content.splitlines():
        if lines and lines[-1].count('"') % 2:
            lines[-1] += " " + line.strip()
        elif line.strip():
            lines.append(line)
    return lines
