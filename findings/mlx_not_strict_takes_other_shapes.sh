#!/usr/bin/env bash
# load_weights with strict=False also stops checking shapes: a layer of 2 inputs becomes one of 7.
#
# Packages: mlx[cpu]==0.32.4, numpy==2.4.6 (Python 3.11)
# Expected: strict=False forgives missing and surplus names, as in torch; a present name with a wrong shape is still
#   an error.
# Seen: The weight is replaced by whatever the file holds: Linear(2, 3) with a stored 5 x 7 weight says afterwards
#   that it has 7 inputs and 5 outputs.
# Why it matters: Loading another person's checkpoint without its biases is the usual reason for strict=False; a
#   transposed weight, (in, out) for (out, in), then passes unseen.
# Way out: Compare shapes by hand before loading.
# Output:
#   strict: Expected shape (3, 2) but received shape (5, 7) for parameter weight
#   not strict: Linear(input_dims=2, output_dims=3, bias=True) is now Linear(input_dims=7, output_dims=5, bias=True)
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'mlx[cpu]==0.32.4' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import mlx.core as mx
import mlx.nn as nn

layer = nn.Linear(2, 3)
try:
    layer.load_weights([("weight", mx.ones((5, 7))), ("bias", mx.ones(3))])
    refused = ""
except ValueError as error:
    refused = str(error)
before = str(layer)
layer.load_weights([("weight", mx.ones((5, 7)))], strict=False)
print("strict:", refused or "loaded")
print(f"not strict: {before} is now {layer}")
if not (refused and tuple(layer.weight.shape) == (5, 7)):
    raise SystemExit("CHANGED: the shape is checked in both cases, or in neither")
print("unchanged")
PYTHON
