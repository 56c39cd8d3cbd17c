"""A trained model to values or classes of every entity: ``python jobs/predict.py RECIPE [key=value ...]``."""

import sys

from gnnscale.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
