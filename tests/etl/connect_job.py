"""Graph and labels on a Spark Connect server, in a process without a JVM: ``connect_job.py RECIPE ADDRESS``."""

import json
import sys

from pyspark import SparkContext
from pyspark.sql import SparkSession

from gnnscale.cli.main import main
from gnnscale.etl.spark.connect import is_connect, task_slots

recipe, address = sys.argv[1:]
# A session of the run's own, which ends with it.
statuses = [main(["graph", recipe, f"spark.master={address}"])]
left = SparkSession.getActiveSession()

# A session that is there, as a notebook has one: the run works beside it.
session = SparkSession.builder.remote(address).getOrCreate()
session.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
session.range(3).createOrReplaceTempView("own")
statuses.append(main(["labels", recipe]))
told = {
    "statuses": statuses,
    "closed": left is None,
    "connect": is_connect(session) and SparkSession.getActiveSession() is session,
    "zone": session.conf.get("spark.sql.session.timeZone"),
    "rows": session.table("own").count(),
    "slots": task_slots(session),
    "jvm": SparkContext._gateway is not None,
}
session.stop()
sys.stdout.write(f"\n{json.dumps(told)}\n")
