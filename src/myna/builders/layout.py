"""How examples with SQL are laid out: as a conversation, or as one text for a model that knows no conversations."""

from __future__ import annotations

from typing import Literal, TypeAlias

from myna.models.files import locate_tokenizer

Format: TypeAlias = Literal["auto", "chat", "text"]


def wants_text(format: Format, model: str | None) -> bool:
    """Tell whether examples are to be texts: `auto` says so for a `model` without a chat template.

    model: folder or hub id, of which only the tokenizer is read. Raises `ModelError` and `PromptError`.
    """
    if format != "auto" or model is None:
        return format == "text"
    from myna.prompts.builder import PromptBuilder

    return not PromptBuilder.load(locate_tokenizer(model)).has_chat_template
