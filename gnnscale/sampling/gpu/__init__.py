"""The neighbor sampler on a GPU, in Triton: the same samples as the CPU's, bit for bit.

The only code of the samplers that imports triton; nothing imports it but who asks for a GPU.
"""

from gnnscale.schema import ConfigError

try:
    import triton  # noqa: F401
except ImportError:
    raise ConfigError("sampling on a GPU needs triton; install it with: pip install gnnscale[gpu]") from None

from gnnscale.sampling.gpu.block import DeviceBlock, DeviceHop
from gnnscale.sampling.gpu.features import FeatureTable, gather, quantise_columns
from gnnscale.sampling.gpu.neighbors import AdjacencyTensors, sample_neighbors
from gnnscale.sampling.gpu.placement import Memory, Placement, choose_places
from gnnscale.sampling.gpu.sampler import GPUNeighborSampler

__all__ = [
    "AdjacencyTensors",
    "DeviceBlock",
    "DeviceHop",
    "FeatureTable",
    "GPUNeighborSampler",
    "Memory",
    "Placement",
    "choose_places",
    "gather",
    "quantise_columns",
    "sample_neighbors",
]
