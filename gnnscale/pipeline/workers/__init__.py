"""What runs in Ray: training workers, embedding actors, index shards, searches."""

import lazy_loader

# A stage that Spark does should not load torch and Ray to be known.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
