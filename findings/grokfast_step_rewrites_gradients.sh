#!/usr/bin/env bash
# Both Grokfast optimizers overwrite the gradients: after step() they hold the filtered ones.
#
# Packages: torch==2.13.0, grokfast-pytorch==0.0.11, pytorch-optimizer==4.1.0, numpy==2.4.6 (Python 3.11)
# Expected: step() reads .grad and leaves it, as every optimizer of torch does without a closure.
# Seen: A gradient of 0.5 is 1.5 after the first step, in both packages.
# Why it matters: Gradient norms, projections on a circuit or a second optimizer that read .grad after the step see
#   the slow part amplified; gradients that are accumulated over steps are filtered again.
# Way out: Take what is measured before step(), and set gradients to zero after it. The toolkit's optimizer works in
#   place too, and its docstring says so.
# Output:
#   torch: gradient 0.5 before the step, 0.5 after it
#   grokfast-pytorch: gradient 0.5 before the step, 1.5 after it
#   pytorch-optimizer: gradient 0.5 before the step, 1.5 after it
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'torch==2.13.0' 'grokfast-pytorch==0.0.11' 'pytorch-optimizer==4.1.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import grokfast_pytorch
import pytorch_optimizer
import torch

seen = {}
for name, kind in {
    "torch": torch.optim.AdamW, "grokfast-pytorch": grokfast_pytorch.GrokFastAdamW, "pytorch-optimizer": pytorch_optimizer.GrokFastAdamW,
}.items():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = kind([weight], lr=1e-3)
    weight.grad = torch.full((1,), 0.5)
    optimizer.step()
    seen[name] = weight.grad.item()
    print(f"{name}: gradient 0.5 before the step, {seen[name]} after it")
if seen != {"torch": 0.5, "grokfast-pytorch": 1.5, "pytorch-optimizer": 1.5}:
    raise SystemExit("CHANGED: the gradients are treated otherwise")
print("unchanged")
PYTHON
