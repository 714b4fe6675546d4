"""Which sign each neuron is taken with, so that it is 0 for most pairs.

``ReLU(x) = x + ReLU(-x)``: a neuron that is active for most pairs is one that is active for the others, with the other sign, and
what it passes on linearly for all of them. The latter needs no pairs: it is part of what leads from the residuals to the logits
directly, ``W_U + sum over the flipped j of W_in_j W_L_j`` instead of W_U, with W_L = W_out W_U. Of the products with W_L, for
which every active neuron of every pair counts, no more than about half are left to do.

Signs change the order of sums, hence the rounding, and the derivative at an input of exactly 0, where a ReLU has two: 0, as in
torch, or 1 for a flipped neuron. They change with the weights only, by what the training pass before has counted: at the weights
at which it counted, no neuron is active for more than half of its pairs. All that is computed between two updates has the same
signs, and a run that is resumed has those it had.
"""

from __future__ import annotations

from interp.training.cpu.kernels.arrays import Signs
from interp.training.cpu.kernels.compiler import njit


@njit
def choose(signs: Signs, pairs: int) -> None:
    """Flip every neuron that was active for more than half of so many pairs; counts are used up."""
    neurons, number = len(signs.flipped), 0
    for j in range(neurons):
        active = 0
        for thread in range(len(signs.active)):
            active += signs.active[thread, j]
            signs.active[thread, j] = 0
        if 2 * active > pairs:
            signs.sign[j] = -signs.sign[j]
        if signs.sign[j] < 0:
            signs.flipped[number] = j
            number += 1
    signs.number[0] = number
