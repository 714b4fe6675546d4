#!/usr/bin/env bash
# Two ways to ask torchmetrics for the accuracy give two numbers, by their defaults.
#
# Packages: torch==2.13.0, numpy==2.4.6, torchmetrics==1.9.0 (Python 3.11)
# Expected: MulticlassAccuracy(num_classes=n) is what Accuracy(task="multiclass", num_classes=n) makes: one class of metric, one
#   number, the share of examples that are right.
# Seen: The second gives that share (average="micro"). The first gives the mean over classes of each class' share
#   (average="macro"), without the classes that no example has. Both print as MulticlassAccuracy().
# Why it matters: On held-out pairs the answers are not equally frequent, least of all with a small share of the pairs or where
#   whole answers are held out. A network that knows one of four answers, the frequent one, has a test accuracy of .83 or .67 by
#   the name it was asked by, and a threshold such as 90 % is passed hundreds of steps apart: dates of grokking from two
#   training loops are then not comparable.
# Way out: Give average="micro" wherever a date or a threshold follows from it.
# Output:
#   Accuracy 0.833 MulticlassAccuracy 0.667 with average="micro" 0.833 both print as MulticlassAccuracy()
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'torch==2.13.0' 'numpy==2.4.6' 'torchmetrics==1.9.0'
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from torchmetrics import Accuracy
from torchmetrics.classification import MulticlassAccuracy

answers = torch.tensor([0, 0, 0, 0, 1, 2])  # the fourth answer is never asked for
guesses = torch.tensor([0, 0, 0, 0, 0, 2])
general, special = Accuracy(task="multiclass", num_classes=4), MulticlassAccuracy(num_classes=4)
micro = MulticlassAccuracy(num_classes=4, average="micro")
found = [round(float(metric(guesses, answers)), 3) for metric in (general, special, micro)]
print("Accuracy", found[0], "MulticlassAccuracy", found[1], 'with average="micro"', found[2], "both print as", special)
if found != [0.833, 0.667, 0.833] or repr(general) != repr(special):
    raise SystemExit("CHANGED: the two accuracies agree, or show how they differ")
print("unchanged")
PYTHON
