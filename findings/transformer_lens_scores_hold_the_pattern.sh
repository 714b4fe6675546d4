#!/usr/bin/env bash
# In a natively booted bridge hook_attn_scores holds the pattern after the softmax, and editing it changes nothing.
#
# Packages: torch==2.13.0, transformer-lens==4.3.0 (Python 3.11)
# Expected: As its name says, and as in versions before 4: scores before the softmax, -inf where masked; an edit of
#   them changes the logits.
# Seen: It is the pattern, in the same storage as hook_pattern: rows sum to 1, masked entries are 0. What a hook
#   returns there is dropped with a warning; at hook_pattern it acts.
# Why it matters: A comparison of scores over checkpoints compares probabilities, and an ablation of scores reports
#   that attention does not matter.
# Way out: Compute scores from hook_q and hook_k, and edit hook_pattern. The toolkit's own HookedModel has true scores
#   at that name, and edits of them act.
# Output:
#   scores of head 0: [[1.0, 0.0, 0.0], [0.611, 0.389, 0.0], [0.326, 0.351, 0.323]]
#   same storage as the pattern: True; smallest value 0.0
#   setting hook_attn_scores to zero changes the logits: False
#   setting hook_pattern to zero changes the logits: True
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'torch==2.13.0' 'transformer-lens==4.3.0'
cd "$folder"
venv/bin/python - <<'PYTHON'
import warnings

import torch
from transformer_lens.model_bridge.sources.native import boot

torch.manual_seed(0)
bridge = boot(
    {
        "n_layers": 1, "d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 32, "n_ctx": 3, "d_vocab": 12, "d_vocab_out": 11,
        "act_fn": "relu", "normalization_type": None, "init_weights": False,
    }
)
tokens = torch.tensor([[1, 2, 11]])
logits, cache = bridge.run_with_cache(tokens)
scores, pattern = (cache[f"blocks.0.attn.hook_{name}"] for name in ("attn_scores", "pattern"))
print("scores of head 0:", [[round(value, 3) for value in row] for row in scores[0, 0].tolist()])
same = scores.data_ptr() == pattern.data_ptr()
print(f"same storage as the pattern: {same}; smallest value {scores.min().item()}")
acts = {}
for name in ("attn_scores", "pattern"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        edited = bridge.run_with_hooks(tokens, fwd_hooks=[(f"blocks.0.attn.hook_{name}", lambda value, hook: torch.zeros_like(value))])
    acts[name] = not torch.equal(edited, logits)
    print(f"setting hook_{name} to zero changes the logits: {acts[name]}")
if not (same and scores.min() == 0 and acts == {"attn_scores": False, "pattern": True}):
    raise SystemExit("CHANGED: hook_attn_scores is treated otherwise")
print("unchanged")
PYTHON
