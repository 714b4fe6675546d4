"""The callbacks of Lightning and of Hugging Face's Trainer: real trainers, with and without; skipped where not installed."""

from __future__ import annotations

import sys

import pytest
import torch
from own_loops import SPLIT, TASK, Tokens, seeded
from torch.utils.data import DataLoader, TensorDataset

import interp
from interp.errors import UsageError

TOKENS, LABELS = (torch.from_numpy(values)[SPLIT.train] for values in (TASK.inputs, TASK.labels))


def recorded(tmp_path, model, name="run", **how):
    return interp.recording(name, model, task=TASK, split=SPLIT, root=tmp_path, checkpoints=[0, 5, 10], **how)


def fit(model, *, steps=12, log=None, accumulate=1, broken=None):
    """A Lightning trainer on CPU."""
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def training_step(self, batch, _):
            if broken is not None and self.trainer.global_step == 7:
                raise broken
            return torch.nn.functional.cross_entropy(self.model(batch[0])[:, -1], batch[1])

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), lr=1e-2)

    trainer = lightning.Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accumulate_grad_batches=accumulate,
        callbacks=[] if log is None else [interp.lightning_callback(log)],
    )  # fmt: skip
    trainer.fit(Module(), DataLoader(TensorDataset(TOKENS, LABELS), batch_size=8, shuffle=True))


def same(one, other):
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


def dropping():
    return Tokens(dropout=0.2)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_lightning_trains_the_same_and_is_recorded(tmp_path, accumulate):
    pytest.importorskip("lightning", reason="lightning is not installed: pip install 'interp[lightning]'")
    plain = seeded(dropping)
    fit(plain, accumulate=accumulate)
    watched = seeded(dropping)
    with recorded(tmp_path, watched) as log:
        fit(watched, log=log, accumulate=accumulate)
    assert same(plain, watched)
    assert log.run.steps == (0, 5, 10, 12)
    assert log.run.verify() == ()
    assert all(torch.equal(log.run[12].network.tensors()[name], tensor) for name, tensor in plain.state_dict().items())


def test_lightning_that_fails_leaves_a_run_that_is_continued(tmp_path):
    pytest.importorskip("lightning", reason="lightning is not installed: pip install 'interp[lightning]'")
    model = seeded(dropping)
    with pytest.raises(ValueError, match="broken"), recorded(tmp_path, model) as log:
        fit(model, log=log, broken=ValueError("broken"))
    assert log.run.status == "interrupted"
    assert log.run.steps == (0, 5)
    with recorded(tmp_path, model) as log:
        fit(model, log=log)  # from step 0 on again: what the run has is kept, and recorded is what comes after
    assert log.run.steps == (0, 5, 10, 12)
    assert log.run.verify() == ()


def gpt():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_layer=1, n_embd=16, n_head=2, n_positions=4, vocab_size=TASK.n_tokens, bos_token_id=0, eos_token_id=0, resid_pdrop=0.1
    )
    return GPT2LMHeadModel(config)


def train(model, folder, *, log=None, steps=12):
    """Hugging Face's Trainer on CPU."""
    from transformers import Trainer, TrainingArguments

    rows = [
        {"input_ids": [*tokens, label], "labels": [-100, -100, -100, label]}
        for tokens, label in zip(TOKENS.tolist(), LABELS.tolist(), strict=True)
    ]
    arguments = TrainingArguments(
        str(folder), max_steps=steps, per_device_train_batch_size=8, save_strategy="no", report_to="none", use_cpu=True, seed=3,
        disable_tqdm=True,
    )  # fmt: skip
    callbacks = [] if log is None else [interp.trainer_callback(log)]
    Trainer(model, arguments, train_dataset=rows, callbacks=callbacks).train()


def test_the_trainer_trains_the_same_and_is_recorded(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed: pip install 'interp[transformers]'")
    pytest.importorskip("accelerate", reason="accelerate is not installed: pip install 'interp[transformers]'")
    plain = seeded(gpt)
    train(plain, tmp_path / "one")
    watched = seeded(gpt)
    with recorded(tmp_path, watched, inputs=lambda tokens: {"input_ids": tokens}) as log:
        train(watched, tmp_path / "two", log=log)
    assert same(plain, watched)
    assert log.run.steps == (0, 5, 10, 12)
    assert log.run.verify() == ()
    assert interp.observe(log.path).restricted_loss.shape == (4,)


@pytest.mark.parametrize("make", [interp.lightning_callback, interp.trainer_callback])
def test_what_is_no_recording_is_refused(make):
    with pytest.raises(UsageError, match="given str, expected what"):
        make("my-run")


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    log = recorded(tmp_path, seeded(Tokens))
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'interp\[lightning\]'"):
        interp.lightning_callback(log)
    with pytest.raises(UsageError, match=r"pip install 'interp\[transformers\]'"):
        interp.trainer_callback(log)
