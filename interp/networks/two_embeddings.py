"""TwoEmbeddings: the MLP whose hidden layer is the sum of an embedding of a and one of b."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from interp.config.model_config import ActivationName
from interp.errors import DataError
from interp.networks.layered import checked_tokens
from interp.networks.layered_pass import AtSite, Drop, activated, as_it_is
from interp.networks.layered_shapes import TWO_EMBEDDINGS, activation_named, check_shapes, two_embedding_axes
from interp.networks.named_tensors import NamedTensors


@dataclass(frozen=True, eq=False)
class TwoEmbeddings(NamedTensors):
    """``logits(a, b) = act(E_a[a] + E_b[b] + b_in) W_U + b_U``: an MLP of one hidden layer on both numbers one-hot. A `Network`.

    With the activation x^2 it is the network whose grokking Gromov solved in closed form (2023, arXiv 2301.02679). The
    two embeddings are ``embed_a.W_E`` and ``embed_b.W_E``, (p, d_mlp), or one, ``embed.W_E``, where they are tied. A token ``=``
    is not read.

    Args:
        named: the tensors; biases may be absent.
        activation: of the hidden layer.

    Raises:
        DataError: for a tensor that is missing, unknown, or of a shape that does not fit the others.
    """

    named: Mapping[str, Tensor]
    activation: ActivationName = "relu"

    def __post_init__(self) -> None:
        shapes = {name: tuple(tensor.shape) for name, tensor in self.named.items()}
        check_shapes(shapes, two_embedding_axes(tied=self.is_tied), kind=TWO_EMBEDDINGS)
        activation_named(self.activation)

    def __repr__(self) -> str:
        """Its shape in a line; the numbers are in `tensors`."""
        p, neurons = self.embeddings[0].shape
        tied = ", tied embeddings" if self.is_tied else ""
        return f"TwoEmbeddings(p = {p}: {neurons} {self.activation} neurons{tied}, {self.n_parameters:,} parameters)"

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> TwoEmbeddings:
        """The network of a checkpoint's tensors and facts.

        Raises:
            DataError: if they do not fit together.
        """
        if set(facts) != {"activation"}:
            raise DataError(f"facts of a {TWO_EMBEDDINGS}: given {dict(facts)!r:.200}, expected its activation")
        return cls(dict(tensors), activation_named(facts["activation"]))

    @property
    def kind(self) -> str:
        """What sort of network it is."""
        return TWO_EMBEDDINGS

    @property
    def is_tied(self) -> bool:
        """Whether a and b have the same embedding."""
        return "embed.W_E" in self.named

    def facts(self) -> dict[str, Any]:
        """The activation function."""
        return {"activation": self.activation}

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> TwoEmbeddings:
        """The same function of other tensors."""
        return TwoEmbeddings(dict(tensors), self.activation)

    def logits(self, inputs: Int[Tensor, "row pos"], *, drop: Drop | None = None) -> Float[Tensor, "row classes"]:
        """Logits, differentiable.

        Args:
            inputs: tokens, of which the first two are read.
            drop: applied to the neurons, in training.
        """
        return self._pass(inputs, as_it_is, drop)

    def activations(self, inputs: Int[np.ndarray, "row pos"]) -> dict[str, Float[Tensor, "row ..."]]:
        """Every value that is computed: ``hook_embed_a``, ``hook_embed_b``, ``mlp.hook_pre``, ``mlp.hook_post``, ``logits``.

        Raises:
            UsageError: if the inputs are not rows of two tokens or more.
        """
        found: dict[str, Tensor] = {}

        def keep(site: str, value: Tensor) -> Tensor:
            found[site] = value
            return value

        like = self.embeddings[0]
        tokens = checked_tokens(inputs[:, :2], like=like, n_ctx=2, top=len(like))
        logits = self._pass(tokens, keep, None)
        return {**found, "logits": logits}

    @property
    def embeddings(self) -> tuple[Tensor, Tensor]:
        """E_a and E_b, (p, d_mlp) each; where they are tied, the same twice."""
        one = "embed.W_E" if self.is_tied else "embed_a.W_E"
        return self.named[one], self.named["embed.W_E" if self.is_tied else "embed_b.W_E"]

    def _pass(self, tokens: Int[Tensor, "row pos"], at: AtSite, drop: Drop | None) -> Float[Tensor, "row classes"]:
        w = self.named
        a, b = (at(f"hook_embed_{part}", F.embedding(tokens[:, i], self.embeddings[i])) for i, part in enumerate("ab"))
        summed = a + b + w["mlp.b_in"] if "mlp.b_in" in w else a + b
        neurons = at("mlp.hook_post", activated(at("mlp.hook_pre", summed), self.activation))
        found = (neurons if drop is None else drop(neurons)) @ w["unembed.W_U"]
        return found + w["unembed.b_U"] if "unembed.b_U" in w else found
