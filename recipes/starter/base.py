"""Make the starter's untrained model: a byte-level BPE tokenizer and random weights, as a Hugging Face folder.

    python recipes/starter/base.py DATA OUT

DATA is a folder that `data.py` wrote; the tokenizer is trained on the texts of its `train.jsonl`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 4096
ROLES = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
WORDS = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"
"""A word, a digit, signs with the space before them, white space: identifiers fall into words, numbers into digits."""


def tokenizer(texts: Iterator[str]) -> PreTrainedTokenizerFast:
    """Train the tokenizer: every text survives it, because what it has not learnt is written in bytes."""
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    learnt.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(role, special=True, normalized=False) for role in ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learnt.train_from_iterator(texts, trainer)
    end = ROLES[0]
    made = PreTrainedTokenizerFast(
        tokenizer_object=learnt, eos_token=end, pad_token=end, model_max_length=2048, clean_up_tokenization_spaces=False
    )
    made.chat_template = TEMPLATE
    return made


def main() -> None:
    """See above."""
    data, out = map(Path, sys.argv[1:])

    def texts() -> Iterator[str]:
        with (data / "train.jsonl").open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                if number % 3 == 0:
                    yield from (message["content"] for message in json.loads(line)["messages"])

    made = tokenizer(texts())
    made.save_pretrained(out, save_jinja_files=False)  # the chat template is part of tokenizer_config.json
    end = made.convert_tokens_to_ids(ROLES[0])
    config = LlamaConfig(
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        vocab_size=VOCABULARY,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
        dtype="float32",
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    model.save_pretrained(out)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(made):,} tokens", file=sys.stderr)


if __name__ == "__main__":
    main()
