"""The wheel, as a person or a platform gets it: built, put into an empty folder, and run from there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gnnscale.config.load import recipe_names
from gnnscale.pipeline import stage_help
from tools.licenses import PAGE, installed_packages

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = ROOT / "docker/Dockerfile"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's content and nothing else; built and installed without a network."""
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-index", "--no-build-isolation", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)]
    subprocess.run(build, check=True, timeout=120)
    (wheel,) = wheels.glob("*.whl")
    put = [*pip, "install", "--no-index", "--no-deps", "--no-compile", "--target", str(site), str(wheel)]
    subprocess.run(put, check=True, timeout=120)
    return site


def run(site: Path, folder: Path, code: str) -> str:
    """Run a program in a folder with the wheel's content before everything else that is installed."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PROGRAM = """
import sys
from importlib.metadata import distribution
import gnnscale
from gnnscale.config.load import load_settings, recipe_names
(package,) = gnnscale.__path__
assert package.startswith({site!r}), package
print(" ".join(recipe_names()))
points = {{point.name: point for point in distribution("gnnscale").entry_points if point.group == "gnnscale.job"}}
print(" ".join(sorted(points)))
print(load_settings("complete_journey").query.name, points["graph"].load().args)
"""


def test_recipes_and_entry_points_are_in_it_and_taken_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    said = run(installed, tmp_path, PROGRAM.format(site=str(installed))).splitlines()
    assert said[0].split() == recipe_names() and said[1].split() == sorted(stage_help())
    assert said[2] == "next_week_purchases ('graph',)"
    assert list(tmp_path.iterdir()) == []


def test_everything_that_is_read_at_run_time_is_in_it(installed: Path) -> None:
    def files(folder: Path) -> set[str]:
        kept = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path.relative_to(folder)) for path in kept}

    assert files(installed / "gnnscale") == files(ROOT / "gnnscale") | {f"conf/{name}" for name in files(ROOT / "conf")}
    (about,) = installed.glob("gnnscale-*.dist-info")
    assert "Apache" in (about / "licenses/LICENSE").read_text()


def test_what_the_image_copies_and_installs_is_there() -> None:
    text = DOCKERFILE.read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY") and "--from" not in line]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists() and f"!{name}" in ignored
    (python,) = re.findall(r"ARG PYTHON=(\S+)", text)
    assert python in ("3.11", "3.12", "3.13") and PROJECT["requires-python"] == ">=3.11"
    assert "USER gnnscale" in text and not re.search(r"ENV .*(TOKEN|PASSWORD|KEY)", text)


def test_every_package_that_is_installed_with_it_is_on_the_page_of_licenses() -> None:
    """Where this fails, ``python tools/licenses.py`` writes the page anew."""
    listed = set(re.findall(r"^\| ([\w-]+) \| \d", PAGE.read_text(), re.M))
    assert set(installed_packages()) <= listed
    assert "see the package" not in PAGE.read_text()
