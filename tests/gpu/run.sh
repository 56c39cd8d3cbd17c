#!/usr/bin/env bash
# Everything that a GPU has to show, in nine minutes: ceilings, tests, sampler, train, retrieval, each under a time limit
# of its own. What is not there is skipped, with the reason; without a GPU the tests run in Triton's interpreter.
#
#     bash tests/gpu/run.sh [--out FOLDER] [--tests FILE ...]
#
# FOLDER (gpu-figures) gets figures.jsonl, a JSON object a figure, and a log of each part. PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec ${PYTHON:-python3} -m tests.gpu.run_parts "$@"
