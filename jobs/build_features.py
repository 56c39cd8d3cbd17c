"""Examples to point-in-time features, on Spark: ``spark-submit jobs/build_features.py RECIPE [key=value ...]``."""

import sys

from gnnscale.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["features", *sys.argv[1:]]))
