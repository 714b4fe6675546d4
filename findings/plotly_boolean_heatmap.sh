#!/usr/bin/env bash
# A heatmap of booleans draws nothing and says nothing.
#
# Packages: plotly==7.1.0, kaleido==1.5.0, numpy==2.4.6 (Python 3.11)
# Expected: True and False are drawn as 1 and 0, or refused.
# Seen: The array goes into the figure as lists of true and false, no error is raised, and the picture has no heatmap
#   in it. (The script draws with kaleido and needs an installed Chromium or Chrome.)
# Why it matters: Masks are what one shows in grokking: which pairs are trained on, which are right, which neurons
#   live. The panel is empty, as if no pair were.
# Way out: Draw mask.astype(numpy.uint8).
# Output:
#   bool: z in the figure [[True, False], [False, True]], heatmaps in the picture 0
#   uint8: z in the figure {'dtype': 'u1', 'bdata': 'AQAAAQ==', 'shape': '2, 2'}, heatmaps in the picture 1
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'plotly==7.1.0' 'kaleido==1.5.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import json

import numpy as np
import plotly.graph_objects as go

mask = np.array([[True, False], [False, True]])
bare = {"width": 100, "height": 100, "template": "none"}
drawn = {}
for name, values in (("bool", mask), ("uint8", mask.astype(np.uint8))):
    figure = go.Figure(go.Heatmap(z=values, showscale=False), layout=bare)
    picture = figure.to_image("svg").decode()
    drawn[name] = picture.count("<image ")
    print(f"{name}: z in the figure {json.loads(figure.to_json())['data'][0]['z']}, heatmaps in the picture {drawn[name]}")
if drawn != {"bool": 0, "uint8": 1}:
    raise SystemExit(f"CHANGED: heatmaps in the pictures {drawn}")
print("unchanged")
PYTHON
