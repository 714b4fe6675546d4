#!/usr/bin/env bash
# Asking numba how many threads it has raises the number of threads of torch.
#
# Packages: torch==2.13.0, numba==0.68.1, numpy==2.4.6 (Python 3.11)
# Expected: torch.set_num_threads(1) holds until it is called again; a question to another library changes nothing.
# Seen: Both use one OpenMP runtime in the process: after numba.get_num_threads(), and after the first parallel loop
#   of the OpenMP layer, torch has numba's number of threads.
# Why it matters: torch's sums depend on its threads. The same seed gives other bits as the first and as the second
#   run of one process, and a run that was resumed parts from one that was not.
# Way out: Set numba's and torch's threads after numba has started, or NUMBA_NUM_THREADS=1 in workers. The toolkit
#   starts numba's layer first and then sets torch's number back.
# Output:
#   torch's threads before and after numba's question: (1, 4)
#   torch's threads before and after numba's loop: (1, 4)
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'torch==2.13.0' 'numba==0.68.1' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import os
import subprocess
import sys

program = """
import sys
import torch
torch.set_num_threads(1)
import numba
import numpy as np

@numba.njit(parallel=True)
def total(x):
    s = 0.0
    for i in numba.prange(x.size):
        s += x[i]
    return s

before = torch.get_num_threads()
numba.get_num_threads() if sys.argv[1] == "question" else total(np.ones(10))
print(before, torch.get_num_threads())
"""
seen = {}
for what in ("question", "loop"):
    environment = {**os.environ, "NUMBA_NUM_THREADS": "4", "NUMBA_THREADING_LAYER": "omp"}
    out = subprocess.run([sys.executable, "-c", program, what], env=environment, capture_output=True, text=True, check=True).stdout
    seen[what] = tuple(map(int, out.split()))
    print(f"torch's threads before and after numba's {what}: {seen[what]}")
if not all(before == 1 and after == 4 for before, after in seen.values()):
    raise SystemExit(f"CHANGED: {seen}")
print("unchanged")
PYTHON
