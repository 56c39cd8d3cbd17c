"""Look-up tables of embeddings that are too large to be trained as plain weights."""

from gnnscale.nn.embedding.row_adagrad import RowAdagrad
from gnnscale.nn.embedding.sharded import Peers, ShardedEmbedding, sharded_tables
from gnnscale.nn.embedding.start import StartLaw, start_rows

__all__ = ["Peers", "RowAdagrad", "ShardedEmbedding", "StartLaw", "sharded_tables", "start_rows"]
