#!/usr/bin/env bash
# Weight decay is not multiplied by the learning rate: 1.0, the usual value of grokking, sets every weight to 0 at
# each step.
#
# Packages: torch==2.13.0, grokfast-pytorch==0.0.11, numpy==2.4.6 (Python 3.11)
# Expected: Decoupled decay as in AdamW: a step takes lr * weight_decay of each weight.
# Seen: A step takes weight_decay of each weight, whatever the learning rate. With 1.0 a weight of 1 is 0 after the
#   first step, torch's AdamW leaves 0.999.
# Why it matters: Weight decay 1.0 with lr 1e-3 is the recipe of the field; moved to this optimizer, the network is
#   erased at each step, and the plausible 0.1 decays a thousand times too fast.
# Way out: Give lr * weight_decay as its weight decay. The toolkit's Grokfast is a filter before an ordinary AdamW,
#   whose decay is lr * weight_decay.
# Output:
#   decay 1.0, lr 0.01: weight 1 becomes 0.0; torch's AdamW 0.99
#   decay 1.0, lr 0.001: weight 1 becomes 0.0; torch's AdamW 0.999
#   decay 0.1, lr 0.01: weight 1 becomes 0.9; torch's AdamW 0.999
#   decay 0.1, lr 0.001: weight 1 becomes 0.9; torch's AdamW 0.9999
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'torch==2.13.0' 'grokfast-pytorch==0.0.11' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from grokfast_pytorch import GrokFastAdamW


def after_one_step(kind: type, *, lr: float, decay: float) -> float:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = kind([weight], lr=lr, weight_decay=decay)
    weight.grad = torch.zeros(1)
    optimizer.step()
    return round(weight.item(), 6)


seen = {}
for decay in (1.0, 0.1):
    for lr in (1e-2, 1e-3):
        seen[decay, lr] = after_one_step(GrokFastAdamW, lr=lr, decay=decay)
        print(f"decay {decay}, lr {lr}: weight 1 becomes {seen[decay, lr]}; torch's AdamW {after_one_step(torch.optim.AdamW, lr=lr, decay=decay)}")
if not (seen[1.0, 1e-3] == 0.0 and seen[0.1, 1e-2] == seen[0.1, 1e-3] == 0.9):
    raise SystemExit("CHANGED: the decay now depends on the learning rate")
print("unchanged")
PYTHON
