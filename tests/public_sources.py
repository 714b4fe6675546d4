"""Files in the forms of public sources, made by hand, and the table of what becomes of each.

python tests/public_sources.py    # writes the table in docs/importing-sources.md
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from foreign import legacy_state_by_hand, official_state, save
from foreign_forms import State, flax, merged_output, multihead, nano_gpt, out_in, plain_linear
from published_groups import config, coset_mlp, transformer_state, written
from safetensors.torch import save_file
from wide_clock import wide_clock

from interp.errors import DataError, UsageError
from interp.interop import Known, load_run
from interp.interop.imported import measured_row
from interp.networks.bridge import BRIDGE, bridge_facts
from interp.networks.one_layer import Weights
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

PAGE = Path(__file__).parent.parent / "docs" / "importing-sources.md"
BEGIN, END = "<!-- made: sources -->\n", "<!-- end -->"
NOTHING, HEADS = Known(), Known(n_heads=4)


@dataclass(frozen=True)
class Source:
    """A public source.

    Attributes:
        name: what it is called, and where it is.
        version: as of which date, commit or version its form was seen.
        form: what its file holds.
        make: a file of that form in a folder.
        comes_in: what comes in, in words; empty if it is refused.
        known: what has to be given.
    """

    name: str
    version: str
    form: str
    make: Callable[[Path], Path]
    comes_in: str = ""
    known: Known = NOTHING


def model() -> Weights:
    """Of the official architecture: biases in the MLP only."""
    return without(wide_clock(biases=False), "b_Q")


def without(weights: Weights, *names: str) -> Weights:
    """Fewer biases; with those of queries gone its attention is uniform, which the clock can do with."""
    return Weights(**{name: tensor for name, tensor in weights.tensors().items() if name not in names})


def with_mlp_biases(weights: Weights) -> Weights:
    """With biases that are zero in the MLP."""
    zeros = {"b_in": weights.W_in.new_zeros(weights.d_mlp), "b_out": weights.W_in.new_zeros(weights.d_model)}
    return Weights(**{**weights.tensors(), **zeros})


def official_run(folder: Path) -> Path:
    states = [official_state(with_mlp_biases(model())) for _ in range(3)]
    measured = measured_row(model(), ModularTask(13), SplitConfig("python", 0, 0.3).draw(ModularTask(13)))
    content: dict[str, object] = {"state_dicts": states, "epochs": [0, 100, 200]}
    content |= {f"{which}_losses": [measured[f"{which}_loss"]] * 201 for which in ("train", "test")}
    return save(content | {"config": {"p": 13, "fn_name": "add", "frac_train": 0.3, "seed": 0}}, folder / "full_run_data.pth")


def official_final(folder: Path) -> Path:
    content = {"model": official_state(with_mlp_biases(model())), "epoch": 200}
    content |= {"config": {"seed": 0, "frac_train": 0.3, "fn_name": "add", "p": 13}}
    return save(content, folder / "final.pth")


def demo(folder: Path) -> Path:
    states = [legacy_state_by_hand(model()) for _ in range(2)]
    pairs = torch.randperm(169)
    content = {"model": states[-1], "config": {"n_layers": 1, "normalization_type": None, "act_fn": "relu", "n_heads": 4}}
    content |= {"checkpoints": states, "checkpoint_epochs": [99, 199], "train_losses": [1.0] * 200, "test_losses": [2.0] * 200}
    return save(content | {"train_indices": pairs[:50], "test_indices": pairs[50:]}, folder / "grokking_demo.pth")


def with_layer_norm(folder: Path) -> Path:
    norms = {f"blocks.0.{name}": torch.ones(16).double() for name in ("ln1.w", "ln1.b", "ln2.w", "ln2.b")}
    return save({"model": legacy_state_by_hand(model()) | norms}, folder / "model.pth")


def bridge(folder: Path) -> Path:
    weights = wide_clock()
    return save({"state_dict": BRIDGE.write(weights), "config": bridge_facts(weights), "epoch": 7}, folder / "bridge.pt")


def pizza(folder: Path, **changes: object) -> Path:
    config = {"funcs": "lambda x: (x[0]+x[1])%13", "C": 13, "attn_coeff": 0, "eqn_sign": False, "epoch": 20000, "act_fn": "ReLU"}
    (folder / "config_abc.json").write_text(json.dumps(config | changes))
    two = without(wide_clock(equals_sign=False, biases=False), "b_Q")
    return save(official_state(with_mlp_biases(two)), folder / "model_abc.pt")


def linears(folder: Path, **embeddings: torch.Tensor) -> Path:
    layer = torch.nn.Linear(8, 8)
    state = {
        **embeddings,
        "unembed.weight": torch.randn(13, 8),
        "l1.weight": layer.weight.detach(),
        "l1.bias": layer.bias.detach(),
    }
    (folder / "config_abc.json").write_text(json.dumps({"C": 13, "model_type": "A"}))
    return save(state, folder / "model_abc.pt")


def group_mlp(folder: Path) -> Path:
    config(folder, "S4")
    return written(folder, coset_mlp("S4"))


def group_transformer(folder: Path) -> Path:
    config(folder, "S4", "Transformer")
    return written(folder, transformer_state("S4")[1])


def openai_grok(folder: Path) -> Path:
    state: State = {"transformer.embedding.weight": torch.randn(99, 16), "transformer.position_encoding": torch.randn(50, 16)}
    for block in (f"transformer.decoder.blocks.{i}" for i in (0, 1)):
        for head in range(4):
            state |= {f"{block}.self_attn.attn_heads.{head}.W{which}.weight": torch.randn(4, 16) for which in "qkv"}
        state |= {f"{block}.self_attn.Wo.weight": torch.randn(16, 16), f"{block}.ffn.ffn.0.weight": torch.randn(64, 16)}
        state |= {
            f"{block}.{norm}.{kind}": torch.ones(16) for norm in ("self_attn_norm", "ffn_norm") for kind in ("weight", "bias")
        }
    return save({"state_dict": state | {"transformer.linear.weight": torch.randn(99, 16)}}, folder / "epoch_100.ckpt")


def grokfast(folder: Path) -> Path:
    state: State = {"token_embeddings.weight": torch.randn(15, 16), "position_embeddings.weight": torch.randn(5, 16)}
    for i in (0, 1):
        state |= {f"layers.{i}.ln_1.weight": torch.ones(16), f"layers.{i}.ln_1.bias": torch.zeros(16)}
        attention = torch.nn.MultiheadAttention(16, 4).state_dict()
        state |= {f"layers.{i}.attn.{name}": tensor for name, tensor in attention.items()}
    return save({"state_dict": state | {"head.weight": torch.randn(15, 16)}}, folder / "res.pt")


def one_hot(folder: Path) -> Path:
    return save({"W_in.weight": torch.randn(32, 26), "W_out.weight": torch.randn(13, 32)}, folder / "mlp.pt")


def miscope(folder: Path) -> Path:
    save_file(legacy_state_by_hand(model()), folder / "checkpoint_epoch_00200.safetensors")
    return folder / "checkpoint_epoch_00200.safetensors"


def porth_bot(folder: Path) -> Path:
    state = nano_gpt(model())
    renamed = {name.replace("transformer.h.0", "blocks.0").replace("c_attn", "qkv"): tensor for name, tensor in state.items()}
    norms = {f"blocks.0.ln{i}.{kind}": torch.ones(16).double() for i in (1, 2) for kind in ("gamma", "beta")}
    return save(renamed | norms, folder / "model.pt")


def capacity(folder: Path) -> Path:
    state: State = {"embedding.weight": torch.randn(15, 16), "norm.weight": torch.ones(16), "out.weight": torch.randn(15, 16)}
    state |= {f"layers.0.attn.w{which}.weight": torch.randn(16, 16) for which in "qkvo"}
    state |= {f"layers.0.ff.w{i}.weight": torch.randn(64, 16) for i in (1, 3)} | {"layers.0.attn.norm.weight": torch.ones(16)}
    return save(state | {"layers.0.ff.w2.weight": torch.randn(16, 64)}, folder / "model.pt")


def layernorm_grok(folder: Path) -> Path:
    """nn.MultiheadAttention without biases, fc1 and fc2 of nn.Linear, an unembedding (d_model, classes)."""
    weights = with_mlp_biases(without(wide_clock(biases=False, equals_class=True), "b_Q"))
    state = {name.replace("self_attn", "layers.0.attn"): tensor for name, tensor in multihead(weights).items()}
    names = {"mlp.0": "layers.0.mlp.fc1", "mlp.2": "layers.0.mlp.fc2", "embedding": "embed", "pos_embedding": "pos_emb"}
    for theirs, ours in names.items():
        state = {name.replace(theirs, ours, 1) if name.startswith(theirs) else name: tensor for name, tensor in state.items()}
    state["unembed.weight"] = state.pop("output.weight").T.contiguous()
    state["pos_emb"] = weights.W_pos
    return save(state, folder / "model.pt")


def with_norm(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        norms = {f"{name}.weight": torch.ones(16).double(), f"{name}.bias": torch.zeros(16).double()}
        return save(nano_gpt(model()) | norms, folder / "model.pt")

    return make


def encoder(folder: Path) -> Path:
    layer = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(16, 4, 32), 1, enable_nested_tensor=False)
    state = {"embedding.weight": torch.randn(14, 16), "pos_embedding": torch.randn(3, 16), "fc.weight": torch.randn(13, 16)}
    return save(state | {f"encoder.{name}": tensor for name, tensor in layer.state_dict().items()}, folder / "model.pt")


def mechanism(folder: Path) -> Path:
    state = flax(model())
    named = {name.replace("params.", "").replace("attn.", "attn.mha."): tensor for name, tensor in state.items()}
    dense = {"mlp.Dense_0": "mlp.w_in", "mlp.Dense_1": "mlp.w_out"}
    for theirs, ours in dense.items():
        named = {name.replace(theirs, ours): tensor for name, tensor in named.items()}
    return save(named, folder / "params.pt")


def loose_linears(folder: Path) -> Path:
    state = plain_linear(model())
    names = {f"attn.{which}_proj": f"W_{which.upper()}" for which in "qkvo"} | {"fc1": "mlp_in", "fc2": "mlp_out"}
    for theirs, ours in names.items():
        state = {name.replace(theirs, ours): tensor for name, tensor in state.items()}
    return save(state, folder / "model.pt")


def one_head_each(folder: Path) -> Path:
    weights = model()
    state = {name: tensor for name, tensor in plain_linear(weights).items() if not name.startswith("attn")}
    for head in range(weights.n_heads):
        for which in ("query", "key", "value"):
            matrix = getattr(weights, f"W_{which[0].upper()}")[head]
            state[f"sa.heads.{head}.{which}.weight"] = out_in(matrix).contiguous()
    return save(state | {"sa.proj.weight": out_in(merged_output(weights)).contiguous()}, folder / "model.pt")


def embedding(size: int = 8) -> torch.Tensor:
    return torch.randn(13, size)


SOURCES = (
    Source(
        "official grokking code (Nanda et al. 2023)",
        "progress-measures-paper, 2023",
        "a dict with `state_dicts`, `epochs`, `train_losses`, `test_losses`, `config`",
        official_run,
        "every checkpoint with its epoch, losses, the split by its seed",
    ),
    Source(
        "official grokking code, final model",
        "the same",
        "a dict with `model`, `config`, `epoch`",
        official_final,
        "the model, its step, the split by its seed and fraction unless losses speak against it",
    ),
    Source(
        "TransformerLens' grokking demo",
        "TransformerLens 1 to 3",
        "a dict with `model`, `checkpoints`, `checkpoint_epochs`, losses, `train_indices`",
        demo,
        "every checkpoint with its epoch, losses, the stored split",
    ),
    Source(
        "TransformerLens HookedTransformer with LayerNorm",
        "TransformerLens 1 to 3",
        "a state dict with `ln1.w`, `ln1.b` ...",
        with_layer_norm,
    ),
    Source(
        "TransformerLens bridge",
        "TransformerLens 4.3",
        "a dict with `state_dict` of merged heads, `config`, `epoch`",
        bridge,
        "the model and its step",
    ),
    Source(
        "clock/pizza code (Zhong et al. 2023), transformers",
        "fjzzq2002/pizza, 2023",
        "a state dict, and beside it a .json with `attn_coeff`",
        pizza,
        "the model, its attention rate, its operation and step",
    ),
    Source(
        "clock/pizza code, `diff_vocab`",
        "fjzzq2002/pizza, 2023",
        "the same, with `diff_vocab` in the .json",
        lambda folder: pizza(folder, diff_vocab=True),
    ),
    Source(
        "clock/pizza code, linear models A to D",
        "fjzzq2002/pizza, 2023",
        "`embed`, `l1`, `unembed`",
        lambda folder: linears(folder, **{"embed.weight": embedding()}),
    ),
    Source(
        "clock/pizza code, linear model X",
        "fjzzq2002/pizza, 2023",
        "`embed1`, `embed2`, `l1`, `unembed`",
        lambda folder: linears(folder, **{"embed1.weight": embedding(), "embed2.weight": embedding()}),
    ),
    Source(
        "group-representation code (Chughtai et al. 2023), MLP",
        "rep-theory-mech-interp, 2023",
        "a state dict `W_x`, `W_y`, `W`, `W_U`, and beside it a `cfg.json`",
        group_mlp,
        "the MLP of two embeddings, its group, step and optimizer, the split by its seed and fraction",
    ),
    Source(
        "group-representation code, transformer",
        "the same",
        "a HookedTransformer's state dict, and beside it a `cfg.json`",
        group_transformer,
        "the model, its group, step and optimizer, the split by its seed and fraction",
    ),
    Source(
        "openai/grok (Power et al. 2022)",
        "43efed2, 2022",
        "a Lightning checkpoint: two blocks, `attn_heads.0.Wq`, `self_attn_norm`",
        openai_grok,
    ),
    Source(
        "Grokfast (Lee et al. 2024), modular arithmetic",
        "ironjr/grokfast, 2024",
        "state dicts of two layers with `ln_1`",
        grokfast,
    ),
    Source(
        "MLP on one-hot pairs (Gromov 2023; MIScope's)",
        "training-dynamics-workbench 8b66f6b",
        "`W_in` (neurons, 2p), `W_out` (p, neurons)",
        one_hot,
    ),
    Source(
        "MIScope, one-layer transformer",
        "training-dynamics-workbench e272631",
        "a HookedTransformer's state dict as safetensors for each epoch",
        miscope,
        "the model",
    ),
    Source("porth-bot's grokking-transformer", "14f6f74, 2026", "`blocks.0.attn.qkv`, `ln1.gamma`, `ln1.beta`", porth_bot),
    Source(
        "grokking-capacity, mlx-grokking",
        "1653226, 2026",
        "RMSNorm as `norm.weight`, rotary positions without a tensor, `ff.w1` to `ff.w3`",
        capacity,
    ),
    Source(
        "layernorm-grok (Singh et al.), without LayerNorm",
        "2199213",
        "nn.MultiheadAttention, `fc1`, `fc2`, an unembedding (in, out)",
        layernorm_grok,
        "the model; the heads are to be given",
        HEADS,
    ),
    Source("layernorm-grok, with LayerNorm", "2199213", "the same with `ln1`", with_norm("layers.0.ln1")),
    Source(
        "nanoGPT, one layer",
        "with `ln_1`, as it comes",
        "`transformer.h.0.attn.c_attn` ..., `ln_1`",
        with_norm("transformer.h.0.ln_1"),
    ),
    Source(
        "nanoGPT's names without its LayerNorm",
        "one layer",
        "`transformer.h.0.attn.c_attn`, the mask as `attn.bias`",
        lambda folder: save(nano_gpt(model()), folder / "ckpt.pt"),
        "the model; the heads are to be given",
        HEADS,
    ),
    Source("torch.nn.TransformerEncoder", "torch 2", "`layers.0.self_attn.in_proj_weight`, `norm1`", encoder),
    Source(
        "grokking-mechanism, the JAX side",
        "575-lab, flax nnx",
        "`attn.mha.query.kernel` (d_model, heads, d_head), `mlp.w_in.kernel`",
        mechanism,
        "the model",
    ),
    Source(
        "plain PyTorch, nn.Linear for everything",
        "reproductions of Nanda et al.",
        "`embed`, `pos_embed`, `W_Q` to `W_O`, `mlp_in`, `mlp_out`, `unembed`",
        loose_linears,
        "the model; the heads are to be given",
        HEADS,
    ),
    Source(
        "plain PyTorch, one module for each head",
        "reproductions of Nanda et al.",
        "`sa.heads.0.key`, `sa.heads.1.key` ...",
        one_head_each,
        "the model",
    ),
)


def became(source: Source, folder: Path) -> tuple[str, str, bool]:
    """The format as which a file of the source is read, or nothing; what is said where it is not; whether a split is found."""
    path = source.make(folder)
    try:
        found = load_run(path, known=source.known)
    except (DataError, UsageError) as error:
        return "", str(error).replace(f"{path}: ", "").replace(f"{folder}/", ""), False
    return found.format, "", found.split is not None


def table(folder: Path) -> str:
    """The table of all sources."""
    torch.manual_seed(0)
    lines = ["| source | version | form | read as | as a run | what comes in, or why not |", "|---|---|---|---|---|---|"]
    for i, source in enumerate(SOURCES):
        inside = folder / str(i)
        inside.mkdir()
        format, refused, has_split = became(source, inside)
        said = refused.partition("; what can be held")[0].replace("\n ", "").replace("|", "\\|")
        run = "no" if not format else "yes" if has_split else "with `--split`"
        told = [source.name, source.version, source.form, format or "refused", run, source.comes_in or said]
        lines.append(f"| {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        text = PAGE.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}{table(Path(made))}{END}{after}")
    sys.stdout.write(f"wrote {PAGE}\n")
