"""Tables to graphs, labels and subgraph shards on Spark: the only code that imports pyspark."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
