"""What tensors are usually called: a name in a state dict of plain PyTorch, nanoGPT, flax ..., and what it is in ours.

A name is read from its end. ``transformer.h.0.attn.c_proj.weight`` is a weight (the last part), its module is ``c_proj``, and
that stands in attention, so it is ``W_O``; in an MLP it would be ``W_out``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TypeGuard

import torch
from torch import Tensor

_ATTENTION = re.compile(r"^(self_?|multi_?head_?|causal_?|masked_?|cross_?)*(attn|attention|mha|msa|sa)(_?\w*)$")
_MLP = re.compile(r"^(mlp|ff|ffn|ffwd|feed_?forward|fcn|dense_net|feedforward_net)(_?\w*)$")
_KINDS = ("weight", "bias", "kernel", "embedding", "scale", "weights")

# Modules whose name says what they are, wherever they stand.
_ANYWHERE: dict[str, str] = {
    "QKV": r"(w_?)?qkv(_?(proj|linear|weight|bias))?|c_attn|in_proj(_weight|_bias)?|query_key_value|(to|proj|linear|attn)_qkv",
    "Q": r"q|(w_?|to_|c_|proj_|linear_|fc_|attn_)q|b_q|q(uery|ueries)?(_?(proj|lin|linear|weight|bias|layer))?|queries",
    "K": r"k|(w_?|to_|c_|proj_|linear_|fc_|attn_)k|b_k|k(ey|eys)?(_?(proj|lin|linear|weight|bias|layer))?",
    "V": r"v|(w_?|to_|c_|proj_|linear_|fc_|attn_)v|b_v|v(alue|alues)?(_?(proj|lin|linear|weight|bias|layer))?",
    "O": r"o|(w_?|to_|linear_|fc_|attn_)o|b_o|o_?(proj|lin|linear)|to_out",
    "in": r"w_?in|b_in|fc_?1|lin(ear)?_?1|dense_?1|c_fc|fc_in|in_fc|linear_in|mlp_in|up_?proj|w_?1|b_?1|dense_h_to_4h|up|hidden",
    "out": r"w_?out|b_out|fc_?2|lin(ear)?_?2|dense_?2|out_fc|linear_out|mlp_out|down_?proj|w_?2|b_?2|dense_4h_to_h|down",
    "U": r"un_?embed\w*|lm_?head|w_?u|b_u|u|de_?embed\w*|to_logits|logits?|read_?out|classifier|"
    r"output_?(layer|proj|projection|head)|(fc|linear|proj)_?(final|last|logits)|final(_?\w+)?|decoder|head(_out)?|vocab_proj",
    "pos": r"(w_?)?pos(ition|itional|itions)?(_?(emb|enc)\w*)?|wpe|pe|learned_pos\w*|emb\w*_pos\w*",
    "E": r"w_?e|wte|e|emb\w*|tok(en|ens)?(_?(emb)\w*)?|(word|input|vocab|num|number|symbol)_?emb\w*",
}  # fmt: skip
# Modules whose name says it only together with where they stand.
_IN_ATTENTION = {
    "O": r"out_?proj|c_?proj|proj(ection)?|out(put)?|dense|fc(_out)?|out_?lin(ear)?|linear|out_fc|linear_out|w_?out|b_out"
}
_IN_MLP = {
    "in": r"in(put)?|in_?proj|lin(ear)?_?in|layer_?1|first|expand|proj_in|dense_in",
    "out": r"out(put)?|out_?proj|c_?proj|fc_out|lin(ear)?_?out|layer_?2|second|contract|proj(_out)?|dense_out",
}
_ELSEWHERE = {"O": r"out_proj", "U": r"out(put)?|fc(_out)?|linear|proj(ection)?(_out)?|dense"}

NORM = re.compile(r"(^|[._])(ln|bn|layer_?norm|rms_?norm|batch_?norm)(_?[a-z0-9]+)*([._]|$)|norm", re.IGNORECASE)
MASK = re.compile(
    r"(^|[._])((causal_?|attn_?|attention_?|masked_?)?mask\w*|tril|masked_bias|ignore|position_ids|causal)$", re.IGNORECASE
)
ROTARY = re.compile(r"rotary|(^|[._])(inv_freq|rope|freqs?_cis|(cos|sin)_cached)([._]|$)", re.IGNORECASE)
GATE = re.compile(r"(^|[._])(w_?gate|gate(_?proj)?|b_gate|(w|fc|linear|lin|l)_?3)([._]|$)", re.IGNORECASE)


def role_of(name: str) -> str | None:
    """What a tensor is by its name: ``W_E``, ``W_QKV``, ``b_in`` ...; None if the name tells nothing.

    >>> [role_of(name) for name in ("tok_embed.weight", "attn.out_proj.bias", "mlp.c_proj.weight", "lm_head.weight", "foo")]
    ['W_E', 'b_O', 'W_out', 'W_U', None]
    """
    parts = name.lower().split(".")
    if len(parts) > 1 and parts[-1] == "value" and parts[-2] in _KINDS:  # flax's nnx: `query.kernel.value`
        parts = parts[:-1]
    module = parts[:-1] if parts[-1] in _KINDS and len(parts) > 1 else parts
    while len(module) > 1 and module[-1].isdigit():  # the first of a Sequential
        module = module[:-1]
    found = _module(module)
    if found is None:
        return None
    if found == "pos":
        return "W_pos"
    is_bias = parts[-1] == "bias" or parts[-1].endswith("_bias") or parts[-1].startswith("b_") or bool(_B.fullmatch(parts[-1]))
    return f"{'b' if is_bias else 'W'}_{found}"


_NUMBERED = re.compile(r"(?P<stem>|Dense|dense|layers?|linears?|lin|fc)_?(?P<number>\d+)")
_B = re.compile(r"b\d")


def _module(parts: list[str]) -> str | None:
    last, above = parts[-1], parts[:-1]
    in_attention, in_mlp = (any(pattern.match(part) for part in above) for pattern in (_ATTENTION, _MLP))
    here = _IN_MLP if in_mlp else _IN_ATTENTION if in_attention else {}
    for table in (here, _ANYWHERE, {} if here else _ELSEWHERE):
        for role, pattern in table.items():
            if re.fullmatch(pattern, last):
                return role
    # nn.Embedding in a module of its own: `embedding.token.weight`, `pos_embed.embedding`.
    return next((found for part in reversed(above) if (found := _embedding(part))), None)


def _embedding(part: str) -> str | None:
    return next((role for role in ("U", "pos", "E") if "emb" in part and re.fullmatch(_ANYWHERE[role], part)), None)


def roles_of(names: Collection[str]) -> dict[str, str]:
    """The roles of all names that tell one; the layers of a Sequential in an MLP by their order."""
    found = {name: role for name in names if (role := role_of(name))}
    return found | _numbered(names)


def _numbered(names: Collection[str]) -> dict[str, str]:
    """``mlp.0.weight`` and ``mlp.2.weight``, or flax's ``Dense_0`` and ``Dense_1``, are the two layers of an MLP."""
    numbers: dict[str, dict[int, list[str]]] = {}
    for name in names:
        parts = name.split(".")
        for i, part in enumerate(parts):
            match = _NUMBERED.fullmatch(part)
            if match is not None and (_has_mlp(parts[:i]) or match["stem"] == "Dense"):
                numbers.setdefault(".".join([*parts[:i], match["stem"]]), {}).setdefault(int(match["number"]), []).append(name)
                break
    found: dict[str, str] = {}
    for layers in numbers.values():
        if len(layers) == 2:
            for role, (_, inside) in zip(("in", "out"), sorted(layers.items()), strict=True):
                found |= {name: f"{'b' if name.endswith('bias') else 'W'}_{role}" for name in inside}
    return found


def _has_mlp(parts: list[str]) -> bool:
    return any(_MLP.match(part.lower()) for part in parts)


def layers_of(roles: Mapping[str, str]) -> int:
    """How many layers of attention there are: modules that hold queries, of one head or of all.

    >>> layers_of({f"blocks.{i}.attn.heads.{head}.q.weight": "W_Q" for i in (0, 1) for head in (0, 1, 2)})
    2
    """
    return len({_before_attention(name) for name, role in roles.items() if role in ("W_Q", "W_QKV")})


def _before_attention(name: str) -> str:
    parts = name.split(".")
    at = next((i for i, part in enumerate(parts) if _ATTENTION.match(part.lower())), len(parts) - 2)
    return ".".join(parts[: max(at, 0)])


def stacked_heads(state: Mapping[str, object]) -> dict[str, object]:
    """A state dict in which tensors of one head each, ``heads.0.q`` and ``heads.1.q``, are one tensor ``heads.*.q``.

    >>> {name: tuple(t.shape) for name, t in stacked_heads({f"heads.{i}.q": torch.zeros(4, 8) for i in (0, 1, 2)}).items()}
    {'heads.*.q': (3, 4, 8)}
    """
    groups: dict[str, dict[int, object]] = {}
    for name, value in state.items():
        if match := _ONE_HEAD.fullmatch(name):
            groups.setdefault(f"{match['before']}.*.{match['after']}", {})[int(match["number"])] = value
    stacked: dict[str, object] = {}
    for name, heads in groups.items():
        if (role_of(name) or "")[2:] not in ("Q", "K", "V", "O"):
            continue
        tensors = [heads[number] for number in sorted(heads)]
        whole = [tensor for tensor in tensors if is_dense(tensor) and tensor.shape == getattr(tensors[0], "shape", None)]
        if len(whole) == len(tensors) == max(heads) + 1 and len({tensor.dtype for tensor in whole}) == 1:
            stacked[name] = torch.stack(whole)
    gone = {name for name in state if (match := _ONE_HEAD.fullmatch(name)) and f"{match['before']}.*.{match['after']}" in stacked}
    return {name: value for name, value in state.items() if name not in gone} | stacked


def is_dense(value: object) -> TypeGuard[Tensor]:
    """Whether this is a tensor that can be weights: dense, of real floating-point numbers."""
    return isinstance(value, Tensor) and value.layout is torch.strided and value.is_floating_point()


_ONE_HEAD = re.compile(r"(?P<before>(?:.*\.)?(?:attn_?|attention_?)?heads?)\.(?P<number>\d{1,3})\.(?P<after>.+)")
