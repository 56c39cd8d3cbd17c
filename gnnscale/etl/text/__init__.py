"""Texts to vectors: one small interface, and an encoder a file behind it."""

from gnnscale.etl.text.hashed_encoder import HASHED_DIMS, HashedEncoder
from gnnscale.etl.text.opened_encoder import open_encoder
from gnnscale.etl.text.sentence_encoder import SentenceEncoder
from gnnscale.etl.text.text_encoder import TextEncoder, TextVectors
from gnnscale.etl.text.word_vectors import WordVectorEncoder

__all__ = [
    "HASHED_DIMS",
    "HashedEncoder",
    "SentenceEncoder",
    "TextEncoder",
    "TextVectors",
    "WordVectorEncoder",
    "open_encoder",
]
