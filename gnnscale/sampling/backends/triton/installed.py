"""Triton, or an error that says which extra brings it."""

from gnnscale.schema import ConfigError

try:
    import triton
    import triton.language as tl
except ImportError:
    raise ConfigError("sampling on a GPU needs triton; install it with: pip install gnnscale[gpu]") from None

__all__ = ["tl", "triton"]
