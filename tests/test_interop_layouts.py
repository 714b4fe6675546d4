"""Plain models of any code: which tensor is which, in which order its axes are stored, and what is asked where neither tells."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign import official_state, save
from foreign_forms import FORMS, State, conv1d, interleaved, merged, multihead, nano_gpt, out_in, plain_left, plain_linear
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_models import BIASES, all_pairs, random_weights
from wide_clock import wide_clock

from interp.errors import DataError, UsageError
from interp.interop import Known, explain, load_run, load_weights
from interp.interop.usual_names import role_of
from interp.networks.one_layer import Weights, forward

in_files = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def logits(weights: Weights) -> torch.Tensor:
    return forward(weights, all_pairs(weights.p)).all_logits


def assert_same_function(one: Weights, other: Weights) -> None:
    torch.testing.assert_close(logits(one), logits(other), rtol=0, atol=1e-6)


@pytest.fixture
def clock() -> Weights:
    return wide_clock()


def test_the_clock_of_these_tests_is_right(clock: Weights) -> None:
    labels = all_pairs(13).sum(dim=1) % 13
    assert bool((logits(clock).argmax(dim=1) == labels).all())


# Where shapes tell, and where what works tells


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_where_the_model_works(form: str, clock: Weights, tmp_path: Path) -> None:
    # Heads are merged into one axis as wide as the residual stream: q, k, v and o are square.
    path = save(FORMS[form](clock), tmp_path / "model.pt")
    assert_same_function(load_weights(path, known=Known(n_heads=4)), clock)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_where_every_matrix_is_square(form: str, tmp_path: Path) -> None:
    # d_vocab = d_model = d_mlp = classes = n_heads * d_head = 72: no shape tells a matrix from its transpose.
    square = wide_clock(71, n_heads=8, d_head=9, d_model=72, d_mlp=72, equals_class=True, biases=False)
    path = save(FORMS[form](square), tmp_path / "model.pt")
    assert_same_function(load_weights(path, known=Known(n_heads=8)), square)


@pytest.mark.parametrize("operation", ["subtract"])
def test_what_works_need_not_be_addition(operation: str, tmp_path: Path) -> None:
    model = wide_clock(operation=operation)
    run = load_run(save(plain_linear(model), tmp_path / "model.pt"), known=Known(n_heads=4))
    assert_same_function(run.weights, model)
    assert run.task.operation == operation
    assert any(f"the model does this one, right for 100.0% of the pairs: {operation} was assumed" in note for note in run.notes)


@st.composite
def models(draw: st.DrawFn) -> Weights:
    """Random models, also such with sizes that are the same: d_model = d_vocab, d_mlp = d_model, n_heads * d_head = d_model."""
    equals_sign, n_heads, d_head = draw(st.booleans()), draw(st.integers(1, 3)), draw(st.integers(2, 4))
    d_model = draw(st.sampled_from([n_heads * d_head, 5, 8, 12]).filter(lambda n: n > 3))
    p = draw(st.sampled_from([d_model - equals_sign, 5, 7, 11]))
    return random_weights(
        p,
        equals_sign=equals_sign,
        equals_class=draw(st.booleans()) and equals_sign,
        n_heads=n_heads,
        d_head=d_head,
        d_model=d_model,
        d_mlp=draw(st.sampled_from([d_model, 6, 16])),
        biases=draw(st.sampled_from([[], ["b_in", "b_out"], BIASES])),
        seed=draw(st.integers(0, 2**31)),
    )


ORIENTATION = {
    "nn.Linear, q k v apart": "linear", "left factors, q k v apart": "left", "nn.MultiheadAttention": "linear",
    "nanoGPT": "linear", "flax": "left", "our own names": "left", "q k v stacked": "left", "one module for each head": "linear",
}  # fmt: skip


@pytest.mark.parametrize("form", ORIENTATION)
@given(weights=models())
@in_files
def test_models_of_any_sizes_are_read_once_the_orientation_is_given(form: str, weights: Weights, tmp_path: Path) -> None:
    path = save(FORMS[form](weights), tmp_path / "model.pt")
    known = Known(n_heads=weights.n_heads, orientation=ORIENTATION[form])
    assert_same_function(load_weights(path, known=known), weights)


@pytest.mark.parametrize("form", FORMS)
@given(weights=models())
@in_files
def test_without_it_a_model_is_read_right_or_not_at_all(form: str, weights: Weights, tmp_path: Path) -> None:
    path = save(FORMS[form](weights), tmp_path / "model.pt")
    try:
        loaded = load_weights(path, known=Known(n_heads=weights.n_heads))
    except UsageError as error:
        assert "fit both as they are and transposed" in str(error)  # noqa: PT017 # either outcome is right
    else:
        if form != "GPT-NeoX":  # its packing is said to be a guess, below
            assert_same_function(loaded, weights)


def test_what_neither_shapes_nor_working_tell_is_asked(tmp_path: Path) -> None:
    untrained = random_weights(n_heads=2, d_head=4, d_model=8, d_mlp=12)
    path = save(plain_linear(untrained), tmp_path / "model.pt")
    with pytest.raises(UsageError, match=r"attn\.q_proj\.weight, .*o_proj\.weight fit both as they are and transposed.*linear"):
        load_weights(path, known=Known(n_heads=2))
    assert_same_function(load_weights(path, known=Known(n_heads=2, orientation="linear")), untrained)
    left = save(plain_left(untrained), tmp_path / "left.pt")
    assert_same_function(load_weights(left, known=Known(n_heads=2, orientation="left")), untrained)


def test_packed_heads_of_an_untrained_model_are_said_to_be_a_guess(tmp_path: Path) -> None:
    untrained = random_weights(n_heads=2, d_head=4, d_model=10, d_mlp=12)
    run = load_run(save(nano_gpt(random_weights(n_heads=2, d_head=5, d_model=10, d_mlp=12)), tmp_path / "m.pt"), known=Known(
        n_heads=2, orientation="linear"
    ))  # fmt: skip
    assert any("axes: " in note and "as they are usually stored; the model works in no way" in note for note in run.notes)
    name = "transformer.h.0.attn.query_key_value"
    stated = (f"{name}.weight[(n_heads qkv d_head) d_model]=W_QKV", f"{name}.bias[(n_heads qkv d_head)]=b_QKV")
    path = save(interleaved(untrained), tmp_path / "neox.pt")
    assert_same_function(load_weights(path, known=Known(n_heads=2, map=stated)), untrained)


# The number of heads


def test_the_number_of_heads_is_asked_with_its_divisors(tmp_path: Path) -> None:
    clock = wide_clock(operation="subtract")  # which has to tell a from b
    path = save(multihead(clock), tmp_path / "model.pt")
    with pytest.raises(UsageError) as error:
        load_weights(path)
    assert "one axis of 16" in str(error.value)
    assert "which divides it: 1 (7.7 %), 2 (7.7 %), 4 (100 %), 8 (100 %), 16 (100 %), with each of which" in str(error.value)
    assert str(error.value).endswith("for example Known(n_heads=4)")
    stored = save({"model": multihead(clock), "config": {"n_head": 4}}, tmp_path / "stored.pt")
    assert_same_function(load_weights(stored), clock)
    with pytest.raises(UsageError, match="n_heads: given 8, but the file says 4"):
        load_weights(stored, known=Known(n_heads=8))
    apart = save({"model": FORMS["flax"](clock), "config": {"n_head": 2}}, tmp_path / "apart.pt")
    with pytest.raises(DataError, match=r"query\.kernel: given shape \(16, 4, 4\), expected \(d_model=16, n_heads=2, d_head\)"):
        load_weights(apart)
    with pytest.raises(UsageError, match=r"n_heads: given 3, which does not divide the axis of 16.*one of 1, 2, 4, 8, 16"):
        load_weights(path, known=Known(n_heads=3))


def test_an_orientation_is_for_names_alone(clock: Weights, tmp_path: Path) -> None:
    path = save(official_state(random_weights(biases=["b_in", "b_out"])), tmp_path / "model.pth")
    with pytest.raises(UsageError, match="orientation: given 'linear' for format 'official', which states it; leave it out"):
        load_weights(path, known=Known(orientation="linear"))


# What need not be there


def tied(clock: Weights) -> Weights:
    """A model whose unembedding is its embedding; its logits are whatever they are."""
    return Weights(**{**clock.tensors(), "W_U": clock.W_E.T.contiguous(), "b_U": None})


def test_a_tied_embedding_is_the_unembedding_too(tmp_path: Path) -> None:
    model = tied(random_weights(7, d_model=6, n_heads=2, d_head=4, d_mlp=10))
    state = {name: tensor for name, tensor in plain_linear(model).items() if not name.startswith("unembed")}
    path = save(state, tmp_path / "tied.pt")
    loaded = load_weights(path, known=Known(n_heads=2))
    assert_same_function(loaded, model)
    assert loaded.classes == 8


def test_positions_that_are_not_there_are_zeros_if_the_model_works_so(tmp_path: Path) -> None:
    def stripped(model: Weights) -> Path:
        return save({name: t for name, t in plain_linear(model).items() if not name.startswith("pos")}, tmp_path / "none.pt")

    added, subtracted = wide_clock(), wide_clock(operation="subtract")  # of which only the second has to tell a from b
    run = load_run(stripped(added), known=Known(n_heads=4))
    assert_same_function(run.weights, Weights(**{**added.tensors(), "W_pos": torch.zeros_like(added.W_pos)}))
    assert any("positions: 3, embedded as zeros (no embedding of positions is stored" in note for note in run.notes)
    with pytest.raises(DataError, match="without an embedding of positions in this file, which does not work without one"):
        load_weights(stripped(subtracted), known=Known(n_heads=4))


def test_a_table_of_more_positions_than_are_read_is_cut(clock: Weights, tmp_path: Path) -> None:
    state = plain_linear(clock)
    state["pos_embed.weight"] = torch.cat([clock.W_pos, torch.randn(5, 16, dtype=torch.float64)])
    run = load_run(save(state, tmp_path / "model.pt"), known=Known(n_heads=4))
    assert_same_function(run.weights, clock)
    assert any("positions: the first 3 of 8 rows of their embedding" in note for note in run.notes)
    broken = {**state, "unembed.weight": torch.zeros_like(state["unembed.weight"])}
    with pytest.raises(DataError, match="a network that reads up to 8 positions, and does not work on two or three"):
        load_weights(save(broken, tmp_path / "broken.pt"), known=Known(n_heads=4))


# Names


@pytest.mark.parametrize(
    ("ours", "names"),
    {
        "W_E": "embed.weight embedding.weight tok_embed.weight transformer.wte.weight token_embedding_table.weight emb.weight",
        "W_pos": "pos_embed transformer.wpe.weight position_embedding.weight positional_embedding.weight pos_emb.weight pe",
        "W_Q": "attn.q_proj.weight attention.query.weight attn.W_Q attn.to_q.weight attn.Wq.weight self_attn.q.weight",
        "W_QKV": "attn.in_proj_weight attention.in_proj.weight attn.c_attn.weight attn.qkv.weight attn.to_qkv.weight",
        "b_QKV": "attn.in_proj_bias attn.c_attn.bias attn.qkv.bias",
        "W_O": "attn.o_proj.weight attn.out_proj.weight attn.c_proj.weight attn.proj.weight attn.to_out.0.weight attn.W_O",
        "W_in": "fc1.weight linear1.weight mlp.c_fc.weight mlp.fc_in.weight ffn.w1.weight mlp.W_in mlp.up_proj.weight",
        "W_out": "fc2.weight linear2.weight mlp.c_proj.weight mlp.fc_out.weight ffn.w2.weight mlp.W_out mlp.down_proj.weight",
        "W_U": "unembed.weight lm_head.weight head.weight output.weight fc_out.weight decoder.weight readout.weight W_U",
        "b_U": "unembed.bias lm_head.bias head.bias output.bias fc_out.bias b_U",
        None: "weight bias foo.weight layers.0.weight",
    }.items(),
)  # fmt: skip
def test_usual_names_tell_what_a_tensor_is(ours: str | None, names: str) -> None:
    assert {name: role_of(name) for name in names.split()} == dict.fromkeys(names.split(), ours)


def test_an_unusual_name_is_asked_with_the_map_that_completes_it(clock: Weights, tmp_path: Path) -> None:
    state = plain_linear(clock)
    state["thing.weight"] = state.pop("attn.o_proj.weight")
    state["thing.extra"] = torch.zeros(2, 2)
    path = save(state, tmp_path / "model.pt")
    with pytest.raises(DataError) as error:
        load_weights(path, known=Known(n_heads=4))
    told = str(error.value)
    assert "known: embed.weight -> W_E" in told
    assert "missing: W_O (n_heads d_head d_model)" in told
    assert "not understood: thing.weight (16, 16), thing.extra (2, 2)" in told
    command = told.rpartition("for example: ")[2]
    assert command == "--map thing.weight=W_O --map thing.extra=-"
    entries = tuple(command.removeprefix("--map ").split(" --map "))
    assert_same_function(load_weights(path, known=Known(n_heads=4, map=entries)), clock)


def test_two_tensors_of_one_name_are_in_doubt(clock: Weights, tmp_path: Path) -> None:
    state = plain_linear(clock)
    state["lm_head.weight"] = state["unembed.weight"] * 2
    path = save(state, tmp_path / "model.pt")
    with pytest.raises(DataError, match=r"in doubt: W_U could be unembed\.weight or lm_head\.weight"):
        load_weights(path, known=Known(n_heads=4))
    doubled = load_weights(path, known=Known(n_heads=4, map=("unembed.weight=-", "lm_head.weight=W_U")))
    torch.testing.assert_close(doubled.W_U, clock.W_U * 2)


def test_names_whose_shapes_do_not_fit_are_listed_with_both(clock: Weights, tmp_path: Path) -> None:
    state = plain_linear(clock) | {"fc2.weight": torch.zeros(5, 72, dtype=torch.float64)}
    with pytest.raises(DataError, match=r"(?s)fit together in no order of the axes.*fc2\.weight -> W_out: \(5, 72\)"):
        load_weights(save(state, tmp_path / "model.pt"), known=Known(n_heads=4))


def test_the_map_that_an_explanation_offers_reads_the_same(clock: Weights, tmp_path: Path) -> None:
    for form in (plain_linear, multihead, conv1d, nano_gpt):
        path = save(form(clock), tmp_path / f"{form.__name__}.pt")
        stated = next(guess for guess in explain(path, known=Known(n_heads=4)).guesses if guess.what == "tensors").change["map"]
        assert_same_function(load_weights(path, "map", known=Known(n_heads=4, map=stated)), clock)


def test_a_map_may_pack_and_tie_and_drop_axes_of_size_one(tmp_path: Path) -> None:
    model = tied(random_weights(7, d_model=6, n_heads=2, d_head=4, d_mlp=10, biases=[]))
    packed = torch.cat([out_in(merged(W)) for W in (model.W_Q, model.W_K, model.W_V)])
    state: State = {
        "a": model.W_E, "b": model.W_pos[None], "c": packed, "d": model.W_O, "e": model.W_in, "f": model.W_out.T.contiguous(),
    }  # fmt: skip
    entries = (
        "a=W_E",
        "a.T=W_U",
        "b[1 n_ctx d_model]=W_pos",
        "c[(qkv n_heads d_head) d_model]=W_QKV",
        "d=W_O",
        "e=W_in",
        "f.T=W_out",
    )
    loaded = load_weights(save(state, tmp_path / "m.pt"), "map", known=Known(map=entries))
    assert_same_function(loaded, model)
    with pytest.raises(UsageError, match="given W_QKV and W_Q, expected the one tensor or the three"):
        load_weights(tmp_path / "m.pt", "map", known=Known(map=(*entries, "g=W_Q")))
    merged_too = tuple("d[(n_heads d_head) d_model]=W_O" if entry == "d=W_O" else entry for entry in entries)
    merged_state = state | {"d": model.W_O.reshape(-1, 6)}
    with pytest.raises(
        UsageError, match=r"n_heads: this map merges the heads .* \(1, 2, 4, 8\); give it, for example Known\(n_h"
    ):
        load_weights(save(merged_state, tmp_path / "merged.pt"), "map", known=Known(map=merged_too))
    assert_same_function(load_weights(tmp_path / "merged.pt", "map", known=Known(map=merged_too, n_heads=2)), model)
