#!/usr/bin/env bash
# Rows taken from a transposed matrix by a slice and by an index are equal, but their matrix products are not.
#
# Packages: torch==2.13.0, numpy==2.4.6 (Python 3.11)
# Expected: W[:n] and W[arange(n)] hold the same numbers, so x @ W[:n] and x @ W[arange(n)] have the same bits.
# Seen: The slice of a transposed matrix is a view that keeps its strides, the index makes a contiguous copy, and
#   matrix multiplication adds in another order for each. The last bits differ, in shapes that depend on the
#   processor.
# Why it matters: Two codes that train 'the same' network with the same seed part ways at the first step, and a
#   comparison bit for bit fails without any line being wrong.
# Way out: Fix the layout as well as the values wherever bits must agree. The toolkit copies a tensor to the
#   contiguous layout where it enters.
# Output:
#   strides of the two: (1, 512) and (128, 1)
#   75 of 96 shapes give other bits, by up to 4.6e-05; the first: [('float32', 1, 56, 4), ('float32', 2, 56, 4), ('float32', 48, 56, 4)]
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'torch==2.13.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
tried, differ, largest = 0, [], 0.0
for dtype in (torch.float32, torch.float64):
    for inner in (4, 24, 113, 128):
        for rows in (113, 128, 512):
            for left in (1, 2, 48, 113):
                matrix = torch.randn(inner, rows, generator=generator, dtype=dtype).T
                n = rows // 2
                x = torch.randn(left, n, generator=generator, dtype=dtype)
                view, copy = matrix[:n], matrix[torch.arange(n)]
                assert torch.equal(view, copy)
                tried += 1
                if not torch.equal(x @ view, x @ copy):
                    differ.append((str(dtype).removeprefix("torch."), left, n, inner))
                    largest = max(largest, (x @ view - x @ copy).abs().max().item())
print(f"strides of the two: {view.stride()} and {copy.stride()}")
print(f"{len(differ)} of {tried} shapes give other bits, by up to {largest:.1e}; the first: {differ[:3]}")
if not differ:
    raise SystemExit("CHANGED: both layouts give the same bits in every shape tried")
print("unchanged")
PYTHON
