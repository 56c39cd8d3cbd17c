"""Search on a GPU: bf16 products choose, fp32 ones rank, and no matrix of scores is written.

Needs torch alone, and Triton where a CUDA device searches; the form by clusters needs numba, too. Neither FAISS nor
anything of the lake is imported.
"""

from gnnscale.retrieval.index.gpu.device_index import DeviceIndex
from gnnscale.retrieval.index.gpu.plan import SearchPlan

__all__ = ["DeviceIndex", "SearchPlan"]
