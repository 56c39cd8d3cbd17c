"""A cosmetics shop's log, as CSV by month: ``python jobs/generate_cosmetics.py OUT --users N --events N``."""

import argparse
import logging

from gnnscale.collaborative import ShopLogSettings, write_shop_log
from gnnscale.schema import GnnscaleError
from gnnscale.tracking import configure_logging

log = logging.getLogger("gnnscale.generate_cosmetics")


def main() -> None:
    """Read the options and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", metavar="OUT", help="folder that gets the files")
    parser.add_argument("--users", type=int, default=1_640_000, metavar="N", help="users; default: %(default)s")
    parser.add_argument("--products", type=int, default=54_600, metavar="N", help="products; default: %(default)s")
    parser.add_argument("--events", type=int, default=20_000_000, metavar="N", help="about; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    out = options.pop("out")
    configure_logging()
    try:
        files = write_shop_log(out, ShopLogSettings(**options))
    except GnnscaleError as error:
        parser.error(str(error))
    log.info("wrote %s", ", ".join(path.name for path in files))


if __name__ == "__main__":
    main()
