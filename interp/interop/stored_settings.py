"""Configurations as other people store them: found under any of the usual names, their fields by one name each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from interp.interop.containers.stored_objects import StoredConfig
from interp.interop.untrusted import stored_attributes

CONFIGS = (
    "config", "cfg", "conf", "args", "hparams", "hyper_parameters", "hyperparameters", "hyperparams", "params", "settings",
    "model_config", "model_args", "train_config", "options",
)  # fmt: skip
# Our name for a field (the official code's, where it has one) and the names that others give to it.
_FIELDS: dict[str, tuple[str, ...]] = {
    "p": ("modulus", "mod", "prime", "P", "modulo"),
    "seed": ("random_seed", "rng_seed"),
    "frac_train": ("train_frac", "train_fraction", "training_fraction", "train_split", "frac", "fraction_train"),
    "lr": ("learning_rate", "base_lr"),
    "weight_decay": ("wd", "weightdecay", "l2"),
    "beta1": ("beta_1", "adam_beta1"),
    "beta2": ("beta_2", "adam_beta2"),
    "eps": ("epsilon", "adam_eps"),
    "n_heads": ("n_head", "num_heads", "nhead", "nheads", "heads", "num_attention_heads"),
    "n_layers": ("n_layer", "num_layers", "layers", "depth", "num_blocks", "num_hidden_layers"),
    "d_model": (
        "dim",
        "d_embed",
        "embed_dim",
        "emb_dim",
        "n_embd",
        "hidden_size",
        "hidden_dim",
        "model_dim",
        "dim_model",
        "width",
    ),
    "d_mlp": ("d_ff", "mlp_dim", "dim_feedforward", "ff_dim", "intermediate_size", "d_hidden"),
    "d_head": ("head_dim", "dim_head"),
    "act_fn": ("activation", "act", "activation_function", "nonlinearity"),
    "fn_name": ("operation", "op", "task", "fn"),
    "n_ctx": ("seq_len", "context_length", "block_size", "max_len"),
    "d_vocab": ("vocab_size", "n_vocab", "num_tokens", "n_tokens"),
}
_OURS = {theirs.lower(): ours for ours, others in _FIELDS.items() for theirs in (ours, *others)}
_OPTIMIZERS = ("optimizer", "optimizer_name", "optimizer_type", "optim", "opt")
_OPERATIONS = {
    "add": "add", "addition": "add", "+": "add", "plus": "add", "x+y": "add", "sum": "add", "modular_addition": "add",
    "modadd": "add", "subtract": "subtract", "subtraction": "subtract", "-": "subtract", "minus": "subtract", "x-y": "subtract",
    "multiply": "multiply", "multiplication": "multiply", "*": "multiply", "times": "multiply", "x*y": "multiply",
}  # fmt: skip


def our_name(field: str) -> str | None:
    """The name of a field here, from any of its usual names; None if it is not known.

    >>> our_name("num_heads"), our_name("modulus"), our_name("colour")
    ('n_heads', 'p', None)
    """
    return _OURS.get(field.lower())


def is_config(value: object) -> bool:
    """Whether this may be a configuration: fields, and no matrices of a model among them, at any depth."""
    fields = value.attributes if isinstance(value, StoredConfig) else value
    return isinstance(fields, Mapping) and len(fields) > 0 and not _has_matrices(fields)


def _has_matrices(value: object) -> bool:
    if isinstance(value, Mapping | list | tuple):
        return any(map(_has_matrices, value.values() if isinstance(value, Mapping) else value))
    return isinstance(value, Tensor) and value.ndim > 1


def stored_config(containers: Iterable[Mapping[str, object]]) -> tuple[dict[str, object], list[str]]:
    """The fields of every configuration in some containers, the first that has a field first; with notes on what was renamed.

    A table inside of a configuration (model, optimizer ...) counts as a part of it.
    """
    fields: dict[str, object] = {}
    notes: list[str] = []
    for container in containers:
        for name in CONFIGS:
            if is_config(container.get(name)):
                _take(fields, notes, container[name], name)
    return fields, notes


def loose_settings(container: Mapping[str, object]) -> dict[str, object]:
    """Known fields that stand beside the tensors, without a configuration around them: single numbers and texts."""
    found = {our_name(str(name)): _single(value) for name, value in container.items()}
    return {name: value for name, value in found.items() if name is not None and value is not None}


def optimizer_notes(config: Mapping[str, object]) -> list[str]:
    """That a configuration names an optimizer which a run's configuration cannot, in words.

    >>> optimizer_notes({"optimizer": "SGD"})
    ["optimizer: the configuration says 'SGD'; a run's configuration describes AdamW only, so that its optimizer is not this one"]
    """
    name = next((config[field] for field in _OPTIMIZERS if isinstance(config.get(field), str)), None)
    if name is None or str(name).lower().rpartition(".")[2] == "adamw":
        return []
    return [
        f"optimizer: the configuration says {name!r}; a run's configuration describes AdamW only, so that its optimizer is not "
        "this one"
    ]


def _take(fields: dict[str, object], notes: list[str], config: object, where: str) -> None:
    inner = config.attributes if isinstance(config, StoredConfig) else config
    tables = {name: value for name, value in inner.items() if is_config(value)} if isinstance(inner, Mapping) else {}
    plain = {name: value for name, value in stored_attributes(config).items() if name not in tables}
    for theirs, value in plain.items():
        ours = our_name(theirs) or theirs
        if ours != theirs and ours in plain:
            continue
        if ours not in fields:
            fields[ours] = _operation(value) if ours == "fn_name" else value
            if ours != theirs:
                notes.append(f"{where}: {theirs} = {value!r} was read as {ours}")
        elif fields[ours] not in (value, _operation(value)):
            notes.append(f"{where}: {theirs} = {value!r} was not taken: {ours} is {fields[ours]!r} already")
    for name, table in tables.items():
        _take(fields, notes, table, f"{where}.{name}")


def _operation(value: object) -> object:
    return _OPERATIONS.get(value.lower().replace(" ", ""), value) if isinstance(value, str) else value


def _single(value: object) -> object:
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else None
    return value if isinstance(value, str | int | float) else None
