#!/usr/bin/env bash
# A step of torch.optim.Muon is no orthogonal matrix: directions of the gradient that are ten thousand times smaller than
# the largest hardly move, and of directions that are equally large to a factor of two some move two thirds more than others.
#
# Packages: torch==2.13.0, numpy==2.4.6 (Python 3.11)
# Expected: Muon orthogonalizes the update of each matrix: all its singular values are about 1, whatever the gradient's are.
# Seen: The five steps of the iteration do not get there. With learning rate 1 and neither momentum nor decay the singular
#   values 1, .1, .01, .001, .0001 and .000001 of a gradient become .7, .7, .7, .5, .05 and 0; 1, .9, .8, .7, .6 and .5
#   become .68 to 1.13, in no order.
# Why it matters: Gradients of networks on the plateau are of low rank: what a weak signal writes does not move by as much as a
#   strong one. Whoever explains a run with Muon by an update that treats all directions alike explains another optimizer.
# Way out: Measure the singular values of the update. More `ns_steps` bring small directions nearer to the others.
# Output:
#   gradient 1, 0.1, 0.01, 0.001, 0.0001, 1e-06: update 0.7, 0.7, 0.7, 0.5, 0.0, 0.0
#   gradient 1, 0.9, 0.8, 0.7, 0.6, 0.5: the largest singular value of the update is 1.7 times the smallest
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'torch==2.13.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch


def update(sizes):
    w = torch.nn.Parameter(torch.zeros(len(sizes), len(sizes)))
    muon = torch.optim.Muon([w], lr=1.0, weight_decay=0.0, momentum=0.0, nesterov=False, adjust_lr_fn="original")
    w.grad = torch.diag(torch.tensor(sizes))
    muon.step()
    return [float(value) for value in -torch.diag(w.detach())]


falling, even = [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-6], [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]
found = [f"{value:.1f}" for value in update(falling)]
print(f"gradient {', '.join(f'{size:g}' for size in falling)}: update {', '.join(found)}")
spread = max(update(even)) / min(update(even))
print(f"gradient {', '.join(f'{size:g}' for size in even)}: the largest singular value of the update is {spread:.1f} times the smallest")
if found != ["0.7", "0.7", "0.7", "0.5", "0.0", "0.0"] or not 1.5 < spread < 1.9:
    raise SystemExit(f"CHANGED: {found}, {spread}")
print("unchanged")
PYTHON
