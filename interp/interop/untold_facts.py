"""What no tensor tells of a model: its activation and attention rate, and what was said and guessed of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from torch import Tensor

from interp.errors import DataError
from interp.interop.containers import limits
from interp.interop.content import State
from interp.interop.guess import Guess
from interp.interop.known import Known
from interp.interop.opened import finite, in_one_precision
from interp.interop.stored_settings import activation_notes
from interp.interop.stored_sizes import check_modulus
from interp.interop.stored_words import activation_in, says_nothing
from interp.interop.unsaid_activation import likely_activation
from interp.networks.one_layer import Weights
from interp.networks.shapes import ACTIVATIONS, Activation

_ACTIVATIONS = ("act_fn", "act_type", "activation")
# Of which the configuration is a part of the model.
TRANSFORMER_LENS = ("transformer-lens", "bridge")

Read = Callable[[State], Mapping[str, Tensor]]


@dataclass(frozen=True)
class UntoldFacts:
    """What no tensor tells of a model: its activation and attention rate; what was said and guessed of them."""

    activation: Activation | None
    attention_rate: float
    notes: tuple[str, ...]
    guesses: tuple[Guess, ...]
    large: bool
    config: Mapping[str, object]

    @classmethod
    def of(
        cls, path: Path, format: str, config: Mapping[str, object], beside: Mapping[str, object] | None, known: Known
    ) -> UntoldFacts:
        """What the configuration, a file beside it and the caller say.

        Raises:
            DataError: if a fact that nothing else tells is missing, or the file names an activation that no model can have here,
                and the caller names none.
        """
        stored, notes = _stored_activation(config, known)
        activation = known.settle("activation", stored)
        notes += [] if activation is not None else activation_notes(config)
        guesses: list[Guess] = []
        if format in TRANSFORMER_LENS and not config:
            # Normalization without parameters (LNPre) leaves no trace in a state dict.
            notes.append("no configuration is stored: a model without normalization, with causal attention, was assumed")
            guesses.append(Guess("normalization", "none", "no configuration is stored, and LNPre leaves no trace in tensors"))
        rate = known.settle("attention_rate", beside["attn_coeff"] if beside is not None else None)
        if format == "pizza" and rate is None:
            raise DataError(
                "the clock/pizza code keeps the attention rate (attn_coeff) in a .json beside the .pt, and there is none: "
                f"put it at {path.with_suffix('.json').name}, or give the attention rate yourself"
            )
        return cls(
            cast(Activation | None, activation), 1.0 if rate is None else float(cast(float, rate)), tuple(notes),
            tuple(guesses), known.large, config,
        )  # fmt: skip

    def makes(self) -> dict[Activation, Callable[[Mapping[str, Tensor]], Weights]]:
        """How tensors become a model, for each activation that it may have."""
        possible = ACTIVATIONS if self.activation is None else (self.activation,)
        return {name: replace(self, activation=name).weights for name in possible}

    def with_activation(self, read: Read, state: State) -> UntoldFacts:
        """With the activation with which a model works, if it is not known."""
        if self.activation is not None:
            return self
        tensors, makes = read(state), self.makes()
        found = likely_activation(lambda name: makes[name](tensors))
        return replace(self, activation=found.activation, notes=(*found.notes, *self.notes), guesses=(found.guess, *self.guesses))

    def weights(self, tensors: Mapping[str, Tensor]) -> Weights:
        """The model, of tensors by our names.

        Raises:
            DataError: if values are not finite, or do not fit the configuration.
        """
        activation: Activation = self.activation or ACTIVATIONS[0]
        whole = finite(in_one_precision(tensors))
        weights = Weights.from_tensors(whole, activation=activation, attention_rate=self.attention_rate)
        check_modulus(self.config, weights)
        limits.check_table(weights.p, weights.d_mlp + weights.classes, insisted=self.large)
        return weights


def _stored_activation(config: Mapping[str, object], known: Known) -> tuple[str | None, list[str]]:
    """The activation that a configuration names, and what is said of one that counts for nothing beside the caller's."""
    stored = sorted((config[name] for name in _ACTIVATIONS if config.get(name) is not None), key=says_nothing)
    if not stored:
        return None, []
    said = activation_in(stored[0])
    name = said.lower() if isinstance(said, str) else said
    if name in ACTIVATIONS:
        return str(name), []
    if known.activation is None:
        raise DataError(
            f"activation: the file says {said!r}, expected one of {', '.join(ACTIVATIONS)}; if the model works with one of these "
            "all the same, give --activation (known.activation)"
        )
    return None, [f"activation: the file says {said!r}, which no model can have here; the given {known.activation!r} counts"]
