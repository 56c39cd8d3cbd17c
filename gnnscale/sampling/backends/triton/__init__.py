"""The neighbor sampler on a GPU, in Triton: the same samples as the CPU's, bit for bit.

The only code of the samplers that imports triton; nothing imports it but who asks for a GPU.
"""

from gnnscale.schema import ConfigError

try:
    import triton  # noqa: F401
except ImportError:
    raise ConfigError("sampling on a GPU needs triton; install it with: pip install gnnscale[gpu]") from None

from gnnscale.sampling.backends.triton.device_block import DeviceBlock, DeviceHop
from gnnscale.sampling.backends.triton.device_features import FeatureTable, gather, quantise_columns
from gnnscale.sampling.backends.triton.device_sampler import GPUNeighborSampler
from gnnscale.sampling.backends.triton.neighbor_kernel import AdjacencyTensors, sample_neighbors
from gnnscale.sampling.backends.triton.placement import Memory, Placement, choose_places

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
