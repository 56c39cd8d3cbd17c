"""Labelled examples to sampled subgraphs, on Spark: ``spark-submit jobs/build_shards.py RECIPE [key=value ...]``."""

import sys

from gnnscale.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["shards", *sys.argv[1:]]))
