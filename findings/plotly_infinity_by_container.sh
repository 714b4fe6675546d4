#!/usr/bin/env bash
# The same values reach the page with infinities as an array and without them as a list.
#
# Packages: plotly==7.1.0, numpy==2.4.6 (Python 3.11)
# Expected: How a curve is stored in a figure does not depend on whether it was given as an array, a list or in half
#   precision.
# Seen: An array of float64 or float32 goes as raw bytes and keeps its infinities; the same values as a list, or as
#   float16, go as JSON numbers in which every infinity is null, like a missing value.
# Why it matters: A run that diverges is told apart from one that was not measured by exactly that infinity; a step
#   through .tolist() or half precision makes the two alike.
# Way out: Hand over float32 or float64 arrays, and say in words where a series is infinite.
# Output:
#   float64 array: [1.0, inf, nan]
#   float32 array: [1.0, inf, nan]
#   float16 array: [1.0, None, None]
#   list: [1.0, None, None]
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'plotly==7.1.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import base64
import json

import numpy as np
import plotly.graph_objects as go

values = np.array([1.0, np.inf, np.nan])


def stored(y: object) -> list:
    content = json.loads(go.Figure(go.Scatter(y=y)).to_json())["data"][0]["y"]
    if isinstance(content, dict):
        return np.frombuffer(base64.b64decode(content["bdata"]), dtype=content["dtype"]).tolist()
    return content


seen = {"float64 array": stored(values), "float32 array": stored(values.astype("f4")),
        "float16 array": stored(values.astype("f2")), "list": stored(values.tolist())}
for name, content in seen.items():
    print(f"{name}: {content}")
kept = {name: content[1] == np.inf for name, content in seen.items()}
if kept != {"float64 array": True, "float32 array": True, "float16 array": False, "list": False}:
    raise SystemExit(f"CHANGED: infinity kept {kept}")
print("unchanged")
PYTHON
