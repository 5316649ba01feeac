"""How fast, and in how much memory, does one LoRA run go on MLX: Myna's engine beside mlx_lm's own training loop.

A random-weight Llama, the first lines of mlx_wikisql as `text` (every token carries loss) or as prompt and completion
(only answers do), batch 4, rank 8 on all linear layers. Each contender runs in a process of its own, one after another;
both multiply matrices with the BLAS that `myna doctor` names, on one thread unless OMP_NUM_THREADS says otherwise.
The data is gone through twice and the second time is measured, so that whatever is compiled for a shape is compiled
before. Real (unpadded) tokens per second of the steps alone, by the clock and by processor time (for a machine that has
other work), and peak memory: of the process, and of MLX's arrays in it.

    python benchmarks/mlx_training.py
    python benchmarks/mlx_training.py --examples 64 --rounds 1 --width 384 --layers 6

Needs `pip install 'myna[mlx]' datasets`, a tokenizer folder and mlx_wikisql (`--tokenizer`, `--data`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
RANK, SCALE, LEARNING_RATE, BATCH = 8, 20.0, 1e-5, 4
CONTENDERS = ("myna", "mlx_lm")


def make_model(folder: Path, tokenizer: Path, width: int, layers: int) -> int:
    """Write a float32 Llama with random weights in NumPy; return how many there are."""
    import numpy as np
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_file(str(tokenizer / "tokenizer.json")).get_vocab_size()
    inner = 8 * width // 3 // 64 * 64
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": width, "intermediate_size": inner,
        "num_hidden_layers": layers, "num_attention_heads": width // 64, "num_key_value_heads": width // 64,
        "vocab_size": vocabulary, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
        "max_position_embeddings": 2048, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    shapes = {"model.embed_tokens.weight": (vocabulary, width), "model.norm.weight": (width,)}
    for layer in range(layers):
        for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"):
            shapes[f"model.layers.{layer}.{name}.weight"] = (width, width)
        for name in ("mlp.gate_proj", "mlp.up_proj"):
            shapes[f"model.layers.{layer}.{name}.weight"] = (inner, width)
        shapes[f"model.layers.{layer}.mlp.down_proj.weight"] = (width, inner)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"model.layers.{layer}.{name}.weight"] = (width,)
    random = np.random.default_rng(0)
    tensors = {
        name: np.ones(shape, np.float32) if len(shape) == 1 else random.standard_normal(shape, np.float32) * 0.02
        for name, shape in shapes.items()
    }
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tokenizer / name).read_bytes())
    return sum(tensor.size for tensor in tensors.values())


def make_data(folder: Path, source: Path, count: int, form: str) -> None:
    folder.mkdir()
    with (source / "train.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(count), strict=False)]
    with (folder / "train.jsonl").open("w", encoding="utf-8") as out:
        for text in texts:
            prompt, _, answer = text.partition("\nA: ")
            record = {"text": text} if form == "text" else {"prompt": prompt, "completion": answer}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    (folder / "valid.jsonl").write_bytes((source / "valid.jsonl").read_bytes())  # or Myna would take some of train's


class Clock:
    """Both clocks after each step; the steps of the second half are what is measured."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.ticks: list[tuple[float, float]] = []

    def tick(self) -> None:
        """Note that a step is done."""
        self.ticks.append((time.perf_counter(), time.process_time()))

    def times(self) -> dict[str, float]:
        """Return what the second half of the steps took."""
        (begun, begun_processor), (ended, ended_processor) = self.ticks[self.steps - 1], self.ticks[-1]
        return {"seconds": ended - begun, "processor_seconds": ended_processor - begun_processor}


def run_myna(work: Path, form: str) -> dict[str, Any]:
    from myna.batching.order import Order
    from myna.batching.rows import pack
    from myna.data.folder import open_folder
    from myna.engines import choose
    from myna.engines.base import OptimizerSpec
    from myna.models.adapters import initial_tensors, resolve
    from myna.models.files import find
    from myna.prompts.builder import PromptBuilder
    from myna.prompts.store import build_samples

    files = find(str(work / "model"))
    spec = resolve(files, kind="lora", keys=None, num_layers=-1, rank=RANK, scale=SCALE, dropout=0.0)
    model = choose("mlx").load(files, adapter=spec, dtype="float32", device="cpu")
    model.load_trainable(initial_tensors(spec, files, 0))
    model.prepare_training(OptimizerSpec("adam"), gradient_checkpointing=False, seed=0)
    store = build_samples(
        open_folder(work / "data").train, PromptBuilder.load(files.folder), max_tokens=2048,
        mask_prompt=form != "text", long_examples="skip", directory=work / "cache",
    )  # fmt: skip
    order = Order(len(store), BATCH, 0)
    steps = len(store) // BATCH
    clock = Clock(steps)
    for step in range(2 * steps):
        rows = pack([store[int(i)] for i in order.step(step)], tokens_per_row=model.row_tokens)
        model.step(rows, LEARNING_RATE, step=step, max_gradient_norm=1.0)
        clock.tick()
    return {**clock.times(), "tokens": sum(len(store[i]) for i in range(len(store)))}


def run_mlx_lm(work: Path, form: str) -> dict[str, Any]:
    from myna.engines.mlx import blas

    blas.prepare()
    import mlx.optimizers as optim
    from mlx_lm.tuner.datasets import CacheDataset, create_dataset
    from mlx_lm.tuner.trainer import TrainingArgs, TrainingCallback, train
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load

    model, tokenizer = load(str(work / "model"))
    with (work / "data" / "train.jsonl").open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    settings = argparse.Namespace(mask_prompt=form != "text")
    dataset = CacheDataset(create_dataset(records, tokenizer, settings))
    model.freeze()
    linear_to_lora_layers(model, -1, {"rank": RANK, "scale": SCALE, "dropout": 0.0})
    steps = len(dataset) // BATCH
    clock = Clock(steps)

    class Reports(TrainingCallback):
        def on_train_loss_report(self, train_info: dict[str, Any]) -> None:
            clock.tick()

    arguments = TrainingArgs(
        batch_size=BATCH, iters=2 * steps, steps_per_report=1, steps_per_save=10**6, max_seq_length=2048,
        adapter_file=str(work / "adapters.safetensors"),
    )  # fmt: skip
    train(model, optim.Adam(learning_rate=LEARNING_RATE, bias_correction=True), dataset, args=arguments,
          training_callback=Reports())  # fmt: skip
    return {**clock.times(), "tokens": sum(len(dataset[i][0]) for i in range(len(dataset)))}


def contend(arguments: argparse.Namespace) -> None:
    from myna.engines.machine import peak_resident_bytes

    run = run_myna if arguments.contender == "myna" else run_mlx_lm
    figures = run(Path(arguments.work), arguments.form)
    import mlx.core as mx

    print(json.dumps({**figures, "peak_bytes": peak_resident_bytes(), "array_bytes": mx.get_peak_memory()}))


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        parameters = make_model(work / "model", arguments.tokenizer, arguments.width, arguments.layers)
        make_data(work / "data", arguments.data, arguments.examples, arguments.form)
        for round_number in range(arguments.rounds):
            for name in CONTENDERS if round_number % 2 == 0 else CONTENDERS[::-1]:
                command = [sys.executable, __file__, "--contender", name, "--work", str(work), "--form", arguments.form]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
                figures = json.loads(done.stdout.strip().splitlines()[-1])
                results[name].append(figures)
                print(f"round {round_number + 1}: {name:7} {figures['seconds']:.1f} s", file=sys.stderr, flush=True)
    return {"parameters": parameters, "form": arguments.form, "contenders": results}


def show(outcome: dict[str, Any]) -> None:
    results = outcome["contenders"]
    tokens = results["myna"][0]["tokens"]
    print(f"{outcome['parameters'] / 1e6:.1f} M parameters, {outcome['form']}, {tokens} tokens")
    print(f"{'':8} {'tokens/s':>9} {'by processor time':>18} {'peak GB':>8} {'arrays GB':>10}")
    middle = {
        name: {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}
        for name, rounds in results.items()
    }
    for name, figures in middle.items():
        print(
            f"{name:8} {tokens / figures['seconds']:9.1f} {tokens / figures['processor_seconds']:18.1f} "
            f"{figures['peak_bytes'] / 1e9:8.2f} {figures['array_bytes'] / 1e9:10.2f}"
        )
    ratios = [middle["mlx_lm"][key] / middle["myna"][key] for key in ("seconds", "processor_seconds")]
    memory = [middle["myna"][key] / middle["mlx_lm"][key] for key in ("peak_bytes", "array_bytes")]
    print(
        f"Myna is {ratios[0]:.2f} ({ratios[1]:.2f}) times as fast, in {memory[0]:.2f} ({memory[1]:.2f}) of the memory"
    )
    print(json.dumps(outcome))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--width", type=int, default=384, help="hidden size, a multiple of 64")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--form", choices=("text", "completions"), default="text")
    parser.add_argument("--tokenizer", type=Path, default=SHARED / "tokenizers" / "llama2")
    parser.add_argument("--data", type=Path, default=SHARED / "mlx_wikisql")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if arguments.contender:
        contend(arguments)
    else:
        show(compare(arguments))


if __name__ == "__main__":
    main()
