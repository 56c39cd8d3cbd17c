"""Tables of a warehouse or a catalog as the lake has copied them, and the configuration that reads the copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gnnscale.config.sections.settings import Settings
from gnnscale.lake import CATALOG, WAREHOUSE, Lake
from gnnscale.schema import LakeError, mask_text

COPIES: Final = "_copies"
"""Folder of a lake that has the copies; names that begin so are no table of its owner."""


def copied_tables(settings: Settings) -> dict[str, str]:
    """Tables that Spark alone can read -> their sources, ``warehouse://<table>`` or ``catalog://<table>``."""
    sources = {name: table.source for name, table in settings.tables.items()}
    return {name: uri for name, uri in sources.items() if uri.startswith((WAREHOUSE, CATALOG))}


def copy_table(name: str) -> str:
    """The table of the lake that holds the copy of one."""
    return f"{COPIES}/{name}"


def copy_record(name: str) -> str:
    """The record of the lake that says what was copied."""
    return f"copy_{name}"


def copied_from(settings: Settings, name: str) -> dict[str, Any]:
    """Which rows a copy has to hold: of what table, and of what database; as records keep it, without secrets."""
    source = copied_tables(settings)[name]
    found = {"source": mask_text(source)}
    if source.startswith(WAREHOUSE):
        assert settings.warehouse is not None
        found["url"] = mask_text(settings.warehouse.url)
    return found


def copied_digest(lake: Lake, settings: Settings, name: str) -> str | None:
    """A digest of the rows that the copy holds; None where there is no copy, or one of something else."""
    record, table = lake.read_record(copy_record(name)), copy_table(name)
    if record is None or not lake.exists(table) or lake.version(table) != record["version"]:
        return None
    return str(record["digest"]) if copied_from(settings, name).items() <= record.items() else None


def missing_copies(lake: Lake, settings: Settings) -> Sequence[str]:
    """Tables that Spark alone can read, of which the lake has no copy."""
    return [name for name in copied_tables(settings) if copied_digest(lake, settings, name) is None]


def with_copies(lake: Lake, settings: Settings) -> Settings:
    """The configuration with the copies as sources, and nothing of the warehouse.

    Raises:
        LakeError: a table was not copied yet.
    """
    if missing := missing_copies(lake, settings):
        raise LakeError(
            f"table '{missing[0]}': lake {lake.uri} has no copy of {copied_tables(settings)[missing[0]]} yet; the "
            "graph stage makes one"
        )
    copies = {name: {"source": lake.table_uri(copy_table(name))} for name in copied_tables(settings)}
    tables = {name: table.model_copy(update=copies.get(name, {})) for name, table in settings.tables.items()}
    return settings.model_copy(update={"tables": tables, "warehouse": None})
