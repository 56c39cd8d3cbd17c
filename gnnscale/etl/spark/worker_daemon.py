"""The process that Spark forks its Python workers from, with what they need there already.

Each worker would import it by itself: two seconds of a core, for every task slot and again after a minute's rest. It
would then read the directory of PySpark's zip file once for each package in it, and go through all that is imported
after every task, for what is no longer used. Spark starts this in the place of ``pyspark.daemon``, by
``spark.python.daemon.module``.
"""

from __future__ import annotations

import gc
import importlib
import sys
from contextlib import suppress
from typing import Final
from zipimport import zipimporter

from pyspark.daemon import manager

WORKER: Final = "pyspark.worker"
"""Of the kinds of worker, the one that runs functions on rows; the others look up data sources, and need none of it."""

NEEDED: Final = (
    "pandas",
    "pyspark.worker",
    "gnnscale.etl.ids.key_ids",
    "gnnscale.etl.nodes.list_columns",
    "gnnscale.etl.edges.edge_sort",
    "gnnscale.etl.spark.write_tables",
)
"""What functions on rows are pickled by the name of, and what PySpark asks for.

Their only threads are the allocator's, which starts its own again after a fork.
"""


def prepare() -> None:
    """Import what workers need, and leave nothing that they would have to look at again."""
    for name in NEEDED:
        # What can't be imported is the error of who uses it.
        with suppress(ImportError):
            importlib.import_module(name)
    with suppress(ImportError):
        _load_kernel()
    for path, importer in list(sys.path_importer_cache.items()):
        if isinstance(importer, zipimporter):
            del sys.path_importer_cache[path]
    gc.collect()
    gc.freeze()


def _load_kernel() -> None:
    """Have the kernel that every graph needs compiled, or loaded, which sets up numba's compiler as well."""
    import pyarrow as pa

    from gnnscale.etl.ids.key_hash import fingerprint_keys

    fingerprint_keys(pa.array(["key"]))


if __name__ == "__main__":
    if sys.argv[1:2] == [WORKER]:
        prepare()
    manager()
