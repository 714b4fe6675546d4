#!/usr/bin/env bash
# A unit with the word 'since' is written without complaint, and the file can no longer be opened.
#
# Packages: xarray==2026.9.0, netCDF4==1.7.5.1.post1, numpy==2.4.6, pandas==3.1.1 (Python 3.11)
# Expected: An attribute is text. 'steps since grokking' on a plain float array is written and read like 'steps after
#   grokking'.
# Seen: On reading, any unit with ' since ' is taken for a date: open_dataset raises for the whole file, all other
#   variables included. decode_times=False opens it.
# Why it matters: 'Steps since onset' is the natural axis for aligning runs. The series is saved at the end of a study
#   and fails on the day it is read.
# Way out: Say 'after', or open with decode_times=False.
# Output:
#   steps after grokking, decode_times=True: [0.0, 1.0, 2.0]
#   steps after grokking, decode_times=False: [0.0, 1.0, 2.0]
#   steps since grokking, decode_times=True: ValueError: unable to decode time units 'steps since grokking' with '
#   steps since grokking, decode_times=False: [0.0, 1.0, 2.0]
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'xarray==2026.9.0' 'netCDF4==1.7.5.1.post1' 'numpy==2.4.6' 'pandas==3.1.1'
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import xarray as xr

outcome = {}
for unit in ("steps after grokking", "steps since grokking"):
    age = xr.DataArray(np.arange(3.0), dims="step", attrs={"units": unit})
    xr.Dataset({"age": age, "loss": ("step", np.ones(3))}).to_netcdf("series.nc")
    for decode in (True, False):
        try:
            with xr.open_dataset("series.nc", decode_times=decode) as series:
                outcome[unit, decode] = series.age.values.tolist()
        except ValueError as error:
            outcome[unit, decode] = f"ValueError: {str(error)[:57]}"
        print(f"{unit}, decode_times={decode}: {outcome[unit, decode]}")
good = [0.0, 1.0, 2.0]
if not (str(outcome["steps since grokking", True]).startswith("ValueError") and list(outcome.values()).count(good) == 3):
    raise SystemExit("CHANGED: such a unit is read otherwise")
print("unchanged")
PYTHON
