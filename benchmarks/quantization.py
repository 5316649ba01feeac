"""What packed weights save and cost: memory of training, speed of decoding, on a model of Qwen2.5-0.5B's shape.

A random-weight model in bfloat16 and the same one in 4 bits (groups of 64). Each measurement runs in a process of its
own, one after another, the order turned round in every second round; medians over rounds, because machines are noisy.

    python benchmarks/quantization.py memory
    python benchmarks/quantization.py training --rounds 3
    python benchmarks/quantization.py decoding --rounds 3

`memory`: what the base's weights hold, once loaded and after a training step (tensors that are alive, not a process's
pages), and the process's peak. `training`: tokens a second of LoRA steps on rows of 512 tokens, in the type that this
machine is fast in. `decoding`: tokens a second after a prompt of 32, of one sequence and of eight; with
`llama-cpp-python` and `gguf` installed llama.cpp's on Q4_0 of the same weights too.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROMPT, ANSWER = 32, 32
ROW = 512


def make_models(work: Path) -> None:
    """Write the plain model and the packed one, unless they are there."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from myna.exporting.quantizing import quantize_model

    if not (work / "plain").exists():
        config = Qwen2Config(
            vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
            num_key_value_heads=2, tie_word_embeddings=True, max_position_embeddings=32768, bos_token_id=151643,
            eos_token_id=151645, rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        )  # fmt: skip
        torch.manual_seed(0)
        Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(work / "plain")
    if not (work / "packed").exists():
        quantize_model(str(work / "plain"), work / "packed", bits=4, group_size=64)


def load(folder: Path, dtype: str, *, trained: bool) -> Any:
    from myna.engines.base import OptimizerSpec
    from myna.engines.torch import TorchEngine
    from myna.models.adapters import initial_tensors, resolve
    from myna.models.files import find

    files = find(str(folder))
    if not trained:
        return TorchEngine().load(files, dtype=dtype, device="cpu")
    keys = ["q_proj", "v_proj"]
    spec = resolve(files, kind="lora", keys=keys, num_layers=16, rank=8, scale=20.0, dropout=0.0)
    model = TorchEngine().load(files, adapter=spec, dtype=dtype, device="cpu")
    model.load_trainable(initial_tensors(spec, files, 0))
    model.prepare_training(OptimizerSpec("adam"), gradient_checkpointing=False, seed=0)
    return model


def rows(tokens: int = ROW) -> list[Any]:
    """One row of eight samples, half of each a prompt."""
    import numpy as np

    from myna.batching.rows import pack
    from myna.data.example import Source
    from myna.prompts.sample import Sample

    random = np.random.default_rng(0)
    length = tokens // 8
    samples = [
        Sample(random.integers(0, 150_000, length).astype(np.int32), np.arange(length) >= length // 2, Source("x", i))
        for i in range(8)
    ]
    return pack(samples, tokens_per_row=tokens)


def living_bytes() -> int:
    """Bytes of all tensors that are alive, each storage once."""
    import torch

    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if isinstance(thing, torch.Tensor) and thing.device.type != "meta":
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def measure_memory(folder: Path, dtype: str) -> dict[str, Any]:
    """Bytes of the base once loaded, of the base after a step, and of the process at its peak."""
    from myna.engines.machine import peak_resident_bytes

    before = living_bytes()
    model = load(folder, dtype, trained=True)
    loaded = living_bytes() - before
    own = sum(parameter.numel() * parameter.element_size() for parameter in model.named.values())
    model.step(rows(64), 1e-4, step=0, max_gradient_norm=None)
    after = living_bytes() - before
    optimizer = 2 * own
    return {"base": loaded - own, "after": after - own - optimizer, "process": peak_resident_bytes()}


def measure_training(folder: Path, dtype: str) -> dict[str, Any]:
    model = load(folder, dtype, trained=True)
    batches = rows()
    model.step(batches, 1e-4, step=0, max_gradient_norm=None)
    start = time.perf_counter()
    for step in (1, 2):
        model.step(batches, 1e-4, step=step, max_gradient_norm=None)
    return {"tokens_per_second": 2 * ROW / (time.perf_counter() - start)}


def measure_decoding(folder: Path, dtype: str) -> dict[str, Any]:
    import numpy as np

    from myna.engines.base import Sampling

    model = load(folder, dtype, trained=False)
    random = np.random.default_rng(0)
    speeds = {}
    for sequences in (1, 8):
        prompts = [random.integers(0, 150_000, PROMPT).astype(np.int32) for _ in range(sequences)]
        for tokens in (3, ANSWER + 1):  # the first time warms up: packed products are laid out then
            events = model.generate(prompts, max_tokens=tokens, end_tokens=frozenset(), sampling=Sampling())
            for _ in range(sequences):
                next(events)
            start = time.perf_counter()
            count = sum(1 for _ in events)
            speeds[f"decode_{sequences}"] = count / (time.perf_counter() - start)
    return speeds


def write_gguf(plain: Path, file: Path) -> None:
    """Write llama.cpp's Q4_0 of the plain weights: linear layers and embedding packed, vectors in float32."""
    import gguf
    import numpy as np

    from myna.models.files import find, read_tensor

    files = find(str(plain))
    config = files.config
    writer = gguf.GGUFWriter(file, "qwen2")
    writer.add_context_length(2048)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(1e6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    vocabulary = config["vocab_size"]
    writer.add_token_list([f"<{i}>" for i in range(vocabulary)])
    writer.add_token_types([int(gguf.TokenType.NORMAL)] * vocabulary)
    writer.add_token_merges(["< 0"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config["num_hidden_layers"])
    for name, info in files.tensors.items():
        array = read_tensor(info).astype(np.float32)
        path, _, part = name.rpartition(".")
        target = f"{names.get_name(path)}.{part}"
        if array.ndim == 2:
            packed = gguf.quants.quantize(array, gguf.GGMLQuantizationType.Q4_0)
            writer.add_tensor(target, packed, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
        else:
            writer.add_tensor(target, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def measure_llama_cpp(file: Path, threads: int) -> dict[str, Any]:
    from llama_cpp import Llama

    model = Llama(str(file), n_ctx=256, n_threads=threads, n_threads_batch=threads, verbose=False)
    model.eval([7] * PROMPT)
    start = time.perf_counter()
    for token in range(ANSWER):
        model.eval([token + 100])
    return {"decode_1": ANSWER / (time.perf_counter() - start)}


CONTENDERS = {
    "memory": {"bf16": ("plain", "bfloat16"), "4 bits": ("packed", "bfloat16")},
    "training": {"plain": ("plain", "auto"), "4 bits": ("packed", "auto")},
    "decoding": {
        "float32 computing, plain": ("plain", "float32"),
        "float32 computing, 4 bits": ("packed", "float32"),
        "bf16 computing, plain": ("plain", "bfloat16"),
        "bf16 computing, 4 bits": ("packed", "bfloat16"),
    },
}


def run_one(what: str, name: str, work: Path) -> dict[str, Any]:
    """Measure in this process."""
    if name == "llama.cpp Q4_0":
        import torch

        return measure_llama_cpp(work / "q4_0.gguf", torch.get_num_threads())
    folder, dtype = CONTENDERS[what][name]
    measure = {"memory": measure_memory, "training": measure_training, "decoding": measure_decoding}[what]
    return measure(work / folder, dtype)


def has_llama_cpp(work: Path) -> bool:
    import importlib.util

    if importlib.util.find_spec("llama_cpp") is None or importlib.util.find_spec("gguf") is None:
        return False
    if not (work / "q4_0.gguf").exists():
        write_gguf(work / "plain", work / "q4_0.gguf")
    return True


def show(what: str, results: dict[str, list[dict[str, Any]]]) -> None:
    medians = {
        name: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for name, runs in results.items()
    }
    unit = 1e6 if what == "memory" else 1
    keys = list(next(iter(medians.values())))
    print(f"{'':<28}" + "".join(f"{key:>20}" for key in keys))
    for name, values in medians.items():
        print(f"{name:<28}" + "".join(f"{values[key] / unit:>20.1f}" if key in values else " " * 20 for key in keys))
    if what == "memory":
        share = medians["4 bits"]["base"] / medians["bf16"]["base"]
        print(f"weights in 4 bits take {share:.1%} of those in bf16 (MB above)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["memory", "training", "decoding"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder that keeps the models")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run_one(arguments.what, arguments.one, arguments.work)))
        return
    with tempfile.TemporaryDirectory(prefix="myna-quantization-") as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        make_models(work)
        names = list(CONTENDERS[arguments.what])
        if arguments.what == "decoding" and has_llama_cpp(work):
            names.append("llama.cpp Q4_0")
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for number in range(arguments.rounds):
            for name in names if number % 2 == 0 else reversed(names):
                command = [sys.executable, __file__, arguments.what, "--one", name, "--work", str(work)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                results[name].append(json.loads(done.stdout.splitlines()[-1]))
        show(arguments.what, results)


if __name__ == "__main__":
    main()
