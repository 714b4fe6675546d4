#!/usr/bin/env bash
# from_bytes with a target checks neither shapes nor dtypes nor what the target lacks.
#
# Packages: flax==0.12.8, jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6 (Python 3.11)
# Expected: The target says what is expected, so a stored matrix of another shape or type is refused, and so is one
#   that the target has no place for.
# Seen: The target's arrays are ignored: shape and dtype are the file's, and keys that the target lacks are dropped in
#   silence. Only a key that the file lacks is refused.
# Why it matters: A checkpoint for p = 97 loads into a model for p = 113 and fails far away, or, where broadcasting
#   allows, does not fail at all.
# Way out: Compare jax.tree.map(jnp.shape, ...) of target and result after loading.
# Output:
#   target {'W_E': ((113, 4), 'bfloat16'), 'W_U': ((4, 113), 'float32')}
#   loaded {'W_E': ((97, 4), 'float32'), 'W_U': ((4, 97), 'float32')}
#   target without W_U: ['W_E']; target with one key more refused: True
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'flax==0.12.8' 'jax==0.10.2' 'jaxlib==0.10.2' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import flax.serialization as serialization
import jax
import jax.numpy as jnp
import numpy as np

stored = serialization.to_bytes({"W_E": jnp.ones((97, 4)), "W_U": jnp.ones((4, 97))})
target = {"W_E": jnp.zeros((113, 4), jnp.bfloat16), "W_U": jnp.zeros((4, 113))}
loaded = serialization.from_bytes(target, stored)
fewer = serialization.from_bytes({"W_E": jnp.zeros((113, 4))}, stored)
try:
    serialization.from_bytes({**target, "W_Q": jnp.zeros(1)}, stored)
    refused = False
except ValueError:
    refused = True
print("target", jax.tree.map(lambda x: (x.shape, str(x.dtype)), target, is_leaf=lambda x: hasattr(x, "shape")))
print("loaded", {name: (value.shape, str(value.dtype)) for name, value in loaded.items()})
print(f"target without W_U: {list(fewer)}; target with one key more refused: {refused}")
if not (loaded["W_E"].shape == (97, 4) and loaded["W_E"].dtype == np.float32 and list(fewer) == ["W_E"] and refused):
    raise SystemExit("CHANGED: the target is now compared with the file")
print("unchanged")
PYTHON
