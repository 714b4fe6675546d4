#!/usr/bin/env bash
# The float32 cross-entropy of one and the same lead depends on which class is the right one.
#
# Packages: torch==2.13.0, numpy==2.4.6 (Python 3.11)
# Expected: Permuting the classes permutes nothing else: 113 logits with the right one 20 above the rest have one
#   loss, 2.31e-7.
# Seen: The loss is 1.2e-7 for some classes and 2.4e-7 for others: the sum of exponentials is added in lanes, and
#   where the right class stands in its lane decides what is lost. Which classes they are depends on the processor's
#   vectors.
# Why it matters: Late in training, where grokking is looked for, the loss has a false dependence on the answer modulo
#   the width of a vector: a periodic pattern over residues that looks like a frequency.
# Way out: Compute log-probabilities in float64, or the loss without subtracting from 1. The toolkit's cross_entropy
#   is softplus of the other logits' logsumexp minus the right logit and is right to 1e-5 there.
# Output:
#   true loss 2.308492e-07
#   float32 1.192093e-07 for 85 classes, the first of them [0, 1, 3, 4, 5]
#   float32 2.384186e-07 for 28 classes, the first of them [2, 6, 10, 14, 18]
#   float64 from 2.308492e-07 to 2.308492e-07
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'torch==2.13.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import math

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
classes, lead = 113, 20.0
logits = torch.eye(classes) * lead
single = F.cross_entropy(logits, torch.arange(classes), reduction="none")
double = F.cross_entropy(logits.double(), torch.arange(classes), reduction="none")
print(f"true loss {math.log1p((classes - 1) * math.exp(-lead)):.6e}")
for value in single.unique():
    which = (single == value).nonzero().flatten().tolist()
    print(f"float32 {value.item():.6e} for {len(which)} classes, the first of them {which[:5]}")
print(f"float64 from {double.min().item():.6e} to {double.max().item():.6e}")
if len(single.unique()) == 1:
    raise SystemExit("CHANGED: every class has the same loss")
print("unchanged")
PYTHON
