"""Tables that Spark alone can read, of a warehouse or of its catalog, as Delta tables of the lake."""

from __future__ import annotations

import logging

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from gnnscale.config import Settings, copied_digest, copied_from, copied_tables, copy_record, copy_table
from gnnscale.etl.sources.jdbc_tables import read_warehouse, unreadable_table
from gnnscale.etl.sources.spark_frames import catalog_frame, frame_digest
from gnnscale.etl.spark.connect import SPARK_FAULTS
from gnnscale.etl.spark.write_tables import write_table
from gnnscale.lake import CATALOG, WAREHOUSE, Lake
from gnnscale.schema import LakeError

log = logging.getLogger(__name__)

KEPT_DAYS = 7
"""Days that files of earlier copies stay, for who may still read them."""


def copy_to_lake(session: SparkSession, lake: Lake, settings: Settings, name: str) -> None:
    """Copy a table to the lake, unless the lake has a copy of the same rows: then that stays as it is.

    Args:
        session: Spark.
        lake: gets the copy, in one commit.
        settings: sections ``tables`` and ``warehouse`` count.
        name: of the table.

    Raises:
        LakeError: there is no such table or driver, or the database can't be reached.
    """
    frame = _read(session, settings, name)
    # Read once: what is compared is what is written.
    held = frame.persist(StorageLevel.DISK_ONLY)
    try:
        digest = frame_digest(held)
        if digest == copied_digest(lake, settings, name):
            log.info("table '%s' has not changed at %s", name, copied_tables(settings)[name])
            return
        version = write_table(lake, copy_table(name), held)
        record = {**copied_from(settings, name), "digest": digest, "version": version}
        lake.write_record(copy_record(name), record)
        lake.vacuum(copy_table(name), KEPT_DAYS)
        log.info("table '%s' was copied from %s", name, copied_tables(settings)[name])
    except (*SPARK_FAULTS, LakeError) as error:
        raise unreadable_table(name, settings.warehouse, error) from None
    finally:
        held.unpersist()


def _read(session: SparkSession, settings: Settings, name: str) -> DataFrame:
    source = copied_tables(settings)[name]
    if source.startswith(WAREHOUSE):
        assert settings.warehouse is not None
        return read_warehouse(session, name, settings.warehouse, source.removeprefix(WAREHOUSE))
    place = source.removeprefix(CATALOG)
    frame = catalog_frame(session, place)
    if frame is None:
        raise LakeError(f"table '{name}': Spark's catalog has no table '{place}' that may be read, nor is it a file")
    return frame
