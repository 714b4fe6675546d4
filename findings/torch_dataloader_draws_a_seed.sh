#!/usr/bin/env bash
# Going through a DataLoader that shuffles nothing changes the random numbers of everything after it.
#
# Packages: torch==2.13.0, numpy==2.4.6 (Python 3.11)
# Expected: A loader with shuffle=False and no worker processes reads the data in order and draws nothing. A test loss that is
#   taken between two epochs leaves the training as it is.
# Seen: Every loop over it takes one number from torch's global generator, a seed for workers that it does not have. Dropout
#   and the shuffling of the training data then go on with other numbers: with the same seed, a network that was evaluated
#   once after its first epoch ends with other weights. With a generator of its own, the loader leaves the global one alone.
# Why it matters: How often one looks becomes part of the experiment. Two runs of grokking that differ in nothing but the
#   spacing of their evaluations see other batches; near the boundary one generalizes and the other does not, and "the same
#   seed" hides why.
# Way out: DataLoader(..., generator=torch.Generator()) for every loader that is not the training's; or evaluate on the tensors
#   themselves.
# Output:
#   never evaluated 0 evaluated 1 with its own generator 0 (weights that differ: 0 no, 1 yes)
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
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
x = torch.linspace(-1, 1, 64)[:, None]
training, test = TensorDataset(x, x**2), TensorDataset(x)


def trained(**of_loader):
    """The weights after two epochs; evaluated in between if anything is given, or after True."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for epoch in range(2):
        for inputs, targets in DataLoader(training, batch_size=16, shuffle=True):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(inputs), targets).backward()
            optimizer.step()
        if epoch == 0 and of_loader.pop("look", False):
            with torch.no_grad():
                for (inputs,) in DataLoader(test, batch_size=16, shuffle=False, **of_loader):
                    net(inputs)
    return torch.cat([p.detach().flatten() for p in net.parameters()])


never = trained()
differ = [int(not torch.equal(never, other)) for other in (
    trained(), trained(look=True), trained(look=True, generator=torch.Generator()),
)]
print("never evaluated", differ[0], "evaluated", differ[1], "with its own generator", differ[2], "(weights that differ: 0 no, 1 yes)")
if differ != [0, 1, 0]:
    raise SystemExit("CHANGED: a loader that does not shuffle leaves the global generator as it was")
print("unchanged")
PYTHON
