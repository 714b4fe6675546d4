#!/usr/bin/env bash
# A unit survives logarithms, squares and comparisons; in a sum of two units it vanishes, in concat the first one
# wins.
#
# Packages: xarray==2026.9.0, numpy==2.4.6, pandas==3.1.1 (Python 3.11)
# Expected: Arithmetic drops attributes, as xarray did for years, since a product has another unit; arrays that
#   disagree are treated alike by a sum and by concat.
# Seen: np.log(x), x * x and x > 1 all keep the unit 'nats'. nats + bits has no unit; concat of nats and bits is
#   labelled nats.
# Why it matters: A figure takes its axis from the unit: log-loss, squared norm and a mask are labelled with it, and a
#   comparison of runs in bits and in nats is drawn in nats.
# Way out: Give derived arrays their attributes explicitly (.assign_attrs or .drop_attrs).
# Output:
#   log(nats): {'unit': 'nats'}
#   nats * nats: {'unit': 'nats'}
#   nats > 1: {'unit': 'nats'}
#   nats + bits: {}
#   concat: {'unit': 'nats'}
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'xarray==2026.9.0' 'numpy==2.4.6' 'pandas==3.1.1'
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import xarray as xr

nats = xr.DataArray([1.0, 2.0], dims="step", attrs={"unit": "nats"})
bits = xr.DataArray([1.0, 2.0], dims="step", attrs={"unit": "bits"})
seen = {
    "log(nats)": np.log(nats).attrs, "nats * nats": (nats * nats).attrs, "nats > 1": (nats > 1).attrs,
    "nats + bits": (nats + bits).attrs, "concat": xr.concat([nats, bits], "run").attrs,
}
for name, attributes in seen.items():
    print(f"{name}: {attributes}")
kept = {"unit": "nats"}
if list(seen.values()) != [kept, kept, kept, {}, kept]:
    raise SystemExit("CHANGED: attributes are propagated otherwise")
print("unchanged")
PYTHON
