"""Labelled examples to a model, on Ray Train: ``ray job submit -- python jobs/train.py RECIPE [key=value ...]``."""

import sys

from gnnscale.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
