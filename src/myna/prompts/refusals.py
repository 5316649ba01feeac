"""What to change in a conversation that a chat template refuses. Messages go in, words come out; knows no templates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from myna.data.example import Message


def advice(messages: Sequence[Message]) -> str:
    """Return what to change in a conversation that a template refuses: the usual reasons, by its roles."""
    roles = [str(message.get("role")) for message in messages]
    spoken = [role for role in roles if role in ("user", "assistant")]
    steps = []
    if {"system", "developer"} & set(roles):
        steps.append("put the system message's text at the beginning of the first user message")
    if any(first == second for first, second in pairwise(spoken)):
        steps.append("join messages of one role that follow each other")
    if spoken[:1] == ["assistant"]:
        steps.append("begin with a user message")
    if "tool" in roles or any(message.get("tool_calls") for message in messages):
        steps.append("take a model whose template knows tools")
    if unknown := [role for role in roles if role not in ("system", "developer", "user", "assistant", "tool")]:
        steps.append(f"rename the role {unknown[0][:40]!r} to system, user, assistant or tool")
    return "; ".join(steps)
