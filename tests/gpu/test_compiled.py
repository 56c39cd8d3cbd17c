"""The kernels compile for the GPUs that clusters have; that takes no GPU, only Triton's own assembler."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from gnnscale.retrieval.index.gpu.compared import width_for
from gnnscale.retrieval.index.gpu.fused import STAGES, STEPS, TILE, WARPS, _append, _scan, _score, chunk_of
from gnnscale.sampling.backends.triton.device_features import _gather
from gnnscale.sampling.backends.triton.neighbor_kernel import _sample

# Bytes that a block of threads may have, by the programming guide of CUDA.
SHARED = {80: 166_912, 90: 232_448}[int(sys.argv[1])]

def build(kernel, types, constants, warps, stages=3):
    signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    # Torch's tensors begin at multiples of 16 bytes, which decides how they are loaded.
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(signature.values()) if kind.startswith("*")}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    target = GPUTarget("cuda", int(sys.argv[1]), 32)
    built = triton.compile(source, target=target, options={"num_warps": warps, "num_stages": stages})
    assert built.asm["cubin"]
    assert built.metadata.shared <= SHARED, (kernel, constants, built.metadata.shared)

words = dict.fromkeys(("neighbors", "stamps", "frontier", "anchors", "nodes", "times"), "*i32")
words |= {**dict.fromkeys(("indptr", "keys", "stream", "edges"), "*i64"), "rows": "i32", "width": "i32"}
for strategy in (0, 1, 2):
    for fanout, columns, block, cap in ((1, 1, 1024, "i32"), (10, 16, 64, "i64")):
        types = {**words, "cap": cap, **({"cumulative": "*i64"} if strategy == 2 else {"valid_until": "*i32"})}
        constants = {"STRATEGY": strategy, "FANOUT": fanout, "COLUMNS": columns, "BLOCK": block}
        constants["OF_SEEDS"] = strategy == 1
        build(_sample, types, {**constants, ("valid_until" if strategy == 2 else "cumulative"): None}, 2)
kinds = [("fp32", "i32", "fp16"), ("fp16", "i64", "bf16"), ("bf16", "i32", "fp32"), ("i8", "i64", "fp32")]
kinds += [("i32", "i32", "i32")]
for stored, node, result in kinds:
    types = {"values": f"*{stored}", "rows": f"*{node}", "out": f"*{result}", "count": "i32", "dims": "i32"}
    types |= {"scale": "*fp32"} if stored == "i8" else {}
    constants = {"COLUMNS": 128, "BLOCK": 8, "WHOLE": stored == "i32", **({} if stored == "i8" else {"scale": None})}
    build(_gather, types, {**constants, "slots": None, "hot": None}, 4)
    build(_gather, {**types, "slots": "*i32", "hot": f"*{stored}"}, constants, 4)

types = {"queries": "*bf16", "targets": "*bf16", **dict.fromkeys(("slack", "limits", "lengths"), "*fp32")}
types |= dict.fromkeys(("hits", "found", "counts", "positions"), "*i32")
types |= dict.fromkeys(("rows", "start", "stop", "room"), "i32")
tile = {"QUERIES": TILE[0], "TARGETS": TILE[1], "WIDEN": False}
widths = sorted({width_for(channels) for channels in range(1, 257)})
for width, halves in (*((width, None) for width in widths), (128, "*fp32")):
    constants = {**tile, "WIDTH": width, "CHUNK": chunk_of(width), **({} if halves else {"halves": None})}
    given = {**types, "halves": halves} if halves else types
    build(_scan, given, {**constants, "STEPS": STEPS}, WARPS, STAGES)
    if width in (128, 256) and not halves:
        build(_append, given, constants, WARPS, STAGES)
types = {**dict.fromkeys(("queries", "vectors", "scores"), "*fp32"), "positions": "*i32", "counts": "*i32"}
types |= {"width": "i32", "stride": "i64"}
for channels, euclidean in ((1, False), (128, True), (200, False)):
    chunk = min(128, triton.next_power_of_2(channels))
    build(_score, types, {"CHANNELS": channels, "CHUNK": chunk, "SCORED": 32, "EUCLIDEAN": euclidean}, 4)
"""


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernels_compile(capability, tmp_path):
    # A process of its own: what is interpreted in this one is not compiled in it.
    left_out = ("TRITON_INTERPRET",)
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # Triton reads the kernels' sources from their files, and the program's from its.
    (tmp_path / "build.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "build.py"), str(capability)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2_000:]
