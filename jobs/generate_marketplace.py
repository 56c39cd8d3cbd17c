"""A marketplace of one-of-a-kind items, as Parquet: ``python jobs/generate_marketplace.py OUT --items N``."""

import argparse
import logging

from gnnscale.etl import MarketplaceSettings, write_marketplace
from gnnscale.schema import GnnscaleError
from gnnscale.tracking import configure_logging

log = logging.getLogger("gnnscale.generate_marketplace")


def main() -> None:
    """Read the options and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", metavar="OUT", help="folder that gets the files")
    parser.add_argument("--items", type=int, default=12_000, metavar="N", help="items; default: %(default)s")
    parser.add_argument("--days", type=int, default=180, metavar="N", help="days; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    out = options.pop("out")
    configure_logging()
    try:
        files = write_marketplace(out, MarketplaceSettings(**options))
    except GnnscaleError as error:
        parser.error(str(error))
    log.info("wrote %s", ", ".join(path.name for path in files))


if __name__ == "__main__":
    main()
