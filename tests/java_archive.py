"""The JVMs of the tests: made to start soon, for there are many of them and none lives long.

``python -m tests.java_archive`` keeps the classes that Spark loads as they lie in memory (class-data sharing of the
JVM), which halves what starting Spark takes; ``make test`` does so once for a version of Java and of Spark.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "build"
QUICK = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:-UseCodeCacheFlushing -XX:+UseSerialGC"
"""The quick compiler is enough for them, and room for all that it compiles."""


@cache
def archive_path() -> Path:
    """Where the classes of this Java and this Spark are, or would be."""
    java = os.environ.get("JAVA_HOME") or shutil.which("java") or ""
    spark = find_spec("pyspark")
    content = json.dumps([str(Path(java).resolve()), version("pyspark"), str(spark and spark.origin)])
    return FOLDER / f"spark-{hashlib.sha256(content.encode()).hexdigest()[:12]}.jsa"


def java_options() -> str:
    """Options of a JVM; with the archive where it is there. A JVM that it does not fit goes on without it."""
    archive = archive_path()
    return f"{QUICK} -XX:SharedArchiveFile={archive}" if archive.exists() else QUICK


def make_archive() -> None:
    """Build a small graph, and keep the classes that it took."""
    from pyspark import SparkContext

    from gnnscale.config import SparkSettings, build_settings
    from gnnscale.etl.graph.graph_stage import build_graph
    from gnnscale.etl.labels.label_stage import build_labels
    from gnnscale.etl.spark.session import open_session
    from gnnscale.lake import Lake
    from tests.shop import SPARK_SECTION, make_shop

    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        kept = Path(place) / "spark.jsa"
        os.environ["SPARK_SUBMIT_OPTS"] = f"{QUICK} -XX:ArchiveClassesAtExit={kept} -Xlog:cds=off -Xlog:cds+dynamic=off"
        settings = build_settings(make_shop(place))
        lake, spark = Lake(settings.lake.uri), open_session(SparkSettings(**SPARK_SECTION), "gnnscale tests")
        build_labels(spark, lake, settings, build_graph(spark, lake, settings))
        process, gateway = SparkContext._gateway.proc, SparkContext._gateway
        spark.stop()
        gateway.shutdown()
        # The JVM ends with its standard input, and writes the archive then.
        process.stdin.close()
        process.wait(300)
        if kept.exists():
            # Another test run may be looking.
            partial = archive_path().with_suffix(f".{os.getpid()}")
            shutil.copyfile(kept, partial)
            partial.replace(archive_path())


if __name__ == "__main__":
    if not archive_path().exists():
        try:
            make_archive()
        except (OSError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"Spark starts without an archive of its classes: {error}\n")
