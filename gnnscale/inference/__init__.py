"""Vectors and scores of every entity and target."""

from gnnscale.inference.embed import embed

__all__ = ["embed"]
