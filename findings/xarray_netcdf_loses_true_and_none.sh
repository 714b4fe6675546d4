#!/usr/bin/env bash
# In a netCDF file a flag is refused as an attribute, and None among texts comes back as an empty text.
#
# Packages: xarray==2026.9.0, netCDF4==1.7.5.1.post1, numpy==2.4.6, pandas==3.1.1 (Python 3.11)
# Expected: True, a Number to Python, is stored as 1 or as a byte, since arrays of booleans are stored and read as
#   booleans; a missing text stays missing.
# Seen: An attribute True fails inside the netCDF library with 'illegal data type', though xarray's own message lists
#   Number among the valid types. A variable of texts with None is written without complaint, and None is then ''.
# Why it matters: 'diverged: True' among the facts of a run makes its series unwritable, after the training; a phase
#   that was never reached and one named '' are the same.
# Way out: Store flags as integers or in one JSON text, and missing texts as a word of their own.
# Output:
#   attribute True: illegal data type for attribute b'diverged', must be one of dict_keys(['S1', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f4', 'f8']), got b1
#   array of booleans: bool - texts with None: ['memorized', '']
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

flagged = xr.Dataset({"loss": ("step", np.ones(3))}, attrs={"diverged": True})
try:
    flagged.to_netcdf("flag.nc")
    refusal = ""
except TypeError as error:
    refusal = str(error)
print("attribute True:", refusal or "written")
xr.Dataset({"stable": ("step", np.array([True, False]))}).to_netcdf("bool.nc")
xr.Dataset({"phase": ("step", np.array(["memorized", None], dtype=object))}).to_netcdf("none.nc")
with xr.open_dataset("bool.nc") as booleans, xr.open_dataset("none.nc") as texts:
    phases = texts.phase.values.tolist()
    print("array of booleans:", booleans.stable.dtype, "- texts with None:", phases)
if not ("illegal data type" in refusal and phases == ["memorized", ""]):
    raise SystemExit("CHANGED: True or None is stored otherwise")
print("unchanged")
PYTHON
