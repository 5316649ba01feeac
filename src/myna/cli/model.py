"""`myna model`: get a base model, and look at one."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from myna.cli.flags import COMMON, Common
from myna.cli.terminal import Styled, say, show_text
from myna.errors import cut

if TYPE_CHECKING:
    from myna.models.info import ModelInfo


_LONGEST = 500
"""Characters of a line that tells what a model's files say."""


def get(model: str, /, *, revision: str | None = None, common: Common = COMMON) -> dict[str, Any]:
    """Download a model from the hub, or what is missing of it, and check that it is whole.

    Parameters
    ----------
    model
        Hub id, such as Qwen/Qwen2.5-0.5B-Instruct.
    revision
        Branch, tag or commit; by default the newest.
    """
    from myna.models.getting import get as get_model

    result = get_model(model, revision=revision)
    show_text(f"{result.folder}\n", sys.stdout)
    if result.layout == "mistral":
        command = shlex.join(["myna", "model", "convert", str(result.folder), "--to", "huggingface", "-o", "NEW"])
        say(f"In Mistral's own layout; make it usable: {command}")
    return {**asdict(result), "folder": str(result.folder)}


def info(model: str, /, *, common: Common = COMMON) -> dict[str, Any]:
    """Tell a model's architecture, size, layers and tokenizer.

    Parameters
    ----------
    model
        Folder or hub id.
    """
    from myna.models.info import describe
    from myna.reports.words import byte_words

    facts = describe(model)
    stored = ", ".join(f"{name} {count:,}" for name, count in facts.dtypes.items())
    tokenizer = facts.tokenizer
    rows = [
        ("Model", facts.name),
        ("Architecture", facts.architecture),
        ("Parameters", f"{facts.parameters:,} ({stored})"),
        ("Size", f"{byte_words(facts.bytes)} in {facts.shards} file{'' if facts.shards == 1 else 's'}"),
        ("Memory", ", ".join(f"{width} {byte_words(size)}" for width, size in facts.memory.items())),
        ("Layers", f"{facts.layers}, hidden size {facts.hidden_size or 'unknown'}"),
        ("Context", f"{facts.context_length:,} tokens" if facts.context_length else "unknown"),
        ("Vocabulary", f"{facts.vocabulary_size:,}" if facts.vocabulary_size else "unknown"),
        ("Embeddings", "tied: input and output share one matrix" if facts.tied_embeddings else "input and output"),
        ("Quantised", _quantised(facts)),
        ("Tokenizer", f"{tokenizer.kind or 'unknown'}, {tokenizer.entries or 'unknown'} entries"),
        ("Template", "chat template" if tokenizer.chat_template else "no chat template"),
        ("Special", ", ".join(f"{name} {token}" for name, token in tokenizer.special.items()) or "unknown"),
        ("Agreement", "; ".join(facts.disagreements) or "tokenizer and configuration agree"),
        ("Adaptable", ""),
    ]
    for name, value in rows:
        say(Styled(f"{name:<13}" if value else name, "1"), cut(value, _LONGEST))
    for path, (out, into) in facts.linear.items():
        say(f"  {path}  {into} → {out}")
    return asdict(facts)


def _quantised(facts: ModelInfo) -> str:
    layers = ", ".join(f"{packing} ({count} layers)" for packing, count in facts.packings.items())
    return f"{facts.quantisation}: {layers}" if layers else facts.quantisation or "no"
