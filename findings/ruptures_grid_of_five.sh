#!/usr/bin/env bash
# Change points are multiples of 5, whatever the data say.
#
# Packages: ruptures==1.1.10, numpy==2.4.6, scipy==1.17.1 (Python 3.11)
# Expected: A step at index 37 of a series without noise is found at 37.
# Seen: Pelt, Binseg, BottomUp, Window and Dynp all answer 35, because they look at every fifth index only; jump=1 and
#   KernelCPD answer 37.
# Why it matters: With a checkpoint every 500 steps the onset of generalization is dated up to 1,000 steps early or
#   late, in the same way in every run.
# Way out: jump=1 for a series of checkpoints, which is short enough for it.
# Output:
#   true change at 37
#   by default {'Pelt': 35, 'Binseg': 35, 'BottomUp': 35, 'Window': 35, 'Dynp': 35}
#   jump=1     {'Pelt': 37, 'Binseg': 37, 'BottomUp': 37, 'Window': 37, 'Dynp': 37} KernelCPD 37
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'ruptures==1.1.10' 'numpy==2.4.6' 'scipy==1.17.1'
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import ruptures

series = np.r_[np.zeros(37), np.ones(43)]
default, exact = {}, {}
for name in ("Pelt", "Binseg", "BottomUp", "Window", "Dynp"):
    width = {"width": 10} if name == "Window" else {}
    asked = {"pen": 1} if name == "Pelt" else {"n_bkps": 1}
    default[name] = int(getattr(ruptures, name)(model="l2", **width).fit(series).predict(**asked)[0])
    exact[name] = int(getattr(ruptures, name)(model="l2", jump=1, **width).fit(series).predict(**asked)[0])
kernel = int(ruptures.KernelCPD(kernel="linear").fit(series).predict(n_bkps=1)[0])
print("true change at 37")
print("by default", default)
print("jump=1    ", exact, "KernelCPD", kernel)
if not (set(default.values()) == {35} and set(exact.values()) == {37} and kernel == 37):
    raise SystemExit("CHANGED: the change point is found elsewhere")
print("unchanged")
PYTHON
