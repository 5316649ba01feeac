"""Steps, optimizers, losses and adapters of the torch engine, against torch, transformers and peft."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from myna.batching.rows import pack
from myna.data.example import Source
from myna.engines import choose
from myna.engines.base import OptimizerSpec
from myna.engines.torch.fused import fuse
from myna.engines.torch.loss import head_loss
from myna.errors import AdapterError, ModelError, RecipeError
from myna.models.adapters import initial_tensors, resolve
from myna.models.files import find
from myna.prompts.sample import Sample
from tiny_models import random_tokens, save_tiny


def samples(count, seed=0):
    """Random samples whose first half is a prompt."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        tokens = random_tokens(rng, int(rng.integers(6, 20)))
        made.append(Sample(tokens, np.arange(len(tokens)) >= len(tokens) // 2, Source("train.jsonl", i + 1)))
    return made


def rows(count, seed=0):
    """Samples packed into short rows."""
    return pack(samples(count, seed), tokens_per_row=32)


def loaded(folder, kind="lora", dropout=0.0, layers=-1, seed=0, dtype="float32"):
    """A tiny model with a fresh adapter away from zero."""
    files = find(str(folder))
    spec = resolve(files, kind=kind, keys=None, num_layers=layers, rank=4, scale=2.0, dropout=dropout)
    model = choose("torch").load(files, adapter=spec, dtype=dtype, device="cpu")
    if kind != "full":
        rng = np.random.default_rng(seed)
        start = initial_tensors(spec, files, seed)
        model.load_trainable({n: t + 0.05 * rng.standard_normal(t.shape).astype("f") for n, t in start.items()})
    return model


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(2, 300), st.sampled_from([None, 1.5]), st.booleans(), st.integers(0, 2**31))
def test_the_head_loss_and_its_gradients_are_those_of_plain_cross_entropy(positions, vocabulary, softcap, small, seed):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(positions, 16, generator=generator, dtype=torch.float64)
    weight = torch.randn(vocabulary, 16, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, vocabulary, (positions,), generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        if small:  # several chunks of positions
            patch.setattr("myna.engines.torch.loss._LOGITS_BYTES", 4 * vocabulary * 3)
        ours = [t.float().requires_grad_() for t in (hidden, weight)]
        loss = head_loss(*ours, targets, softcap)
        (loss * 0.5).backward()
    plain = [t.clone().requires_grad_() for t in (hidden, weight)]
    logits = plain[0] @ plain[1].T
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    expected = F.cross_entropy(logits, targets, reduction="sum")
    (expected * 0.5).backward()
    # float32 against float64: a sum of up to 40 losses of up to 30 nats each.
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-4)
    for mine, reference in zip(ours, plain, strict=True):
        assert torch.allclose(mine.grad.double(), reference.grad, rtol=1e-4, atol=1e-5)


def test_fused_norms_and_gates_give_the_librarys_results_and_gradients(tiny):
    library = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).model
    ours = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).model
    for model in (library, ours):
        model.requires_grad_(False)
    fuse(ours)
    replaced = [n for n, m in ours.named_modules() if type(m).__name__ == "FusedRmsNorm"]
    assert len(replaced) >= 7  # two a layer and the last one
    embedded = torch.randn(1, 30, 32, generator=torch.Generator().manual_seed(0))
    results = []
    for model in (library, ours):
        x = embedded.clone().requires_grad_()
        out = model(inputs_embeds=x, use_cache=False).last_hidden_state
        out.square().sum().backward()
        results.append((out.detach(), x.grad))
    for expected, mine in zip(*results, strict=True):
        assert (mine - expected).abs().max() <= 2e-5 * expected.abs().max()


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_logits_and_gradients_of_an_adapter_are_pefts(tiny_llama, kind, rslora):
    model = loaded(tiny_llama, kind)
    alpha = 2.0 * (math.sqrt(4) if rslora else 4)
    linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(r=4, lora_alpha=alpha, target_modules=linear, use_dora=kind == "dora", use_rslora=rslora)
    peft = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32), config)
    theirs = {}
    for name, parameter in peft.named_parameters():
        if parameter.requires_grad:
            key = name.removeprefix("base_model.model.").replace(".default", "").replace("vector.weight", "vector")
            theirs[key] = parameter
    trained = model.trainable()
    assert set(theirs) == set(trained)
    with torch.no_grad():
        for key, parameter in theirs.items():
            if "magnitude" in key:  # what PEFT computes from the base weights is what we compute
                assert np.allclose(parameter.numpy(), trained[key], rtol=1e-5)
            parameter.copy_(torch.from_numpy(trained[key]))
    tokens = random_tokens(np.random.default_rng(1), 14)
    ids = torch.from_numpy(tokens).long()
    logits = peft(input_ids=ids[None]).logits[0]
    ours = model.logits(tokens)
    assert np.abs(ours - logits.detach().numpy()).max() <= 2e-5 * logits.abs().max().item()
    F.cross_entropy(logits[6:-1], ids[7:]).backward()
    row = pack([Sample(tokens, np.arange(14) >= 7, Source("a", 1))], tokens_per_row=64)
    _, gradients = model.loss_and_gradients(row)
    for key, parameter in theirs.items():
        expected = parameter.grad.numpy()
        assert np.abs(gradients[key] - expected).max() <= 5e-5 * np.abs(expected).max(), key


def test_a_step_equals_the_plain_torch_loop(tiny_llama):
    """Five Adam steps on clipped gradients of the token mean, against ten lines of torch and transformers."""
    model = loaded(tiny_llama, "full")
    model.prepare_training(OptimizerSpec("adam"), gradient_checkpointing=False, seed=0)
    plain = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32)
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-2)
    for step in range(5):
        chosen = samples(4, seed=step)
        result = model.step(pack(chosen, tokens_per_row=32), 1e-2, step=step, max_gradient_norm=0.5)
        count = sum(int(s.trained.sum()) for s in chosen)
        total = 0.0
        for sample in chosen:
            ids = torch.from_numpy(sample.tokens).long()
            logits = plain(input_ids=ids[None]).logits[0, :-1]
            loss = F.cross_entropy(logits[sample.trained[1:]], ids[1:][sample.trained[1:]], reduction="sum")
            (loss / count).backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        assert result.tokens == count
        # Adam divides by the gradient's own size, which magnifies float32 differences step by step.
        assert result.loss_sum == pytest.approx(total, rel=1e-4)
        assert result.gradient_norm == pytest.approx(norm.item(), rel=1e-3)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "adafactor", "muon"])
@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
def test_training_goes_on_bit_for_bit_from_saved_state(tiny_llama, optimizer, kind):
    options = {"momentum": 0.9} if optimizer == "sgd" else {}

    def started():
        model = loaded(tiny_llama, kind, dropout=0.0 if kind == "full" else 0.2)
        model.prepare_training(OptimizerSpec(optimizer, options), gradient_checkpointing=False, seed=7)
        return model

    undisturbed = started()
    for step in range(6):
        undisturbed.step(rows(4, step), 3e-3, step=step, max_gradient_norm=1.0)
    first = started()
    for step in range(3):
        first.step(rows(4, step), 3e-3, step=step, max_gradient_norm=1.0)
    second = started()
    second.load_trainable(first.trainable())
    second.load_optimizer_state(first.optimizer_state())
    for step in range(3, 6):
        second.step(rows(4, step), 3e-3, step=step, max_gradient_norm=1.0)
    expected, found = undisturbed.trainable(), second.trainable()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    changed = first.trainable()
    assert any(not np.array_equal(expected[name], changed[name]) for name in expected)


def test_a_step_whose_loss_is_not_a_number_changes_nothing(tiny_llama):
    model = loaded(tiny_llama)
    model.prepare_training(OptimizerSpec("adamw"), gradient_checkpointing=False, seed=0)
    broken = {name: np.full_like(t, np.inf) for name, t in model.trainable().items() if "layers.1" in name}
    model.load_trainable(broken)
    before = model.trainable()
    result = model.step(rows(2), 1e-3, step=0, max_gradient_norm=1.0)
    assert not math.isfinite(result.loss_sum) or not math.isfinite(result.gradient_norm)
    after = model.trainable()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_dropout_is_drawn_per_step_and_absent_from_evaluation(tiny_llama):
    model = loaded(tiny_llama, dropout=0.5)
    model.prepare_training(OptimizerSpec("sgd"), gradient_checkpointing=False, seed=1)
    row = rows(2)
    losses = [model.step(row, 0.0, step=step, max_gradient_norm=None).loss_sum for step in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]
    assert model.evaluate(row[0]) == model.evaluate(row[0])


def test_an_adapter_switched_off_leaves_the_base_model(tiny_llama):
    model = loaded(tiny_llama)
    base = choose("torch").load(find(str(tiny_llama)), dtype="float32", device="cpu")
    tokens = random_tokens(np.random.default_rng(0), 12)
    with_adapter = model.logits(tokens)
    model.use_adapter(False)
    assert np.array_equal(model.logits(tokens), base.logits(tokens))
    model.use_adapter(True)
    assert np.array_equal(model.logits(tokens), with_adapter)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_a_fresh_adapter_changes_nothing(tiny, kind):
    files = find(str(tiny))
    spec = resolve(files, kind=kind, keys=None, num_layers=-1, rank=4, scale=2.0, dropout=0.0)
    model = choose("torch").load(files, adapter=spec, dtype="float32", device="cpu")
    model.load_trainable(initial_tensors(spec, files, 0))
    base = choose("torch").load(files, dtype="float32", device="cpu")
    tokens = random_tokens(np.random.default_rng(0), 12)
    assert np.allclose(model.logits(tokens), base.logits(tokens), rtol=1e-5, atol=1e-5)


def test_foreign_and_misshapen_tensors_are_refused_by_name(tiny_llama):
    model = loaded(tiny_llama)
    name = next(iter(model.trainable()))
    with pytest.raises(AdapterError, match=r"no trained tensor model[.]other"):
        model.load_trainable({"model.other": np.zeros(3, np.float32)})
    with pytest.raises(AdapterError, match=name):
        model.load_trainable({name: np.zeros((1, 1), np.float32)})


def test_an_unknown_optimizer_option_is_named(tiny_llama):
    with pytest.raises(RecipeError, match=r"optimizer_config\.adam: .*betta"):
        loaded(tiny_llama).prepare_training(OptimizerSpec("adam", {"betta": 1}), gradient_checkpointing=False, seed=0)


def test_a_tensor_missing_from_the_weights_is_named(tmp_path):
    folder = save_tiny(tmp_path, "llama")
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"missing.*model\.layers\.1\.mlp\.up_proj\.weight"):
        choose("torch").load(find(str(folder)))


def test_positions_that_a_rotary_embedding_rescales_are_not_mixed(tmp_path):
    scaling = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    folder = save_tiny(tmp_path, "llama", rope_parameters=scaling, max_position_embeddings=10)
    model = choose("torch").load(find(str(folder)), dtype="float32", device="cpu")
    made = [Sample(np.arange(3, 3 + n, dtype=np.int32), np.arange(n) > 1, Source("a", n)) for n in (5, 12)]
    with pytest.raises(ModelError, match="--max-seq-length 10"):
        model.evaluate(pack(made, tokens_per_row=64)[0])


def test_computing_in_bfloat16_stays_near_float32(tiny_llama):
    row = rows(4)
    exact, _ = loaded(tiny_llama).loss_and_gradients(row)
    coarse, _ = loaded(tiny_llama, dtype="bfloat16").loss_and_gradients(row)
    full, _ = loaded(tiny_llama, "full", dtype="bfloat16").loss_and_gradients(row)
    # bfloat16 keeps 8 bits: each of some 20 roundings in a row may move a logit by 0.4 %.
    assert coarse == pytest.approx(exact, rel=0.05)
    assert math.isfinite(full)


def test_a_device_is_told_as_it_is_named_and_one_that_is_not_there_is_refused():
    engine = choose("torch")
    assert engine.device("cpu").kind == "cpu"
    assert engine.device("auto") == engine.device()
    with pytest.raises(RecipeError, match="device 'gpu' is not known: use cpu, cuda, cuda:1 or mps"):
        engine.device("gpu")
    with pytest.raises(ModelError, match=r"device cuda:99 was asked for, but this torch sees (no|\d+) CUDA GPUs"):
        engine.device("cuda:99")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_the_peak_memory_is_that_of_the_gpu_that_computes(tiny_llama):
    engine = choose("torch")
    last = f"cuda:{torch.cuda.device_count() - 1}"
    model = engine.load(find(str(tiny_llama)), device=last)
    model.logits(np.arange(3, 9, dtype=np.int32))
    assert 0 < engine.peak_memory_bytes() == torch.cuda.max_memory_allocated(last)


_LOAD = """
import sys
from myna.engines import choose
from myna.models.files import find
peak = choose("torch").peak_memory_bytes
small, large = find(sys.argv[1]), find(sys.argv[2])
choose("torch").load(small, dtype=sys.argv[3], device="cpu")
before = peak()
model = choose("torch").load(large, dtype=sys.argv[3], device="cpu")
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is measured as Linux counts it")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_needs_hardly_more_memory_than_the_weights(tiny_llama, tmp_path, dtype):
    wide = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "head_dim": 64}
    folder = save_tiny(tmp_path, "llama", dtype=torch.bfloat16, vocab_size=32000, **wide)
    size = sum(math.prod(info.shape) for info in find(str(folder)).tensors.values()) * (4 if dtype == "float32" else 2)
    command = [sys.executable, "-c", _LOAD, str(tiny_llama), str(folder), dtype]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown <= 1.15 * size
