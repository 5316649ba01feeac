"""Steps, state, losses, quantised bases and the matrix product of the MLX engine."""

import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adapted_models import adapted, assert_near, generated, rows
from myna.engines import choose
from myna.engines.base import OptimizerSpec, Sampling
from myna.errors import AdapterError, MissingDependency, ModelError, PromptError, RecipeError, ResourceError
from myna.models.files import find
from tiny_models import TINY, random_tokens, save_tiny

if importlib.util.find_spec("mlx") is None or importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("MLX has no wheel here, or is not installed: pip install 'myna[mlx]'", allow_module_level=True)


def started(folder, kind="lora", optimizer="adamw", dropout=0.0, recompute=False, **options):
    """A model that is ready to train."""
    model = adapted("mlx", folder, kind, dropout)
    model.prepare_training(OptimizerSpec(optimizer, options), gradient_checkpointing=recompute, seed=7)
    return model


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "adafactor", "muon"])
def test_training_goes_on_bit_for_bit_from_saved_state(tiny_llama, optimizer, kind):
    settings = {"kind": kind, "optimizer": optimizer, "dropout": 0.0 if kind == "full" else 0.2}
    undisturbed, first, second = (started(tiny_llama, **settings) for _ in range(3))
    for step in range(4):
        undisturbed.step(rows(3, step), 3e-3, step=step, max_gradient_norm=1.0)
    for step in range(2):
        first.step(rows(3, step), 3e-3, step=step, max_gradient_norm=1.0)
    second.load_trainable(first.trainable())
    second.load_optimizer_state(first.optimizer_state())
    for step in range(2, 4):
        second.step(rows(3, step), 3e-3, step=step, max_gradient_norm=1.0)
    expected, found, before = undisturbed.trainable(), second.trainable(), first.trainable()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    assert any(not np.array_equal(expected[name], before[name]) for name in expected)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_computing_layers_again_in_the_backward_pass_changes_no_gradient(tiny, kind):
    plain, again = (started(tiny, kind, dropout=0.3, recompute=recompute) for recompute in (False, True))
    (loss, expected), (same, found) = (model.loss_and_gradients(rows(5)) for model in (plain, again))
    assert same == pytest.approx(loss, rel=1e-6)
    assert_near(found, expected, 1e-5)


def test_dropout_is_drawn_per_step_and_absent_from_evaluation(tiny_llama):
    model = started(tiny_llama, dropout=0.5)
    batches = rows(4)
    losses = [model.step(batches, 0.0, step=step, max_gradient_norm=None).loss_sum for step in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]
    assert model.evaluate(batches[0])[0] == pytest.approx(adapted("mlx", tiny_llama).evaluate(batches[0])[0], rel=1e-6)


def test_dropout_keeps_the_mean_and_drops_what_it_says():
    import mlx.core as mx

    from myna.engines.mlx.adapters import Dropout

    dropout = Dropout(0.25, 2)
    dropout.keys = dropout.call_keys(1, 0)
    dropped = np.array(dropout.drop(mx.ones((400, 50)), 0))
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    # 20,000 draws: a share of 0.25 has a standard deviation of 0.003.
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.015)
    assert not np.array_equal(dropped, np.array(dropout.drop(mx.ones((400, 50)), 1)))


def test_a_step_whose_loss_is_not_a_number_changes_nothing(tiny_llama):
    model = started(tiny_llama)
    model.load_trainable({n: np.full_like(t, np.inf) for n, t in model.trainable().items() if "layers.1" in n})
    before = model.trainable()
    result = model.step(rows(2), 1e-3, step=0, max_gradient_norm=1.0)
    assert not math.isfinite(result.loss_sum) or not math.isfinite(result.gradient_norm)
    assert all(np.array_equal(before[name], array) for name, array in model.trainable().items())
    assert not model.optimizer_state()


def test_an_adapter_switched_off_leaves_the_base_model(tiny_llama):
    model = adapted("mlx", tiny_llama)
    base = choose("mlx").load(find(str(tiny_llama)), dtype="float32", device="cpu")
    tokens = random_tokens(np.random.default_rng(0), 12)
    with_adapter = model.logits(tokens)
    model.use_adapter(False)
    assert np.array_equal(model.logits(tokens), base.logits(tokens))
    model.use_adapter(True)
    assert np.array_equal(model.logits(tokens), with_adapter)
    assert not np.array_equal(with_adapter, base.logits(tokens))


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("trained", [False, True])
def test_the_head_loss_does_not_depend_on_how_positions_are_cut_up(monkeypatch, softcap, trained):
    import mlx.core as mx
    from mlx import nn

    from myna.engines.mlx import loss

    rng = np.random.default_rng(0)
    hidden, targets = mx.array(rng.standard_normal((11, 16), np.float32)), mx.array(rng.integers(0, 50, 11))
    weight = mx.array(rng.standard_normal((50, 16), np.float32))

    def plain(hidden, weight):
        logits = hidden @ weight.T
        logits = logits if softcap is None else softcap * mx.tanh(logits / softcap)
        return nn.losses.cross_entropy(logits, targets).sum()

    def ours(hidden, weight):
        layer = nn.Linear(16, 50, bias=False)
        layer.weight = weight
        return loss.head_loss(hidden, loss.Head(layer, softcap, trained), targets, gradient=True)

    monkeypatch.setattr(loss, "_LOGITS_BYTES", 4 * 50 * 3)
    arguments = (0, 1) if trained else (0,)
    expected, reference = mx.value_and_grad(plain, argnums=arguments)(hidden, weight)
    found, gradients = mx.value_and_grad(ours, argnums=arguments)(hidden, weight)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for mine, theirs in zip(gradients, reference, strict=True):
        assert np.abs(np.array(mine) - np.array(theirs)).max() <= 1e-5 * np.abs(np.array(theirs)).max()


# Generation


def test_a_sampled_sequence_does_not_depend_on_its_neighbours(tiny_llama):
    model = adapted("mlx", tiny_llama)
    prompts = [random_tokens(np.random.default_rng(0), n) for n in (5, 12, 1, 9)]
    warm = Sampling(temperature=1.0, top_p=0.9, top_k=40, min_p=0.01, seed=3)
    together = generated(model, prompts, sampling=warm)
    assert generated(model, prompts[:1], sampling=warm)[0] == together[0]


def test_a_cache_that_grows_many_times_goes_on_as_before(tiny_llama):
    model = adapted("mlx", tiny_llama)
    prompts = [random_tokens(np.random.default_rng(0), n) for n in (5, 12)]
    assert generated(model, prompts, together=2) == generated(model, prompts)
    long = generated(model, prompts, max_tokens=150)
    whole = np.concatenate([prompts[0], np.array(long[0][:-1], np.int32)])
    assert model.logits(whole)[len(prompts[0]) - 1 :].argmax(axis=1).tolist() == long[0]


def test_a_constraint_decides_which_tokens_may_come(tiny_llama):
    class Even:
        """Allows even tokens only."""

        def allowed(self, sequences):
            bits = np.zeros((len(sequences), (TINY["vocab_size"] + 31) // 32 * 32), np.uint8)
            bits[:, ::2] = 1
            return np.packbits(bits, axis=1, bitorder="little").view("<u4")

        def taken(self, sequences, tokens):
            assert all(token % 2 == 0 for token in tokens)

    prompts = [random_tokens(np.random.default_rng(0), n) for n in (5, 12, 1)]
    expected, found = (
        generated(adapted(engine, tiny_llama), prompts, constraint=Even()) for engine in ("torch", "mlx")
    )
    assert found == expected


def test_an_empty_prompt_is_refused(tiny_llama):
    with pytest.raises(PromptError, match="no tokens"):
        generated(adapted("mlx", tiny_llama), [np.zeros(0, np.int32)])


# Quantised bases


@pytest.fixture(scope="module")
def packed_llama(tmp_path_factory):
    """A tiny Llama with tied embeddings that mlx_lm packed in 4 bits."""
    folder = tmp_path_factory.mktemp("packed")
    wide = {"hidden_size": 64, "intermediate_size": 128, "tie_word_embeddings": True}
    save_tiny(folder / "plain", "llama", **wide)
    script = (
        "import resource, sys\n"
        "resource.setrlimit = lambda *_: None\n"
        "from mlx_lm.utils import load_model, quantize_model, save_config, save_model\n"
        "from pathlib import Path\n"
        "model, config = load_model(Path(sys.argv[1]))\n"
        "model, config = quantize_model(model, config, group_size=32, bits=4)\n"
        "save_model(sys.argv[2], model)\n"
        "save_config(config, Path(sys.argv[2]) / 'config.json')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder / "plain"), str(folder / "mlx")], check=True)
    return folder / "mlx"


@pytest.fixture(scope="module")
def unpacked_llama(packed_llama, tmp_path_factory):
    """The same weights, unpacked into an ordinary folder."""
    import json

    import mlx.core as mx

    folder = tmp_path_factory.mktemp("unpacked")
    config = json.loads((packed_llama / "config.json").read_text())
    stored = {name: array for file in packed_llama.glob("*.safetensors") for name, array in mx.load(str(file)).items()}
    plain = {}
    for name, array in stored.items():
        path, _, part = name.rpartition(".")
        if f"{path}.scales" not in stored:
            plain[name] = array
        elif part == "weight":
            plain[name] = mx.dequantize(array, stored[f"{path}.scales"], stored[f"{path}.biases"], 32, 4)
    for key in ("quantization", "quantization_config"):
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps(config))
    mx.save_safetensors(str(folder / "model.safetensors"), plain)
    return folder


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_training_on_packed_weights_is_training_on_the_same_weights_unpacked(packed_llama, unpacked_llama, kind):
    packed, plain = (adapted("mlx", folder, kind) for folder in (packed_llama, unpacked_llama))
    (loss, gradients), (expected, reference) = (model.loss_and_gradients(rows(5)) for model in (packed, plain))
    assert loss == pytest.approx(expected, rel=1e-5)
    # The head's product of packed words sums in another order.
    assert_near(gradients, reference, 1e-4)
    prompts = [random_tokens(np.random.default_rng(4), n) for n in (5, 12)]
    assert generated(packed, prompts, max_tokens=8) == generated(plain, prompts, max_tokens=8)


def test_packed_weights_are_not_kept_unpacked(packed_llama):
    model = adapted("mlx", packed_llama)
    model.loss_and_gradients(rows(2))
    layer = model.model.layers[0].mlp.up_proj.base
    assert layer.weight.dtype.size * layer.weight.size == 128 * 64 // 2
    assert sum(array.size for array in layer.parameters().values()) == 128 * 64 // 8 + 2 * 128 * 2


# Bad input


def test_foreign_and_misshapen_tensors_are_refused_by_name(tiny_llama):
    model = adapted("mlx", tiny_llama)
    name = next(iter(model.trainable()))
    with pytest.raises(AdapterError, match=r"no trained tensor model[.]other"):
        model.load_trainable({"model.other": np.zeros(3, np.float32)})
    with pytest.raises(AdapterError, match=name):
        model.load_trainable({name: np.zeros((1, 1), np.float32)})


def test_an_unknown_optimizer_option_is_named(tiny_llama):
    with pytest.raises(RecipeError, match=r"optimizer_config\.adam: no option betta"):
        started(tiny_llama, optimizer="adam", betta=1)


def test_a_tensor_missing_from_the_weights_is_named(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = save_tiny(tmp_path, "llama")
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"missing.*model\.layers\.1\.mlp\.up_proj\.weight"):
        choose("mlx").load(find(str(folder)))


def test_a_tensor_larger_than_a_buffer_may_be_is_named_before_the_run(tiny_llama, monkeypatch):
    monkeypatch.setattr("myna.engines.mlx.load.largest_buffer", lambda: 8000)
    with pytest.raises(ResourceError, match=r"model\.embed_tokens\.weight takes .* holds at most"):
        choose("mlx").load(find(str(tiny_llama)), device="cpu")


def test_the_longest_sample_that_a_buffer_holds_is_known_before_the_run(tiny_llama, monkeypatch):
    assert adapted("mlx", tiny_llama).longest_sample is None  # a CPU sets no limit
    monkeypatch.setattr("myna.engines.mlx.model.largest_buffer", lambda: 4 * 4 * 30 * 30 + 100)  # 4 heads
    assert adapted("mlx", tiny_llama).longest_sample == 30


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has Metal")
def test_metal_asked_for_on_linux_is_refused(tiny_llama):
    with pytest.raises(ModelError, match="no Metal"):
        choose("mlx").load(find(str(tiny_llama)), device="metal")
    with pytest.raises(RecipeError, match="cuda"):
        choose("mlx").load(find(str(tiny_llama)), device="cuda")


def test_mlx_asked_for_where_it_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingDependency, match=r"^the MLX engine needs mlx and mlx-lm: pip install 'myna\[mlx\]'$"):
        choose("mlx")


def test_apple_silicon_takes_mlx_by_itself_and_other_machines_torch(monkeypatch):
    assert choose().name == "torch"
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert choose().name == "mlx"
    assert choose("torch").name == "torch"


# The process


_IMPORTS = """
import resource, sys
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
from myna.engines import choose
from myna.models.files import find
choose("mlx").load(find(sys.argv[1]), device="cpu")
assert resource.getrlimit(resource.RLIMIT_NOFILE) == limit
"""


def test_a_device_is_told_as_it_is_named_and_one_that_is_not_there_is_refused(tiny_llama):
    engine = choose("mlx")
    assert engine.device("cpu").kind == "cpu"
    assert engine.device("auto") == engine.device()
    for refused in (engine.device, lambda name: engine.load(find(str(tiny_llama)), device=name)):
        with pytest.raises(RecipeError, match="device 'cuda' is not known to the MLX engine: use cpu or metal"):
            refused("cuda")


def test_the_engine_leaves_the_process_its_limit_of_open_files(tiny_llama):
    subprocess.run([sys.executable, "-c", _IMPORTS, str(tiny_llama)], check=True)


@pytest.mark.skipif(
    sys.platform != "linux" or importlib.util.find_spec("scipy_openblas32") is None, reason="Linux's wheel only"
)
def test_openblas_stands_in_front_of_the_reference_blas():
    assert "OpenBLAS" in choose("mlx").device().notes[1]
    assert "myna-blas" in Path("/proc/self/maps").read_text(encoding="utf-8")
    import mlx.core as mx

    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((65, 65), np.float32) for _ in range(2))
    assert np.array(mx.array(left) @ mx.array(right)) == pytest.approx(left @ right, abs=1e-4)
