"""Tiny random models of every supported architecture, written as ordinary Hugging Face folders."""

from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

TINY = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES = {
    "llama": {},
    "mistral": {"sliding_window": 7},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 8},
    "phi3": {},
    "gemma2": {
        "head_dim": 8,
        "sliding_window": 5,
        "query_pre_attn_scalar": 8,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
    },
    "gemma3_text": {
        "head_dim": 8,
        "sliding_window": 5,
        "query_pre_attn_scalar": 8,
        "sliding_window_pattern": 2,
    },
}


def save_tiny(
    folder: Path, architecture: str, *, seed: int = 0, dtype: torch.dtype = torch.float32, **changes: object
) -> Path:
    """Write a random model; weights are large enough that soft-caps and windows matter."""
    config = AutoConfig.for_model(architecture, **{**TINY, **ARCHITECTURES[architecture], **changes})
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.25)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.to(dtype).save_pretrained(folder)
    return folder


def random_tokens(rng: np.random.Generator, count: int) -> np.ndarray:
    """Token ids without the special ones."""
    return rng.integers(3, TINY["vocab_size"], count).astype(np.int32)
