#!/usr/bin/env bash
# With full batches every checkpoint that TransformerLens' train loop saves overwrites the one before.
#
# Packages: torch==2.13.0, transformer-lens==4.3.0 (Python 3.11)
# Expected: A checkpoint every save_every updates, each under its own number.
# Seen: Files are numbered by the batch within the epoch, which begins at 0 in each. With one batch an epoch there is
#   one file, model_0.pt, whatever save_every is: it holds the last weights, and every earlier checkpoint is lost.
# Why it matters: Grokking is trained with full batches, for thousands of epochs; a run whose series of checkpoints was
#   to be measured has to be trained again.
# Way out: Save in a loop of your own, numbered by the update. The toolkit's `interp.recording` does so in any loop.
# Output:
#   40 updates, save_every 10: 1 file(s), model_0.pt of update 40
#   4 batches an epoch, 40 updates, save_every 2: 2 file(s), model_0.pt of update 37, model_2.pt of update 39
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'torch==2.13.0' 'transformer-lens==4.3.0'
cd "$folder"
venv/bin/python - 2> /dev/null <<'PYTHON'
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from transformer_lens.model_bridge.sources.native import boot
from transformer_lens.tools.training import TrainConfig, train

FACTS = {
    "n_layers": 1, "d_model": 8, "n_heads": 2, "d_head": 4, "d_mlp": 8, "n_ctx": 3, "d_vocab": 6, "act_fn": "relu",
    "normalization_type": None, "seed": 0,
}  # fmt: skip
DATA = [{"tokens": torch.tensor([a, b, 5])} for a in range(4) for b in range(2)]


class Counted(torch.utils.data.Dataset):
    """The eight examples."""

    def __len__(self) -> int:
        return len(DATA)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        return DATA[row]


def saved(name: str, *, batch_size: int, epochs: int, every: int) -> dict[str, int]:
    """Name of each file -> after how many updates its weights were those of the model."""
    folder, model, after = Path(name), boot(dict(FACTS)), {}
    folder.mkdir()
    count, step = 0, torch.optim.AdamW.step

    def counting(self, *args, **kwargs):
        nonlocal count
        count += 1
        found = step(self, *args, **kwargs)
        after[count] = {name: value.clone() for name, value in model.state_dict().items()}
        return found

    torch.optim.AdamW.step = counting
    config = TrainConfig(
        num_epochs=epochs, batch_size=batch_size, weight_decay=1.0, save_every=every, save_dir=name, print_every=None, device="cpu"
    )
    train(model, config, Counted())
    torch.optim.AdamW.step = step
    files = {}
    for path in sorted(folder.iterdir()):
        state = torch.load(path)
        (files[path.name],) = [n for n, known in after.items() if all(torch.equal(known[key], state[key]) for key in known)]
    return files


with redirect_stdout(StringIO()):  # the device is told at each call
    full = saved("full", batch_size=8, epochs=40, every=10)
    parts = saved("parts", batch_size=2, epochs=10, every=2)
for what, files in (("40 updates, save_every 10", full), ("4 batches an epoch, 40 updates, save_every 2", parts)):
    print(f"{what}: {len(files)} file(s), {', '.join(f'{name} of update {n}' for name, n in files.items())}")
if full != {"model_0.pt": 40} or parts != {"model_0.pt": 37, "model_2.pt": 39}:
    raise SystemExit("CHANGED: checkpoints are numbered otherwise")
print("unchanged")
PYTHON
