"""What copied notebooks ask a model for: TransformerLens' arguments and names, compared with its own bridge, or one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from random_models import all_pairs, architectures, random_weights
from torch import Tensor
from transformer_lens import ActivationCache

from interp.errors import UsageError
from interp.losses import cross_entropy
from interp.networks.hooked import HOOKS, HookedModel
from interp.networks.notebook_names import INSTEAD, INSTEAD_OF, NAMES
from interp.networks.one_layer import Weights, tokens

PAIRS = all_pairs(7)
GUIDE = (Path(__file__).parents[1] / "docs" / "hooks.md").read_text(encoding="utf-8")
LABELS = PAIRS.sum(1) % 7
# The bridge has no hook_result, and its scores are the pattern.
SHARED = [name for name in HOOKS if not name.endswith(("hook_result", "hook_attn_scores"))]


@pytest.fixture(scope="module")
def model() -> HookedModel:
    return HookedModel(random_weights())


@pytest.fixture(scope="module")
def bridge(model: HookedModel) -> object:
    return model.to_bridge()


def rows(model: HookedModel) -> Tensor:
    return tokens(model.weights, PAIRS)


def same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5, check_dtype=False)  # a bridge's empty sum is float32


# Weights


@given(architectures(attention_rates=(1.0,)))
@settings(max_examples=15, deadline=None)
def test_weights_have_the_bridges_names_shapes_and_values(weights: Weights) -> None:
    ours, theirs = HookedModel(weights), HookedModel(weights).to_bridge()
    for name in sorted(set(NAMES) - {"QK", "OV"}):
        if name == "all_head_labels":
            assert ours.all_head_labels == theirs.all_head_labels
            continue
        assert getattr(ours, name).shape == getattr(theirs, name).shape, name
        same(getattr(ours, name), getattr(theirs, name))
    for name in ("QK", "OV"):
        assert getattr(ours, name).shape == getattr(theirs, name).shape
        same(getattr(ours, name).AB, getattr(theirs, name).AB)


def test_weights_are_live(model: HookedModel) -> None:
    model = HookedModel(random_weights())
    (gradient,) = torch.autograd.grad(model.W_Q.square().sum(), model.blocks[0].attn.W_Q)
    torch.testing.assert_close(gradient, 2 * model.blocks[0].attn.W_Q)
    with torch.no_grad():
        model.W_in[0, 0] = 5.0
    assert bool((model.weights.W_in[0] == 5).all())


def test_names_are_listed_and_are_no_parameters(model: HookedModel) -> None:
    assert set(NAMES) <= set(dir(model))
    assert not set(NAMES) & set(model.state_dict())


# Running


# TransformerLens writes slices as tuples.
@pytest.mark.parametrize(("where", "kept"), [(-1, [2]), (0, [0]), ((0, 2), [0, 1]), ((1, None), [1, 2]), ([0, 2], [0, 2])])
def test_positions_are_sliced_as_by_the_bridge(model: HookedModel, bridge: object, where: object, kept: list[int]) -> None:
    _, ours = model.run_with_cache(PAIRS, pos_slice=where)
    _, theirs = bridge.run_with_cache(rows(model), pos_slice=where)
    for name in SHARED:
        assert ours[name].shape == theirs[name].shape, name
        same(ours[name], theirs[name])
    _, everything = model.run_with_cache(PAIRS)
    same(ours["result", 0], everything["result", 0][:, kept])
    same(ours["attn_scores", 0], everything["attn_scores", 0][:, :, kept])


def test_the_batch_dimension_goes_as_from_the_bridge(model: HookedModel, bridge: object) -> None:
    logits, ours = model.run_with_cache(PAIRS[:1], remove_batch_dim=True)
    _, theirs = bridge.run_with_cache(rows(model)[:1], remove_batch_dim=True)
    assert logits.shape == (1, 3, 7)
    assert not ours.has_batch_dim
    for name in SHARED:
        assert ours[name].shape == theirs[name].shape, name
        same(ours[name], theirs[name])
    same(ours.get_full_resid_decomposition(), theirs.get_full_resid_decomposition())
    with pytest.raises(UsageError, match="remove_batch_dim: given 49 inputs, expected one"):
        model.run_with_cache(PAIRS, remove_batch_dim=True)


@pytest.mark.parametrize("stop", [0, -1])
def test_stopping_before_the_block_is_as_in_the_bridge(model: HookedModel, bridge: object, stop: int) -> None:
    residual, ours = model.run_with_cache(PAIRS, stop_at_layer=stop)
    theirs, _ = bridge.run_with_cache(rows(model), stop_at_layer=stop)
    same(residual, theirs)
    assert list(ours) == ["hook_embed", "hook_pos_embed"]


def test_stopping_after_the_block_gives_the_residual_stream(model: HookedModel, bridge: object) -> None:
    """As HookedTransformer did; the bridge goes on to the logits."""
    residual, ours = model.run_with_cache(PAIRS, stop_at_layer=1)
    _, theirs = bridge.run_with_cache(rows(model))
    same(residual, theirs["resid_post", 0])
    assert set(ours) == set(HOOKS)
    same(residual @ model.W_U + model.b_U, model(PAIRS))


@pytest.mark.parametrize("stop", [2, -2, "0"])
def test_other_layers_do_not_exist(model: HookedModel, stop: object) -> None:
    with pytest.raises(UsageError, match=r"stop_at_layer: given .*expected 0 \(or -1\), before the only block, or 1"):
        model(PAIRS, stop_at_layer=stop)


def test_return_types(model: HookedModel) -> None:
    logits = model(PAIRS)
    want = cross_entropy(logits[:, -1], LABELS)
    assert model(PAIRS, return_type=None) is None
    same(model(PAIRS, return_type="loss", labels=LABELS), want.mean())
    same(model(PAIRS, "loss", labels=LABELS.numpy(), loss_per_token=True), want)
    both = model(PAIRS, return_type="both", labels=LABELS)
    same(both[0], logits)
    same(both[1], want.mean())
    same(model.run_with_hooks(PAIRS, return_type="loss", labels=LABELS), want.mean())
    same(model.run_with_cache(PAIRS, return_type="loss", labels=LABELS)[0], want.mean())
    assert model(PAIRS, stop_at_layer=0, return_type="loss").shape == (49, 3, 10)  # as in TransformerLens, no loss is needed


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda model: model(PAIRS, return_type="loss"), "none of the next token: give labels="),
        (lambda model: model(PAIRS, return_type="both", labels=LABELS[:5]), r"labels: given \(5,\) of torch.int64, expected 49"),
        (lambda model: model(PAIRS, return_type="loss", labels=LABELS.double()), "expected 49 integers"),
        (lambda model: model(PAIRS, return_type="loss", labels=LABELS + 1), r"labels: given 1\.\.7, expected 0\.\.6"),
        (lambda model: model(PAIRS, return_type="los"), "unknown return_type 'los'; did you mean 'loss'"),
        (lambda model: model.tokens_to_residual_directions(7), r"tokens: given 7\.\.7, expected 0\.\.6"),
    ],
)
def test_bad_requests_say_what_is_missing(model: HookedModel, use: Callable[[HookedModel], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        use(model)


# Gradients


def test_gradients_in_the_cache_are_those_of_autograd_and_of_the_bridge() -> None:
    model = HookedModel(random_weights())
    loss, cache = model.run_with_cache(PAIRS, incl_bwd=True, return_type="loss", labels=LABELS)
    assert {name for name in cache if not name.endswith("_grad")} == set(HOOKS)
    assert {name.removesuffix("_grad") for name in cache if name.endswith("_grad")} == set(HOOKS)
    bridge, theirs = model.to_bridge(), {}

    def keep_as(name: str) -> Callable[..., None]:
        return lambda gradient, hook: theirs.__setitem__(name, gradient.clone())

    with bridge.hooks(bwd_hooks=[(name, keep_as(name)) for name in SHARED]):
        theirs_loss = cross_entropy(bridge(rows(model))[:, -1], LABELS).mean()
        theirs_loss.backward()
    same(loss.detach(), theirs_loss.detach())
    # The bridge's hook_resid_mid is the input of the MLP alone; what goes past the MLP is the gradient of the block's output.
    theirs["blocks.0.hook_resid_mid"] += theirs["blocks.0.hook_resid_post"]
    for name in SHARED:
        same(cache[name + "_grad"], theirs[name])
    kept: dict[str, Tensor] = {}
    with model.hooks(fwd_hooks=[(lambda name: True, lambda activation, hook: kept.__setitem__(hook.name, activation))]):
        gradients = torch.autograd.grad(model(PAIRS, return_type="loss", labels=LABELS), list(kept.values()))
    for name, gradient in zip(kept, gradients, strict=True):
        same(cache[name + "_grad"], gradient)
    want = torch.autograd.grad(model(PAIRS, return_type="loss", labels=LABELS), model.blocks[0].attn.W_V)[0]
    same(model.blocks[0].attn.W_V.grad, want)  # as in TransformerLens, the parameters' gradients stay


@pytest.mark.parametrize(
    "settings_", [{}, {"return_type": "both", "labels": LABELS}, {"return_type": "loss", "labels": LABELS, "stop_at_layer": 0}]
)
def test_gradients_need_one_number(model: HookedModel, settings_: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="incl_bwd: gradients are those of one number"):
        model.run_with_cache(PAIRS, incl_bwd=True, **settings_)
    with torch.no_grad(), pytest.raises(UsageError, match="switched off"):
        model.run_with_cache(PAIRS, incl_bwd=True, return_type="loss", labels=LABELS)
    assert not model.list_hooks()


def test_hooks_stay_where_asked(model: HookedModel) -> None:
    model = HookedModel(random_weights())
    model.run_with_cache(PAIRS, names_filter="hook_embed", reset_hooks_end=False)
    assert list(model.list_hooks()) == ["hook_embed"]
    model.reset_hooks()
    _, plain = model.run_with_cache(PAIRS, names_filter=["hook_embed"], return_cache_object=False)
    assert type(plain) is dict
    assert list(plain) == ["hook_embed"]


# The cache


@pytest.mark.parametrize("where", [None, -1, [0, 2]])
def test_tools_of_the_cache_give_what_they_give_for_the_bridge(model: HookedModel, bridge: object, where: object) -> None:
    caches = [model.run_with_cache(PAIRS)[1], bridge.run_with_cache(rows(model))[1]]
    uses: list[Callable[[ActivationCache], object]] = [
        lambda cache: cache.decompose_resid(return_labels=True, pos_slice=where),
        lambda cache: cache.decompose_resid(layer=0, mlp_input=True, mode="attn", return_labels=True),
        lambda cache: cache.get_full_resid_decomposition(return_labels=True, pos_slice=where),
        lambda cache: cache.get_full_resid_decomposition(expand_neurons=False, return_labels=True, pos_slice=where),
        lambda cache: cache.get_full_resid_decomposition(layer=0, mlp_input=True, return_labels=True, pos_slice=where),
        lambda cache: cache.stack_head_results(return_labels=True, pos_slice=where),
        lambda cache: cache.stack_neuron_results(1, return_labels=True, pos_slice=where, incl_remainder=True),
        lambda cache: cache.accumulated_resid(return_labels=True, incl_mid=True),
        lambda cache: (cache.logit_attrs(cache.decompose_resid(), LABELS, (LABELS + 1) % 7), []),
        lambda cache: (cache.logit_attrs(cache.stack_head_results(), 3), []),
        lambda cache: (cache.apply_slice_to_batch_dim(4)["pattern", 0], []),
        lambda cache: (cache.to("cpu")["post", 0], []),
        lambda cache: (cache["mlp_post", 0], []),
    ]
    for use in uses:
        (ours, labels), (theirs, their_labels) = (use(cache) for cache in caches)
        assert labels == their_labels
        same(ours, theirs)


def test_a_full_decomposition_is_the_residual_stream(model: HookedModel) -> None:
    _, cache = model.run_with_cache(PAIRS)
    same(cache.get_full_resid_decomposition().sum(0), cache["resid_post", 0])
    bare = HookedModel(random_weights(biases=[]))
    _, cache = bare.run_with_cache(PAIRS)
    same(cache.get_full_resid_decomposition().sum(0), cache["resid_post", 0])
    assert float(bare.accumulated_bias(1).abs().sum()) == 0


@pytest.mark.parametrize("answer", [3, torch.tensor(3), torch.tensor([3]), LABELS[:5], LABELS[:6].reshape(2, 3)])
def test_directions_of_answers_are_the_bridges(model: HookedModel, bridge: object, answer: object) -> None:
    ours, theirs = (each.tokens_to_residual_directions(answer) for each in (model, bridge))
    assert ours.shape == theirs.shape
    same(ours, theirs)


@pytest.mark.parametrize("layer", [(0, True, True), (0, False, True), (1, False, True), (1, False, False)])
def test_accumulated_biases_are_the_bridges(model: HookedModel, bridge: object, layer: tuple[int, bool, bool]) -> None:
    same(model.accumulated_bias(*layer), bridge.accumulated_bias(*layer))


def test_activation_patching_of_transformer_lens_works() -> None:
    from transformer_lens.patching import get_act_patch_attn_head_out_all_pos, get_act_patch_resid_pre

    model = HookedModel(random_weights()).eval()  # it refuses a model in training mode
    clean, corrupted = PAIRS[:5], tokens(model.weights, PAIRS[10:15])
    wanted, cache = model.run_with_cache(clean)

    def metric(logits: Tensor) -> Tensor:
        return logits[:, -1, 3].mean()

    heads = get_act_patch_attn_head_out_all_pos(model, corrupted, cache, metric)
    for head in range(2):
        z = cache["z", 0][:, :, head]

        def patch(value: Tensor, hook: object, head: int = head, z: Tensor = z) -> Tensor:
            value[:, :, head] = z
            return value

        same(heads[0, head], metric(model.run_with_hooks(corrupted, fwd_hooks=[("blocks.0.attn.hook_z", patch)])))
    # The residual stream at `=` is the same for all inputs; at a and b together it is the input.
    positions = get_act_patch_resid_pre(model, corrupted, cache, metric)
    same(positions[0, 2], metric(model(corrupted)))
    assert metric(wanted) != metric(model(corrupted))


# What has no counterpart


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_names_without_counterpart_say_in_one_sentence_what_to_use(model: HookedModel, name: str) -> None:
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=f"HookedModel has no {name}: ") as found:
        getattr(model, name)
    assert len(str(found.value)) < 220
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", ["from_pretrained", "from_pretrained_no_processing", "boot_transformers"])
def test_the_class_says_it_too(name: str) -> None:
    with pytest.raises(AttributeError, match=r"interp.load_weights"):
        getattr(HookedModel, name)


def test_other_names_are_ordinary_errors(model: HookedModel) -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        model.nonsense  # noqa: B018  (the access itself is what is tested)


# The guide


def test_the_example_of_the_guide_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    exec(compile(example, "hooks.md", "exec"), {})
    assert capsys.readouterr().out.endswith("True\n")


def test_the_guide_has_every_name_and_every_sentence() -> None:
    named = set(re.findall(r"`(\w+)`", GUIDE))
    assert set(INSTEAD) | set(NAMES) <= named
    for advice, names in INSTEAD_OF.items():
        (row,) = [line for line in GUIDE.splitlines() if line.startswith(f"| `{names[0]}`")]
        assert row.lower().endswith(f"| {advice.lower()} |")
        assert re.findall(r"`(\w+)`", row.split("|")[1]) == list(names)


# What notebooks do that has no counterpart, or has one that they do not expect


@pytest.mark.parametrize("call", [HookedModel.forward, HookedModel.run_with_cache, HookedModel.run_with_hooks])
@pytest.mark.parametrize("name", ["prepend_bos", "past_kv_cache", "start_at_layer", "padding_side", "tokens"])
def test_arguments_without_counterpart_are_refused_in_one_sentence(call: object, name: str, model: HookedModel) -> None:
    with pytest.raises(UsageError, match=f"^{name}: "):
        call(model, PAIRS, **{name: None})


def test_a_misspelt_argument_is_refused_with_the_nearest(model: HookedModel) -> None:
    for call in (model, model.run_with_cache):
        with pytest.raises(UsageError, match="unknown argument 'retrun_type'; did you mean 'return_type'"):
            call(PAIRS, retrun_type="loss")


def test_a_text_is_no_input(model: HookedModel) -> None:
    for call in (model, model.run_with_cache):
        with pytest.raises(UsageError, match=r"input: given '1\+2=', expected integers: a token is a number here"):
            call("1+2=")


def test_labels_of_heads_are_a_list_and_a_method(model: HookedModel) -> None:
    assert model.all_head_labels() == model.all_head_labels == [f"L0H{head}" for head in range(model.weights.n_heads)]


def test_a_block_has_circuits_and_no_normalization(model: HookedModel) -> None:
    attention = model.blocks[0].attn
    torch.testing.assert_close(attention.QK.AB, model.W_Q[0] @ model.W_K[0].mT)
    torch.testing.assert_close(attention.OV.AB, model.W_V[0] @ model.W_O[0])
    with pytest.raises(AttributeError, match="no ln1: there is no layer normalization here"):
        _ = model.blocks[0].ln1


def test_what_a_cache_does_not_have_is_said(model: HookedModel) -> None:
    cache = model.run_with_cache(PAIRS, names_filter="hook_embed")[1]
    for name, words in {
        "ln_final.hook_scale": "there is no layer normalization here",
        "blocks.0.ln1.hook_normalized": "there is no layer normalization here",
        "hook_pos_embed": "hook_pos_embed was not kept; it has hook_embed",
        "hook_embeb": "unknown activation 'hook_embeb'; did you mean 'hook_embed'",
    }.items():
        with pytest.raises(UsageError, match=words):
            _ = cache[name]


def test_names_are_checked_after_another_setup_too() -> None:
    model = HookedModel(random_weights())
    model.setup()
    with pytest.raises(UsageError, match="unknown hook 'hook_embd'; did you mean 'hook_embed'"):
        model.run_with_cache(PAIRS, names_filter="hook_embd")
