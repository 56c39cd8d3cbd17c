"""Look-up tables of embeddings that are too large to be trained as plain weights."""

from gnnscale.nn.embedding.embedding_init import EmbeddingInit, start_rows
from gnnscale.nn.embedding.row_adagrad import RowAdagrad
from gnnscale.nn.embedding.sharded_embedding import ProcessGroup, ShardedEmbedding, sharded_tables

__all__ = ["EmbeddingInit", "ProcessGroup", "RowAdagrad", "ShardedEmbedding", "sharded_tables", "start_rows"]
