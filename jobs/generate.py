"""A graph of any size, as Parquet tables: ``spark-submit jobs/generate.py OUT --users N --items N --events N``."""

import argparse
import logging

from gnnscale.config import SparkSettings
from gnnscale.etl import GeneratorSettings, generate_tables, open_session
from gnnscale.schema import GnnscaleError
from gnnscale.tracking import configure_logging

log = logging.getLogger("gnnscale.generate")


def main() -> None:
    """Read the options and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", metavar="OUT", help="folder or URI that gets users/, items/ and events/")
    for table in ("users", "items", "events"):
        parser.add_argument(f"--{table}", type=int, required=True, metavar="N", help="rows")
    parser.add_argument("--keys", choices=["int", "string"], default="int", help="type of the keys; default: int")
    parser.add_argument("--hub", type=float, default=0.0, metavar="SHARE", help="share of the events of one item")
    parser.add_argument("--interests", type=int, default=0, metavar="N", help="most entries of users' list column")
    parser.add_argument("--vector", type=int, default=0, metavar="N", help="numbers in items' vector column")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--master", default="local[*]", help="Spark master, where spark-submit names none")
    options = vars(parser.parse_args())
    out, master, hub = options.pop("out"), options.pop("master"), options.pop("hub")
    configure_logging()
    try:
        settings = GeneratorSettings(**options, hub_share=hub)
        files = generate_tables(open_session(SparkSettings(master=master), "generate"), settings, out)
    except GnnscaleError as error:
        parser.error(str(error))
    for table in ("users", "items", "events"):
        rows = [file.rows for file in files if file.table == table]
        log.info("%s: %s rows in %d files", table, f"{sum(rows):,}", len(rows))


if __name__ == "__main__":
    main()
