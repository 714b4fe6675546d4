"""Configurations as other people store them: found under any of the usual names, their fields by one name each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor

from interp.interop.containers.stored_objects import StoredConfig
from interp.interop.stored_words import activation_in, is_of_activation, operation_in, says_nothing
from interp.interop.untrusted import stored_attributes
from interp.networks.shapes import ACTIVATIONS

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
    "act_fn": (
        "activation",
        "act",
        "activation_function",
        "activation_fn",
        "activation_name",
        "activation_type",
        "hidden_act",
        "hidden_activation",
        "mlp_act",
        "mlp_activation",
        "act_layer",
        "act_func",
        "act_name",
        "nonlinearity",
        "non_linearity",
    ),
    "fn_name": ("operation", "op", "task", "fn"),
    "n_ctx": ("seq_len", "context_length", "block_size", "max_len"),
    "d_vocab": ("vocab_size", "n_vocab", "num_tokens", "n_tokens"),
}
_OURS = {theirs.lower(): ours for ours, others in _FIELDS.items() for theirs in (ours, *others)}
_SHOWN = 20  # fields in a note
_OPTIMIZERS = ("optimizer", "optimizer_name", "optimizer_type", "optim", "opt")
# Words in the names of settings of a training that the configuration of an imported run does not have.
_UNHELD = re.compile(r"(?:^|_)(batch|batchsize|warmup|scheduler|schedule|loss|criterion|dropout|clip|momentum|smoothing)(?:_|$)")


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

    A table inside of a configuration (model, optimizer ...) counts as a part of it. A known field that is None, or is of the
    activation and names none (``none``), counts only where no other has its value.
    """
    fields: dict[str, object] = {}
    notes: list[str] = []
    configs = [(container.get(name), name) for container in containers for name in CONFIGS if is_config(container.get(name))]
    tables = [table for config, name in configs for table in _tables(config, name)]
    for where, values in tables:
        _take(fields, notes, {name: value for name, value in values.items() if not _is_unsaid(name, value)}, where)
    for where, values in tables:
        _take(fields, notes, {name: value for name, value in values.items() if _is_unsaid(name, value)}, where)
    return fields, notes


def joined(*configs: Mapping[str, object]) -> dict[str, object]:
    """The fields of several configurations, by our names: the first that has a field counts, if it has a value there.

    >>> joined({"act_fn": "none", "p": 13}, {"act_fn": "gelu", "p": 7})
    {'act_fn': 'gelu', 'p': 13}
    """
    found: dict[str, object] = {}
    for config in configs:
        for name, value in config.items():
            if name not in found or (_is_unsaid(name, found[name]) and not _is_unsaid(name, value)):
                found[name] = value
    return found


def loose_settings(container: Mapping[str, object]) -> dict[str, object]:
    """Known fields that stand beside the tensors, without a configuration around them: single numbers and texts."""
    found: dict[str, object] = {}
    for name, held in sorted(container.items(), key=lambda item: not _is_unsaid(str(item[0]), item[1])):
        ours, value = our_name(str(name)), _single(held)
        if ours is not None and value is not None and _is_understood(ours, str(name), value):
            found[ours] = _in_our_words(ours, value)
        elif str(name).lower() in _OPTIMIZERS and isinstance(value, str):
            found[str(name)] = value
    return found


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


def unheld_notes(config: Mapping[str, object]) -> list[str]:
    """Settings of a training that a configuration names and an imported run's does not have, in words.

    >>> unheld_notes({"batch_size": 64, "lr": 0.001, "loss": "mse", "dropout": 0.0})
    ["stated in the configuration, and not in that of the run: batch_size = 64, loss = 'mse'"]
    """
    stated = {name: value for name, value in config.items() if _UNHELD.search(name.lower()) and our_name(name) is None}
    said = [f"{name} = {value!r}" for name, value in stated.items() if value not in (None, 0, "", "None", "none")]
    shown = ", ".join(said[:_SHOWN]) + (", ..." if len(said) > _SHOWN else "")
    return [f"stated in the configuration, and not in that of the run: {shown}"] if said else []


def activation_notes(config: Mapping[str, object]) -> list[str]:
    """Fields of a configuration that may name the activation, and whose names are none that are read as it, in words.

    >>> activation_notes({"ffn_kind": "gelu", "p": 13})
    ["ffn_kind = 'gelu': may name the activation, and was not read as it; --activation (known.activation) says it"]
    """
    may_be = [
        f"{name} = {value!r}"
        for name, value in config.items()
        if isinstance(value, str) and our_name(name) is None and (is_of_activation(name) or activation_in(value) in ACTIVATIONS)
    ]
    told = "may name the activation, and was not read as it; --activation (known.activation) says it"
    return [f"{', '.join(may_be[:_SHOWN])}: {told}"] if may_be else []


def _tables(config: object, where: str) -> Iterator[tuple[str, dict[str, object]]]:
    """The plain fields of a configuration, and those of each table inside, with where they stand."""
    inner = config.attributes if isinstance(config, StoredConfig) else config
    tables = {name: value for name, value in inner.items() if is_config(value)} if isinstance(inner, Mapping) else {}
    plain = {name: value for name, value in stored_attributes(config).items() if name not in tables}
    if isinstance(inner, Mapping) and (pair := _betas(inner.get("betas"))):
        plain = pair | plain
    yield where, plain
    for name, table in tables.items():
        yield from _tables(table, f"{where}.{name}")


def _is_unsaid(name: str, value: object) -> bool:
    """Whether a field that is known has no value, or is of the activation and names none."""
    ours = our_name(name)
    return (ours is not None and value is None) or (ours == "act_fn" and says_nothing(value))


def _take(fields: dict[str, object], notes: list[str], plain: Mapping[str, object], where: str) -> None:
    for theirs, value in plain.items():
        ours = our_name(theirs) or theirs
        if ours != theirs and ours in plain:
            continue
        if value is None:
            fields.setdefault(ours, None)
        elif not _is_understood(ours, theirs, value):
            fields.setdefault(theirs, value)
            notes.append(f"{where}: {theirs} = {value!r} names no operation that is known here: taken as not stored")
        elif ours not in fields:
            fields[ours] = _in_our_words(ours, value)
            if ours != theirs:
                notes.append(f"{where}: {theirs} = {value!r} was read as {ours}")
        elif fields[ours] not in (value, _in_our_words(ours, value)):
            notes.append(f"{where}: {theirs} = {value!r} was not taken: {ours} is {fields[ours]!r} already")


def _is_understood(ours: str, theirs: str, value: object) -> bool:
    """Whether a value can be one of its field: ``task`` and the like may be any word, ``fn_name`` is an operation."""
    return ours != "fn_name" or theirs == "fn_name" or operation_in(value) is not None


def _in_our_words(ours: str, value: object) -> object:
    """The value of a field, where it is a word that others write differently."""
    if ours == "fn_name":
        return operation_in(value) or value
    return activation_in(value) if ours == "act_fn" else value


def _betas(value: object) -> dict[str, object]:
    """Adam's two rates of decay by our names, where a configuration has them as a pair."""
    found = value.tolist() if isinstance(value, Tensor) else value
    is_pair = isinstance(found, list | tuple) and len(found) == 2 and all(isinstance(one, int | float) for one in found)
    return dict(zip(("beta1", "beta2"), found, strict=True)) if is_pair and isinstance(found, list | tuple) else {}


def _single(value: object) -> object:
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else None
    return value if isinstance(value, str | int | float) else None
