#!/usr/bin/env bash
# A parameter named 'a.b' and a parameter b inside a are stored in one place: one of the two is lost.
#
# Packages: orbax-checkpoint==0.12.8, jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6 (Python 3.11)
# Expected: Two leaves of a tree are two arrays, whatever their names; or a refusal.
# Seen: Paths are joined by a dot in the store. Saving {'a.b': ones, 'a': {'b': sevens}} succeeds, and both come back
#   with the same values.
# Why it matters: Names with dots are what torch calls its parameters. A tree that holds a state dict beside a nested
#   copy of it, as a converter does, loses one of the two.
# Way out: Nest names before saving, or replace the dots; never mix both in one tree.
# Output:
#   saved 'a.b' = [1.0, 1.0] and a -> b = [7.0, 7.0]; restored [7.0, 7.0] and [7.0, 7.0]
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'orbax-checkpoint==0.12.8' 'jax==0.10.2' 'jaxlib==0.10.2' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import logging
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp

logging.disable(logging.CRITICAL)
with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(Path("checkpoint").absolute(), {"a.b": np.ones(2, np.float32), "a": {"b": np.full(2, 7, np.float32)}})
    checkpointer.wait_until_finished()
    restored = checkpointer.restore(Path("checkpoint").absolute())
dotted, nested = np.asarray(restored["a.b"]).tolist(), np.asarray(restored["a"]["b"]).tolist()
print(f"saved 'a.b' = [1.0, 1.0] and a -> b = [7.0, 7.0]; restored {dotted} and {nested}")
if dotted != nested:
    raise SystemExit("CHANGED: the two leaves are kept apart")
print("unchanged")
PYTHON
