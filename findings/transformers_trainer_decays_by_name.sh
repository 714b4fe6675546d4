#!/usr/bin/env bash
# Whether the Hugging Face Trainer decays a weight depends on what the attribute is called.
#
# Packages: torch==2.13.0, transformers==5.24.0, accelerate==1.15.0 (Python 3.11)
# Expected: weight_decay acts on all weights, or on all but the biases and LayerNorms, told apart by what they are.
# Seen: LayerNorms are told by their class, all else by its name: no decay for a name that contains "bias", or has a
#   part that is "norm" or ends in "_norm". So TransformerLens' biases (b_in, b_U) are decayed and those of nn.Linear
#   are not, and a matrix in a module called post_norm or biased is never decayed.
# Why it matters: Weight decay decides whether and when a network groks. The same network gets another decay under
#   other names of its parts, and nothing says so; nor does the optimizer's own default, which is that of torch.
# Way out: Give the Trainer an optimizer of your own (optimizers=(AdamW(model.parameters(), ...), None)), or look at
#   trainer.get_decay_parameter_names(model).
# Output:
#   decayed: W_E, b_in, hidden.weight, normed.weight
#   not decayed: biased.bias, biased.weight, hidden.bias, ln.bias, ln.weight, normed.bias, post_norm.bias, post_norm.weight
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'torch==2.13.0' 'transformers==5.24.0' 'accelerate==1.15.0'
cd "$folder"
HF_HOME="$folder/home" HF_HUB_OFFLINE=1 venv/bin/python - <<'PYTHON'
import torch
from transformers import Trainer, TrainingArguments


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.W_E = torch.nn.Parameter(torch.randn(5, 4))
        self.b_in = torch.nn.Parameter(torch.zeros(4))
        for name in ("hidden", "normed", "post_norm", "biased"):
            setattr(self, name, torch.nn.Linear(4, 4))
        self.ln = torch.nn.LayerNorm(4)


model = Network()
trainer = Trainer(model, TrainingArguments(output_dir="out", weight_decay=1.0, report_to=[]))
trainer.create_optimizer()
names = {id(parameter): name for name, parameter in model.named_parameters()}
found = {group["weight_decay"]: sorted(names[id(one)] for one in group["params"]) for group in trainer.optimizer.param_groups}
for decay, said in ((1.0, "decayed"), (0.0, "not decayed")):
    print(f"{said}: {', '.join(found[decay])}")
if found[1.0] != ["W_E", "b_in", "hidden.weight", "normed.weight"]:
    raise SystemExit("CHANGED: other parameters are decayed")
print("unchanged")
PYTHON
