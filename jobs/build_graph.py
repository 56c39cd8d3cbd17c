"""Raw tables to nodes and edges, on Spark: ``spark-submit jobs/build_graph.py RECIPE [key=value ...]``."""

import sys

from gnnscale.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["graph", *sys.argv[1:]]))
