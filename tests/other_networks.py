"""Small configurations of networks other than the one-layer transformer, and of other ways of training."""

from __future__ import annotations

from dataclasses import replace

from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig, RunConfig
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

SMALL = RunConfig(
    task=ModularTask(7),
    split=SplitConfig(fraction=0.6, seed=1),
    model=ModelConfig(d_model=12, n_heads=2, d_mlp=10),
    checkpoints=CheckpointConfig(log=0, every=10),
    steps=30,
    evaluate_every=5,
    threads=1,
)
_SMALL = SMALL.model
MODELS = {
    "two layers": replace(_SMALL, n_layers=2),
    "three layers, pre": replace(_SMALL, n_layers=3, normalization="pre", biases="all", activation="gelu"),
    "one layer, pre": replace(_SMALL, normalization="pre", biases="none"),
    "two layers, post": replace(_SMALL, n_layers=2, normalization="post", biases="all"),
    "attention only": ModelConfig(architecture="attention-only", d_model=12, n_heads=2, n_layers=2),
    "attention only, post": ModelConfig(architecture="attention-only", d_model=12, n_heads=2, normalization="post"),
    "tied": replace(_SMALL, n_layers=2, tied_unembedding=True, biases="all"),
    "square": replace(_SMALL, activation="square"),
    "constant attention": replace(_SMALL, n_layers=2, attention_rate=0.0),
    "mlp": ModelConfig(architecture="mlp", d_mlp=20, activation="square"),
    "mlp, tied": ModelConfig(architecture="mlp", d_mlp=20, tied_embeddings=True, biases="all"),
}
OPTIMIZERS = {
    "batches": OptimizerConfig(batch_size=8),
    "adam": OptimizerConfig(name="adam", weight_decay=0.01),
    "sgd": OptimizerConfig(name="sgd", weight_decay=0.01, lr=0.05, momentum=0.8),
    "muon": OptimizerConfig(name="muon", batch_size=8),
    "matrices": OptimizerConfig(decay_only=("matrices",), warmup_steps=3),
}


def small(model: ModelConfig = MODELS["two layers"], optimizer: OptimizerConfig | None = None) -> RunConfig:
    """A small run of a network."""
    return replace(SMALL, model=model, optimizer=optimizer or OptimizerConfig())
