"""Embeddings to indexes of the targets: ``python jobs/build_index.py RECIPE [key=value ...]``."""

import sys

from gnnscale.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["index", *sys.argv[1:]]))
