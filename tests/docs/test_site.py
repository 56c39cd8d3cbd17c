"""The site is built with its links checked, and says every key of the configuration."""

import logging
import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

from tests.docs.pages import ROOT


def built(site: Path, **changes: object) -> Path:
    logging.getLogger("mkdocs").propagate = False
    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(site), **changes))
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return built(tmp_path_factory.mktemp("site"))


def test_every_page_of_the_docs_is_on_the_site(site) -> None:
    pages = [page.stem for page in (ROOT / "docs").glob("*.md")]
    assert len(pages) > 10 and all((site / name / "index.html").is_file() for name in pages)
    assert "PREDICT LIST_DISTINCT" in (site / "index.html").read_text()


def test_the_settings_are_those_of_the_classes(site) -> None:
    from gnnscale.config import Settings

    text = (site / "settings/index.html").read_text()
    for section in Settings.model_json_schema()["$defs"].values():
        for key in section.get("properties", ()):
            assert f"<code>{key}</code>" in text, key
    assert "half-life" in text or "age at which an event counts half" in text


def test_the_reference_shows_what_python_offers(site) -> None:
    import gnnscale

    text = re.sub(r"<[^>]+>", "", (site / "reference/index.html").read_text())
    assert all(name in text for name in gnnscale.__all__ if not name.startswith("_"))
    assert ":meth:" not in text and "Describe tables by their columns." in text


def test_the_examples_are_shown_whole(site) -> None:
    text = (site / "examples/index.html").read_text()
    scripts = list((ROOT / "examples").glob("*.py"))
    assert len(scripts) >= 5 and all(f'id="{script.stem}"' in text for script in scripts)


def test_a_link_to_nowhere_stops_the_build(tmp_path) -> None:
    docs = tmp_path / "docs"
    (docs / "assets").mkdir(parents=True)
    (docs / "assets/site.css").write_text("")
    (docs / "broken.md").write_text("# Broken\n\n[nowhere](gone.md)\n")
    with pytest.raises(Abort):
        built(tmp_path / "site", docs_dir=str(docs), nav=["broken.md"], plugins=[])
