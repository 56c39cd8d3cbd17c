"""Tables of a warehouse, read by Spark over JDBC."""

from __future__ import annotations

import re

from pyspark.sql import DataFrame, SparkSession

from gnnscale.config import WarehouseSettings
from gnnscale.etl.spark.connect import SPARK_FAULTS
from gnnscale.schema import LakeError, mask_text


def read_warehouse(session: SparkSession, name: str, warehouse: WarehouseSettings, place: str) -> DataFrame:
    """A table of the warehouse as a frame; its columns are asked for, and no row.

    Raises:
        LakeError: there is no such table or driver, or the database can't be reached.
    """
    options = {**warehouse.options, "url": warehouse.url, "dbtable": place}
    if warehouse.driver is not None:
        options["driver"] = warehouse.driver
    try:
        return session.read.format("jdbc").options(**options).load()
    except SPARK_FAULTS as error:
        raise unreadable_table(name, warehouse, error) from None


def unreadable_table(name: str, warehouse: WarehouseSettings | None, error: Exception) -> LakeError:
    """One line that says what is wrong, without Spark's codes and whatever is secret.

    Args:
        name: of the table.
        warehouse: that it may be in.
        error: of Spark's, or of the lake's.
    """
    text = mask_text(str(error))
    jar = "give its JAR to Spark, as in spark.conf={spark.jars: driver.jar}"
    if warehouse and warehouse.driver is not None and "java.lang.ClassNotFoundException" in text:
        return LakeError(f"table '{name}': Spark has no class {warehouse.driver} (warehouse.driver); {jar}")
    if warehouse and "No suitable driver" in text:
        url = mask_text(warehouse.url)
        return LakeError(f"table '{name}': Spark has no JDBC driver for {url}; {jar}, or its class in warehouse.driver")
    lines = [line.strip(" :") for line in text.splitlines() if not line.startswith("An error occurred while calling")]
    reason = re.sub(r"^[\w.]+Exception: |\[[A-Z_.]+\] ?| ?SQLSTATE: \w+$", "", lines[0]).strip()
    return LakeError(f"table '{name}' can't be read: {reason}")
