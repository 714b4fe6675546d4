#!/usr/bin/env bash
# Rows made by einops.repeat share their memory: a patch of one row is a patch of all, and of the original, in torch
# but not in numpy.
#
# Packages: torch==2.13.0, einops==0.8.2, numpy==2.4.6 (Python 3.11)
# Expected: repeat makes copies, as its name and numpy's result say.
# Seen: For torch it returns a view of stride 0 when only a new axis is added: adding 1 to row 0 changes all rows and
#   the source. With numpy, and with 'd -> (b d)', rows are independent.
# Why it matters: The usual set-up of an ablation, one clean activation repeated and each copy patched differently,
#   patches all copies at once: the effects add up row by row.
# Way out: Call .clone() after repeat before anything is written.
# Output:
#   torch: 1 added to row 0; sum of row 1 is 4.0, of the source 4.0
#   numpy: 1 added to row 0; sum of row 1 is 0.0, of the source 0.0
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'torch==2.13.0' 'einops==0.8.2' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import einops
import numpy as np
import torch

seen = {}
for name, source in {"torch": torch.zeros(4), "numpy": np.zeros(4)}.items():
    rows = einops.repeat(source, "d -> b d", b=3)
    rows[0] += 1
    seen[name] = (float(rows[1].sum()), float(source.sum()))
    print(f"{name}: 1 added to row 0; sum of row 1 is {seen[name][0]}, of the source {seen[name][1]}")
if seen != {"torch": (4.0, 4.0), "numpy": (0.0, 0.0)}:
    raise SystemExit(f"CHANGED: {seen}")
print("unchanged")
PYTHON
