"""The clock/pizza code's files (Zhong et al. 2023): a state dict, and beside it a .json, which alone has the attention rate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from interp.errors import DataError
from interp.interop.containers import limits
from interp.interop.split import pair_losses
from interp.networks.one_layer import Weights
from interp.reading import JSON_BYTES, parsed_json, read_file
from interp.tasks.modular import ModularTask, Operation

_SIGNS: dict[str, Operation] = {"+": "add", "-": "subtract", "*": "multiply"}
_FUNCTION = re.compile(r"lambda (\w+): \(\1\[0\] ?([-+*]) ?\1\[1\]\) ?% ?(\d+)")


def config_beside(path: Path) -> Path | None:
    """The .json that belongs to a .pt: the same name, or ``config_X.json`` for ``model_X.pt``; None if there is none."""
    candidates = [path.with_suffix(".json"), path.with_name(re.sub(r"^model_", "config_", path.stem) + ".json")]
    return next((candidate for candidate in candidates if candidate != path and candidate.is_file()), None)


def read_config(path: Path) -> Mapping[str, object] | None:
    """The configuration beside a .pt; None if there is none, or if it lacks ``attn_coeff``, the attention rate of this code.

    Raises:
        DataError: if it cannot be read, or describes a model that `Weights` cannot hold.
    """
    beside = config_beside(path)
    if beside is None:
        return None
    try:
        limits.check("the configuration beside it", beside.stat().st_size, limits.HEADER, "bytes")
        config = parsed_json(read_file(beside, at_most=JSON_BYTES))
    except OSError as error:
        raise DataError(f"{beside}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{beside}: not a JSON file ({error})") from error
    if not isinstance(config, dict) or "attn_coeff" not in config:
        return None
    problems = [
        *_unless("attn_coeff", config, _is_rate(config["attn_coeff"]), "a number in 0..1"),
        *_unless("n_layers", config, config.get("n_layers", 1) == 1, "1"),
        *_unless("diff_vocab", config, not config.get("diff_vocab"), "false (one vocabulary for a and b)"),
        *_unless("use_linear", config, not config.get("use_linear"), "false (a transformer)"),
        *_unless("act_fn", config, config.get("act_fn", "ReLU") in ("ReLU", "GeLU"), "ReLU or GeLU"),
    ]
    if problems:
        raise DataError(f"{beside}: not a model that can be held:\n  " + "\n  ".join(problems))
    return config


def operation_of(config: Mapping[str, object]) -> Operation:
    """The operation in the text of ``funcs``, such as ``lambda x: (x[0]+x[1])%59``, which is matched and never evaluated.

    >>> operation_of({"funcs": "lambda x: (x[0]-x[1])%59"})
    'subtract'

    Raises:
        DataError: if the text has another form, or its modulus is not the config's ``C``.
    """
    text = config.get("funcs")
    match = _FUNCTION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or int(match[3]) != config.get("C", int(match[3])):
        raise DataError(
            f"funcs: given {text!r} with C = {config.get('C')!r}, expected a text like "
            "'lambda x: (x[0]+x[1])%59' with C = 59 and one of + - *; it is read as text and never evaluated"
        )
    return _SIGNS[match[2]]


def check_config(config: Mapping[str, object], weights: Weights) -> None:
    """Check that a configuration belongs to a model: by its sizes, and because no other rate makes the model work far better.

    Raises:
        DataError: if it belongs to another model.
    """
    facts = {"C": weights.p, "d_model": weights.d_model, "n_heads": weights.n_heads, "d_head": weights.d_head}
    wrong = [
        f"{k}: the .json has {config[k]!r}, the tensors have {v}" for k, v in facts.items() if k in config and config[k] != v
    ]
    if "eqn_sign" in config and bool(config["eqn_sign"]) != weights.equals_sign:
        wrong.append(f"eqn_sign: the .json has {config['eqn_sign']!r}, the tensors have {weights.n_ctx} positions")
    if wrong:
        raise DataError("the .json belongs to another model:\n  " + "\n  ".join(wrong))
    task = ModularTask(weights.p, operation_of(config), equals_sign=weights.equals_sign)
    opposite = Weights(**weights.tensors(), activation=weights.activation, attention_rate=float(weights.attention_rate < 0.5))
    stated_loss, opposite_loss = (float(pair_losses(model, task).mean()) for model in (weights, opposite))
    # Nothing is said about untrained models, whose loss is high with any rate.
    if opposite_loss < 0.1 * min(stated_loss, 1):
        raise DataError(
            f"the .json belongs to another model: with its attention rate, {weights.attention_rate:g}, this one has loss "
            f"{stated_loss:.3g}, with {opposite.attention_rate:g} it has {opposite_loss:.3g}"
        )


def _unless(name: str, config: Mapping[str, object], right: bool, expected: str) -> list[str]:
    return [] if right else [f"{name}: given {config.get(name)!r}, expected {expected}"]


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
