"""OptimizerConfig: how a network is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import ClassVar, Literal, get_args

from interp.config.field_checks import integer, number, one_of, refuse, short, truth, without_negative_zeros
from interp.errors import UsageError

OptimizerName = Literal["adamw", "adam", "sgd", "muon"]
LossName = Literal["cross_entropy", "stablemax"]
PerpendicularGradient = Literal["off", "project", "rescale"]

_USUAL_MOMENTUM = 0.9


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer, by default AdamW on the full batch, and the interventions that can be composed with it.

    Args:
        lr: learning rate.
        weight_decay: decoupled weight decay, on every tensor (of Adam and SGD: added to the gradient, as L2).
        beta1: decay of Adam's and AdamW's first moment, of Muon's for the tensors that AdamW updates; SGD has none.
        beta2: decay of the second moment, likewise.
        eps: epsilon of Adam and AdamW, likewise.
        warmup_steps: the learning rate rises linearly over this many updates; 0 means none.
        loss: what is minimised, `cross_entropy` or `stablemax` (Prieto et al. 2025).
        grokfast_lambda: strength of Grokfast's slow gradients, g' = g + lambda h; 0 switches the filter off.
        grokfast_alpha: memory of Grokfast's filter, h <- alpha h + (1 - alpha) g.
        perpendicular_gradient: remove from each tensor's gradient its part along the weights; `rescale` restores its norm.
        norm_constraint: after every update scale all weights back to their initial total norm (Omnigrok).
        name: `adamw`; `adam`, `sgd` (both with L2 in place of decoupled weight decay); `muon` for the matrices inside the layers
            and AdamW for all other tensors.
        momentum: of SGD and Muon.
        batch_size: number of training examples in an update, drawn anew in every epoch from the run's seed; none means all. Where
            it is not given, the batch of a recipe or file is half of the training set of another task or split, if that is less.
        decay_only: the tensors that have weight decay, by name or pattern such as `blocks.*`; `matrices` are all but biases and
            LayerNorms; empty for all tensors.
    """

    lr: float = 1e-3
    weight_decay: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-8
    warmup_steps: int = 0
    loss: LossName = "cross_entropy"
    grokfast_lambda: float = 0.0
    grokfast_alpha: float = 0.98
    perpendicular_gradient: PerpendicularGradient = "off"
    norm_constraint: bool = False
    name: OptimizerName = "adamw"
    momentum: float = _USUAL_MOMENTUM
    batch_size: int | None = None
    decay_only: tuple[str, ...] = ()

    later: ClassVar[tuple[str, ...]] = ("name", "momentum", "batch_size", "decay_only")

    def __post_init__(self) -> None:
        groups: tuple[tuple[tuple[str, ...], str, Callable[[float], bool]], ...] = (
            (("lr", "eps"), "a finite number > 0", lambda x: isfinite(x) and x > 0),
            (("weight_decay", "grokfast_lambda"), "a finite number >= 0", lambda x: isfinite(x) and x >= 0),
            (("beta1", "beta2", "grokfast_alpha", "momentum"), "a number in [0, 1)", lambda x: 0 <= x < 1),
        )
        is_list = isinstance(self.decay_only, tuple) and all(isinstance(one, str) and one for one in self.decay_only)
        refuse(
            *(number(f"optimizer.{name}", getattr(self, name), what, test) for names, what, test in groups for name in names),
            integer("optimizer.warmup_steps", self.warmup_steps, least=0),
            one_of("optimizer.loss", self.loss, get_args(LossName)),
            one_of("optimizer.perpendicular_gradient", self.perpendicular_gradient, get_args(PerpendicularGradient)),
            truth("optimizer.norm_constraint", self.norm_constraint),
            one_of("optimizer.name", self.name, get_args(OptimizerName)),
            None if self.batch_size is None else integer("optimizer.batch_size", self.batch_size, least=1),
            None if is_list else f"optimizer.decay_only: given {short(self.decay_only)}, expected names of tensors or patterns",
        )
        without_negative_zeros(self)
        refuse(*self._senseless())

    def check_batch(self, trained: int) -> None:
        """Error if a batch is larger than the training set.

        Args:
            trained: number of examples that are trained on.

        Raises:
            UsageError: with the largest batch that there can be.
        """
        if self.batch_size is not None and self.batch_size > trained:
            raise UsageError(
                f"optimizer.batch_size: given {self.batch_size}, but only {trained} examples are trained on; expected at most "
                f"{trained}, or none for all of them"
            )

    @property
    def unusual(self) -> str | None:
        """In what it is not AdamW on the full batch with one weight decay for all tensors, in words; None if it is that."""
        if self.name != "adamw":
            return f"optimizer {self.name!r}"
        if self.batch_size is not None:
            return f"batches (of {self.batch_size})"
        return f"weight decay of some tensors only ({', '.join(self.decay_only)})" if self.decay_only else None

    def _senseless(self) -> Iterator[str]:
        """Fields without effect."""
        if self.momentum != _USUAL_MOMENTUM and self.name not in ("sgd", "muon"):
            yield f"optimizer.momentum: given {self.momentum} with {self.name}, whose first moment decays by optimizer.beta1"
