"""Releases as Mistral makes them, of a small random model: the inverse of what `myna model convert` does, by torch."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from tiny_models import save_tiny

_NAMES = {
    "model.embed_tokens": "tok_embeddings",
    "model.norm": "norm",
    "lm_head": "output",
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}
PARAMS = {
    "dim": 32,
    "n_layers": 3,
    "head_dim": 8,
    "hidden_dim": 48,
    "n_heads": 4,
    "n_kv_heads": 2,
    "norm_eps": 1e-6,
    "vocab_size": 97,
    "sliding_window": 7,
    "rope_theta": 50000.0,
    "max_seq_len": 256,
}


def tiny_mistral(folder: Path, *, head_dim: int = 8, **changes: object) -> Path:
    """A folder of transformers'; the model's figures are those of `PARAMS`."""
    rope = {"rope_type": "default", "rope_theta": PARAMS["rope_theta"]}
    return save_tiny(folder, "mistral", rope_parameters=rope, head_dim=head_dim, dtype=torch.bfloat16, **changes)


def release_of(folder: Path, *, head_dim: int = 8) -> dict[str, torch.Tensor]:
    """The tensors of transformers' model as Mistral names and orders them."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    tensors = {}
    for name, tensor in model.state_dict().items():
        own = name
        for theirs, mistrals in _NAMES.items():
            own = own.replace(theirs, mistrals)
        own = re.sub(r"^model\.", "", own)
        if own.endswith((".wq.weight", ".wk.weight")):
            # each head's first half and second half are dealt in turn: neighbours become pairs again
            heads = tensor.view(-1, 2, head_dim // 2, tensor.shape[1])
            tensors[own] = heads.transpose(1, 2).reshape(tensor.shape)
        else:
            tensors[own] = tensor
    return tensors


def release_folder(
    folder: Path,
    tensors: dict[str, torch.Tensor],
    *,
    kind: str = "pth",
    tokenizer: bytes | None = None,
    **changed: object,
) -> Path:
    """Write a release into a new folder; what is None in `changed` is left out of the parameters."""
    folder.mkdir(parents=True)
    params = {key: value for key, value in {**PARAMS, **changed}.items() if value is not None}
    (folder / "params.json").write_text(json.dumps(params))
    if kind == "pth":
        torch.save(tensors, folder / "consolidated.00.pth")
    else:
        save_file(tensors, folder / "consolidated.safetensors")
    if tokenizer is not None:
        (folder / "tokenizer.model").write_bytes(tokenizer)
    return folder


def archive(folder: Path, *members: tarfile.TarInfo) -> Path:
    """Pack a release as the `.tar` beside it, with `members` (without content) in front."""
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as packed:
        for member in members:
            packed.addfile(member, io.BytesIO(b"x" * member.size))
        packed.add(folder, folder.name)
    return path
