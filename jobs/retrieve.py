"""Embeddings to ranked predictions: ``python jobs/retrieve.py RECIPE [key=value ...]``."""

import sys

from gnnscale.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["retrieve", *sys.argv[1:]]))
