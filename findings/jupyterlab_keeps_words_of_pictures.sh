#!/usr/bin/env bash
# JupyterLab takes an inline SVG out of a notebook that is not trusted, and leaves the words that were drawn in it.
#
# Packages: jupyterlab==4.6.6, nbformat==5.11.1 (Python 3.11), and Debian's chromium
# Expected: An object whose _repr_html_ draws an inline SVG looks as it did when the cell was run, or is marked as left out.
# Seen: The picture is gone without a word. Its tick labels and titles stand in the output as a line of text without spaces.
#   An img element with the same drawing as its data is shown.
# Why it matters: A notebook that was downloaded, or executed without a browser (nbconvert, papermill, CI), is not trusted.
#   Small curves drawn by _repr_html_ are missing in just those notebooks that one sends to others.
# Way out: Put the drawing into an img element with an alt text, letters of axes beside it; it knows no currentColor then.
# Output:
#   inline: drawing kept False, its words kept True
#   img: drawing kept True, its words kept True
#   unchanged
set -euo pipefail

command -v chromium >/dev/null || { echo "chromium is not installed" >&2; exit 2; }
sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; sleep 1; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'jupyterlab==4.6.6' 'nbformat==5.11.1'
cd "$folder"
mkdir notebooks
venv/bin/python - <<'PYTHON'
from base64 import b64encode

import nbformat
import nbformat.v4 as nb

drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="40"><circle cx="9" cy="9" r="8"/><text y="30">steps</text></svg>'
data = f"data:image/svg+xml;base64,{b64encode(drawing.encode()).decode()}"
cell = nb.new_code_cell("1")
for name, html in {"inline": drawing, "img": f'<img alt="steps" src="{data}">'}.items():
    cell.outputs.append(nb.new_output("display_data", {"text/html": f"<p>{name}:</p>{html}<p>end</p>", "text/plain": name}))
nbformat.write(nb.new_notebook(cells=[cell]), "notebooks/x.ipynb")
PYTHON
port=$(venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export JUPYTER_CONFIG_DIR="$folder/config" JUPYTER_DATA_DIR="$folder/data" JUPYTER_RUNTIME_DIR="$folder/runtime"
venv/bin/jupyter lab --allow-root --no-browser --ip 127.0.0.1 --port "$port" --ServerApp.root_dir=notebooks \
    --IdentityProvider.token=finding >server.log 2>&1 &
server=$!
for second in $(seq 90); do
    venv/bin/python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/api')" 2>/dev/null && break
    [ "$second" -lt 90 ] || { cat server.log >&2; echo "the server did not start" >&2; exit 2; }
    sleep 1
done
chromium --headless --no-sandbox --disable-gpu --user-data-dir="$folder/browser" --timeout=60000 --virtual-time-budget=60000 --dump-dom \
    "http://127.0.0.1:$port/lab/tree/x.ipynb?token=finding&reset" >page.html 2>browser.log
venv/bin/python - <<'PYTHON'
import re

page = open("page.html").read()
seen = {}
for name in ("inline", "img"):
    found = re.search(f"<p>{name}:</p>(.*?)<p>end</p>", page, re.DOTALL)
    if found is None:
        raise SystemExit("CHANGED: the notebook's output is not on the page")
    seen[name] = "<circle" in found[1] or "<img" in found[1] and "data:image/svg" in found[1], "steps" in found[1]
    print(f"{name}: drawing kept {seen[name][0]}, its words kept {seen[name][1]}")
if seen != {"inline": (False, True), "img": (True, True)}:
    raise SystemExit(f"CHANGED: {seen}")
print("unchanged")
PYTHON
