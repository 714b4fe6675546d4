"""The sign with which each neuron's input is taken, so that the neuron is 0 for most pairs.

Since ``ReLU(x) = x + ReLU(-x)``, a neuron that is active for most pairs can be replaced by its flipped version, which is active
for the other pairs only, plus a linear term for all of them. The linear term needs no pass over the pairs: it goes into the
direct map from the residuals to the logits, ``W_U + sum over the flipped j of W_in_j W_L_j`` instead of W_U, with
W_L = W_out W_U. Of the products with W_L, which take one row for every active neuron of every pair, no more than about half are
left to compute.

Signs change the order of sums, hence the rounding, and the derivative at an input of exactly 0, where a ReLU has two: 0, as in
torch, or 1 for a flipped neuron. They change only when the weights do, according to the counts of the training pass before: at
the weights at which it counted, no neuron is active for more than half of its pairs. Everything computed between two updates uses
the same signs, and a resumed run continues with those it had.
"""

from __future__ import annotations

from interp.training.cpu.kernels.arrays import open_work
from interp.training.cpu.kernels.units import unit


@unit()
def choose_signs(work: int, thread: int) -> None:
    """Flip every neuron that was active for more than half of the pairs, and set the counts back to 0; one thread does it."""
    of = open_work(work)
    if thread > 0:
        return
    signs, pairs = of.signs, len(of.pairs.a)
    neurons, number = len(signs.flipped), 0
    for j in range(neurons):
        active = 0
        for each in range(len(signs.active)):
            active += signs.active[each, j]
            signs.active[each, j] = 0
        if 2 * active > pairs:
            signs.sign[j] = -signs.sign[j]
        if signs.sign[j] < 0:
            signs.flipped[number] = j
            number += 1
    signs.number[0] = number
