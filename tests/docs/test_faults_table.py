"""Every test that the table of faults names exists."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT

ROW = re.compile(r"^\| (?!input|---)(.+) \| (.+) \| (.+) \|$", re.M)
NAMED = re.compile(r"`([\w/]+\.py)`(?: `(\w+)`)?")


def test_every_line_has_tests_that_exist():
    # Below that, tables tell what campaigns have measured.
    rows = ROW.findall((ROOT / "docs/faults.md").read_text().partition("## Campaigns")[0])
    assert len(rows) > 70
    for line, _, tests in rows:
        named = NAMED.findall(tests)
        assert named, f"no test holds: {line}"
        for file, name in named:
            content = (ROOT / "tests" / file).read_text()
            assert not name or re.search(rf"^ *def {name}\(", content, re.M), f"{file} has no {name}: {line}"
