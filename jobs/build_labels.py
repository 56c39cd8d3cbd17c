"""Events to labelled examples, on Spark: ``spark-submit jobs/build_labels.py RECIPE [key=value ...]``."""

import sys

from gnnscale.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["labels", *sys.argv[1:]]))
