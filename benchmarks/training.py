"""How fast, and in how much memory, does one LoRA run go: Myna beside TRL's SFTTrainer and plain PEFT + Trainer.

A random-weight model of exactly Qwen2.5-0.5B's shape, the first WikiSQL training examples as chats, batch 4, rank 8 on
q and v, prompt masked, one epoch. Each contender runs in a process of its own, one after another, the order turned
round in every second round; real (unpadded) tokens per second from the first to the last optimizer step, and the
process's peak resident memory. Ratios are taken within a round, because machines are shared and noisy.

    python benchmarks/training.py --examples 200 --rounds 1
    python benchmarks/training.py --examples 32 --rounds 3 --contenders myna trl
    python benchmarks/training.py --examples 32 --data school-data     # questions on one database

TRL is set up as well as its documentation allows on this machine: loss on completions only, no gradient checkpointing,
batches of similar lengths, the dtype that is fast here. `trl-default` leaves its defaults. Needs `pip install
'myna[torch,dev,bench]'`, a tokenizer folder and WikiSQL's files (`--tokenizer`, `--wikisql`).
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
AGGREGATES = ("", "MAX", "MIN", "COUNT", "SUM", "AVG")
OPERATORS = ("=", ">", "<", "OP")
RANK, ALPHA, LEARNING_RATE, BATCH = 8, 16, 1e-4, 4


def chats(wikisql: Path, count: int) -> list[list[dict[str, str]]]:
    with (wikisql / "train.tables.jsonl").open(encoding="utf-8") as lines:
        tables = {table["id"]: table for table in map(json.loads, lines)}
    made = []
    with (wikisql / "train.jsonl").open(encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            table, sql = tables[record["table_id"]], record["sql"]
            header = table["header"]
            column = f'"{header[sql["sel"]]}"'
            query = "SELECT " + (f"{AGGREGATES[sql['agg']]}({column})" if sql["agg"] else column)
            query += f' FROM "{table["id"]}"'
            if sql["conds"]:
                query += " WHERE " + " AND ".join(f"\"{header[c]}\" {OPERATORS[o]} '{v}'" for c, o, v in sql["conds"])
            question = f"table: {table['id']}\ncolumns: {', '.join(header)}\nQ: {record['question']}"
            made.append([{"role": "user", "content": question}, {"role": "assistant", "content": query}])
            if len(made) == count:
                break
    return made


def first_conversations(folder: Path, count: int) -> list[list[dict[str, str]]]:
    with (folder / "train.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line)["messages"] for line, _ in zip(lines, range(count), strict=False)]


def make_model(folder: Path, tokenizer: Path) -> None:
    """Write a bfloat16 folder of Qwen2.5-0.5B's shape with random weights."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, tie_word_embeddings=True, max_position_embeddings=32768, bos_token_id=151643,
        eos_token_id=151645, rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    )  # fmt: skip
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def peak_bytes() -> int:
    """Peak resident memory of this process; Linux's own counter, because getrusage inherits a parent's peak."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))


def run_myna(work: Path, dtype: str) -> dict[str, Any]:
    import myna
    from myna.training.events import Report

    reports = []
    recipe = myna.Recipe(
        model=str(work / "model"), data=str(work / "data"), adapter_path=str(work / f"run-{os.getpid()}"), epochs=1,
        batch_size=BATCH, num_layers=-1, learning_rate=LEARNING_RATE, optimizer="adamw", dtype=dtype,
        lora_parameters={"rank": RANK, "alpha": ALPHA, "keys": ["q_proj", "v_proj"]},
        steps_per_report=1, val_batches=0, save_every=10**6,
    )  # fmt: skip
    myna.train(recipe, listener=lambda event: reports.append(event) if isinstance(event, Report) else None)
    return {"seconds": reports[-1].seconds, "loss": reports[-1].train_loss}


def run_peer(work: Path, contender: str, dtype: str) -> dict[str, Any]:
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

    class Clock(TrainerCallback):
        begin = end = loss = 0.0

        def on_step_begin(self, *_args: Any, **_kwargs: Any) -> None:
            self.begin = self.begin or time.perf_counter()

        def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
            self.end = time.perf_counter()

        def on_log(self, _args: Any, _state: Any, _control: Any, logs: Any = None, **_kwargs: Any) -> None:
            self.loss = logs.get("loss", self.loss)

    clock = Clock()
    with (work / "data" / "train.jsonl").open(encoding="utf-8") as lines:
        conversations = [json.loads(line)["messages"] for line in lines]
    tokenizer = AutoTokenizer.from_pretrained(work / "model")
    model = AutoModelForCausalLM.from_pretrained(work / "model", dtype=getattr(torch, dtype))
    lora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    common: dict[str, Any] = {
        "output_dir": str(work / "peer"), "per_device_train_batch_size": BATCH, "num_train_epochs": 1,
        "learning_rate": LEARNING_RATE, "report_to": [], "save_strategy": "no", "logging_steps": 1, "seed": 0,
        "bf16": dtype == "bfloat16", "disable_tqdm": True, "use_cpu": not torch.cuda.is_available(),
    }  # fmt: skip
    if contender.startswith("trl"):
        from trl import SFTConfig, SFTTrainer

        if contender == "trl":
            common |= {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"}
        rows = [{"prompt": turns[:-1], "completion": turns[-1:]} for turns in conversations]
        trainer: Any = SFTTrainer(
            model=model, args=SFTConfig(**common, completion_only_loss=True, max_length=2048), peft_config=lora,
            train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[clock],
        )  # fmt: skip
    else:
        from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

        trainer = Trainer(
            model=get_peft_model(model, lora), args=TrainingArguments(**common), callbacks=[clock],
            train_dataset=Dataset.from_list([masked(tokenizer, turns) for turns in conversations]),
            data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
        )  # fmt: skip
    trainer.train()
    return {"seconds": clock.end - clock.begin, "loss": float(clock.loss)}


def masked(tokenizer: Any, turns: list[dict[str, str]]) -> dict[str, list[int]]:
    whole = tokenizer.apply_chat_template(turns)["input_ids"]
    prompt = tokenizer.apply_chat_template(turns[:-1], add_generation_prompt=True)["input_ids"]
    labels = [-100] * len(prompt) + whole[len(prompt) :]
    return {"input_ids": whole, "labels": labels, "attention_mask": [1] * len(whole)}


def contend(arguments: argparse.Namespace) -> None:
    """Run one contender in this process and print its figures."""
    work = Path(arguments.work)
    runner = run_myna if arguments.contender == "myna" else run_peer
    extra = () if arguments.contender == "myna" else (arguments.contender,)
    figures = runner(work, *extra, arguments.dtype)
    print(json.dumps({**figures, "peak_bytes": peak_bytes()}))


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    results: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.contenders}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_model(work / "model", arguments.tokenizer)
        (work / "data").mkdir()
        if arguments.data is not None:
            conversations = first_conversations(arguments.data, arguments.examples)
        else:
            conversations = chats(arguments.wikisql, arguments.examples)
        lines = (json.dumps({"messages": turns}, ensure_ascii=False) for turns in conversations)
        (work / "data" / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (work / "data" / "valid.jsonl").write_text(json.dumps({"messages": conversations[0]}) + "\n", encoding="utf-8")
        tokens = count_tokens(work / "model", conversations)
        for round_number in range(arguments.rounds):
            order = arguments.contenders if round_number % 2 == 0 else arguments.contenders[::-1]
            for name in order:
                command = [sys.executable, __file__, "--contender", name, "--work", folder, "--dtype", arguments.dtype]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
                figures = json.loads(done.stdout.strip().splitlines()[-1])
                results[name].append({**figures, "tokens_per_second": tokens / figures["seconds"]})
                print(f"round {round_number + 1}: {name:12} {figures['seconds']:.1f} s", file=sys.stderr, flush=True)
    return {"tokens": tokens, "examples": arguments.examples, "dtype": arguments.dtype, "contenders": results}


def count_tokens(model: Path, conversations: list[list[dict[str, str]]]) -> int:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    return sum(len(tokenizer.apply_chat_template(turns)["input_ids"]) for turns in conversations)


def show(outcome: dict[str, Any]) -> None:
    results = outcome["contenders"]
    print(f"{outcome['examples']} examples, {outcome['tokens']} tokens, {outcome['dtype']}")
    print(f"{'':12} {'tokens/s':>22} {'peak GB':>8} {'Myna is':>20} {'memory':>7}")
    for name, rounds in results.items():
        speeds = [figures["tokens_per_second"] for figures in rounds]
        peak = max(figures["peak_bytes"] for figures in rounds) / 1e9
        line = f"{name:12} {statistics.median(speeds):8.1f} ({min(speeds):.1f} to {max(speeds):.1f}) {peak:8.2f}"
        if name != "myna" and "myna" in results:
            ours = results["myna"]
            ratios = [m["tokens_per_second"] / t["tokens_per_second"] for m, t in zip(ours, rounds, strict=True)]
            memory = max(m["peak_bytes"] for m in ours) / 1e9 / peak
            line += f" {statistics.median(ratios):5.2f} x ({min(ratios):.2f} to {max(ratios):.2f}) {memory:6.2f}"
        print(line)
    print(json.dumps(outcome))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    names = ["myna", "trl", "trl-default", "peft"]
    parser.add_argument("--contenders", nargs="+", default=["myna", "trl", "peft"], choices=names)
    parser.add_argument("--dtype", default=None, help="default: what `myna doctor` says is fast here")
    parser.add_argument("--tokenizer", type=Path, default=SHARED / "tokenizers" / "qwen2.5")
    parser.add_argument("--wikisql", type=Path, default=SHARED / "wikisql")
    parser.add_argument("--data", type=Path, help="a data folder of conversations, instead of WikiSQL")
    parser.add_argument("--contender", choices=names, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if arguments.contender:
        contend(arguments)
        return
    if arguments.dtype is None:
        from myna.engines import choose

        arguments.dtype = choose("torch").device().dtype
    show(compare(arguments))


if __name__ == "__main__":
    main()
