#!/usr/bin/env bash
# The same tensors and the same metadata give other bytes at each call.
#
# Packages: safetensors==0.8.0, numpy==2.4.6 (Python 3.11)
# Expected: Tensors are sorted in the file, so that equal content makes equal files.
# Seen: The metadata are written in the order of a hash table that is new at each call: five keys gave nearly as many
#   files as calls.
# Why it matters: A hash of a checkpoint is how one tells that two runs are the same. It differs though not one number
#   does.
# Way out: Put all metadata under one key, as one JSON text with sorted keys. The toolkit's checkpoints do.
# Output:
#   20 calls gave 18 different files with five keys, 1 with one key
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
from safetensors.numpy import save

tensors = {"W_E": np.ones((2, 2), np.float32)}
facts = {"step": "100", "seed": "0", "p": "113", "lr": "0.001", "recipe": "none"}
many = {save(tensors, metadata=facts) for _ in range(20)}
one = {save(tensors, metadata={"facts": "all of them"}) for _ in range(20)}
print(f"20 calls gave {len(many)} different files with five keys, {len(one)} with one key")
if len(many) == 1 or len(one) != 1:
    raise SystemExit("CHANGED: the bytes are now a function of the content")
print("unchanged")
PYTHON
