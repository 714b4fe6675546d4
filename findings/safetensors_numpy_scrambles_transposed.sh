#!/usr/bin/env bash
# safetensors.numpy writes a transposed array in memory order under its own shape: another matrix is read back.
#
# Packages: safetensors==0.8.0, numpy==2.4.6 (Python 3.11)
# Expected: What is saved is what is loaded, for every array; or a refusal, as safetensors.torch refuses a tensor that
#   is not contiguous.
# Seen: The bytes are written as they lie in memory and the shape as numpy shows it. A transposed 2 x 3 array comes
#   back as other numbers in the right shape, without a word. np.stack of transposed arrays is enough to make one.
# Why it matters: Weights are transposed between conventions all the time, (out, in) to (in, out). The file is valid,
#   its shapes are right, and the network in it is noise.
# Way out: np.asarray(x, order='C') before saving: the toolkit does so with every checkpoint and every stored result.
# Output:
#   saved  [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]
#   loaded [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
#   np.stack of two of them: equal False - in C order first: equal True
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'safetensors==0.8.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
from safetensors.numpy import load, save

matrix = np.arange(6.0).reshape(3, 2).T
stacked = np.stack([matrix, matrix])
back = load(save({"matrix": matrix, "stacked": stacked}))
sound = load(save({"matrix": np.asarray(matrix, order="C")}))["matrix"]
print("saved ", matrix.tolist())
print("loaded", back["matrix"].tolist())
print("np.stack of two of them: equal", np.array_equal(back["stacked"], stacked), "- in C order first: equal", np.array_equal(sound, matrix))
if np.array_equal(back["matrix"], matrix) or np.array_equal(back["stacked"], stacked) or not np.array_equal(sound, matrix):
    raise SystemExit("CHANGED: a transposed array comes back as it was")
print("unchanged")
PYTHON
