#!/usr/bin/env bash
# The mean of losses with a NaN among them is finite.
#
# Packages: torch==2.13.0, numpy==2.4.6, torchmetrics==1.9.0 (Python 3.11)
# Expected: MeanMetric over batch losses gives NaN once one of them is NaN, as torch.mean and numpy.mean do: the run broke off.
# Seen: A NaN is left out, with a Python warning at the first one and (by Python's default filter) none after it, and the mean is
#   that of the others. An infinite loss is kept. SumMetric, MaxMetric and MinMetric do the same. The logits that gave the NaN
#   count as a guess of class 0, so that the accuracy looks like chance and not like a failure.
# Why it matters: A run of grokking that diverges (a slingshot too many, float16, a learning rate that is too large) logs the loss
#   of the batches before it, or of those that still work, and its curve goes on. What is sought in such curves, the end of a
#   plateau, is read off means of fewer and fewer batches.
# Way out: MeanMetric(nan_strategy="disable"), which gives NaN, or "error".
# Output:
#   mean of 1, 2, NaN: 1.5 warnings 1 of 1, 2, inf: inf disabled nan accuracy of NaN logits where the answer is 0: 1.0
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'torch==2.13.0' 'numpy==2.4.6' 'torchmetrics==1.9.0'
cd "$folder"
venv/bin/python - <<'PYTHON'
import math
import warnings

import torch
from torchmetrics import MaxMetric, MeanMetric, MinMetric, SumMetric
from torchmetrics.classification import MulticlassAccuracy


def over(metric, values):
    for value in values:
        metric.update(value)
    return float(metric.compute())


with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("default")
    dropped = over(MeanMetric(), [1.0, 2.0, math.nan, math.nan])
    others = [over(metric(), [1.0, 2.0, math.nan]) for metric in (SumMetric, MaxMetric, MinMetric)]
said = sum("nan" in str(one.message) for one in told)
infinite, disabled = over(MeanMetric(), [1.0, 2.0, math.inf]), over(MeanMetric(nan_strategy="disable"), [1.0, 2.0, math.nan])
accuracy = float(MulticlassAccuracy(num_classes=3, average="micro")(torch.full((1, 3), math.nan), torch.tensor([0])))
print("mean of 1, 2, NaN:", dropped, "warnings", said, "of 1, 2, inf:", infinite, "disabled", disabled, end=" ")
print("accuracy of NaN logits where the answer is 0:", accuracy)
if (dropped, others, infinite, accuracy) != (1.5, [3.0, 2.0, 1.0], math.inf, 1.0) or not math.isnan(disabled) or said != 1:
    raise SystemExit("CHANGED: a NaN is no longer left out, or is told another way")
print("unchanged")
PYTHON
