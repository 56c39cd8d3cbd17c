"""Texts to vectors: one small interface, and an encoder a file behind it."""

from gnnscale.etl.text.hashed_encoder import HASHED_DIMS, HashedEncoder
from gnnscale.etl.text.sentence_encoder import SentenceEncoder
from gnnscale.etl.text.text_encoder import TextEncoder, open_encoder

__all__ = ["HASHED_DIMS", "HashedEncoder", "SentenceEncoder", "TextEncoder", "open_encoder"]
