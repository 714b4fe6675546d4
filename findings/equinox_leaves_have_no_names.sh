#!/usr/bin/env bash
# Saved leaves are matched by order alone: renamed or reordered fields load into each other's place.
#
# Packages: equinox==0.13.8, jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6 (Python 3.11)
# Expected: Loading is strict about names, as it is about shapes and dtypes, where it tells the path of the leaf that
#   differs.
# Seen: The file holds arrays one after the other. Where W_Q and W_K have changed places in the class, queries are
#   loaded as keys without a word; a model with fewer leaves takes the first ones and leaves the rest unread.
# Why it matters: W_Q, W_K and W_V have one shape. After a harmless reordering of fields old checkpoints load, run and
#   show another circuit.
# Way out: Store the names beside the leaves and compare them on loading.
# Output:
#   saved W_Q = 1, W_K = 0
#   loaded after a change of order W_Q = 0, W_K = 1
#   loaded with one leaf less QueriesOnly(W_Q=f32[2,2])
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'equinox==0.13.8' 'jax==0.10.2' 'jaxlib==0.10.2' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import io

import equinox as eqx
import jax
import jax.numpy as jnp


class Attention(eqx.Module):
    W_Q: jax.Array
    W_K: jax.Array


class Reordered(eqx.Module):
    W_K: jax.Array
    W_Q: jax.Array


class QueriesOnly(eqx.Module):
    W_Q: jax.Array


file = io.BytesIO()
eqx.tree_serialise_leaves(file, Attention(W_Q=jnp.ones((2, 2)), W_K=jnp.zeros((2, 2))))
blank = jnp.zeros((2, 2))
loaded = []
for template in (Reordered(blank, blank), QueriesOnly(blank)):
    file.seek(0)
    loaded.append(eqx.tree_deserialise_leaves(file, template))
print("saved W_Q = 1, W_K = 0")
print(f"loaded after a change of order W_Q = {loaded[0].W_Q[0, 0]:.0f}, W_K = {loaded[0].W_K[0, 0]:.0f}")
print(f"loaded with one leaf less {loaded[1]}")
if not (loaded[0].W_Q.sum() == 0 and loaded[0].W_K.sum() == 4):
    raise SystemExit("CHANGED: leaves are matched by name")
print("unchanged")
PYTHON
