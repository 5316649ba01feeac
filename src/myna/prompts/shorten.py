"""Shorter questions for examples that are too long: answers and control tokens stay whole.

Knows how to cut one message's text by tokens; the builder measures the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from myna.data.example import Message

_CUT = " … "
"""Stands where something was cut out, so that a model (and a person) can see it."""
_ROLE = "user"


def shorten_questions(
    messages: Sequence[Message],
    excess: int,
    offsets: Callable[[str], list[tuple[int, int]]],
) -> tuple[Message, ...] | None:
    """Return the messages with about `excess` tokens fewer in the longest user message, None when none is left.

    The middle goes: instructions and schema tend to stand first, the question last. `offsets` returns the
    character range of each token of a text.
    """
    candidates = {
        index: ranges
        for index, message in enumerate(messages)
        if message["role"] == _ROLE
        and isinstance(message.get("content"), str)
        and message["content"] != _CUT
        and (ranges := offsets(message["content"]))
    }
    if not candidates:
        return None
    index = max(candidates, key=lambda each: len(candidates[each]))
    content, ranges = messages[index]["content"], candidates[index]
    kept = max(len(ranges) - excess - len(offsets(_CUT)), 0)
    head = content[: ranges[kept // 2 - 1][1]] if kept // 2 else ""
    tail = content[ranges[-(kept - kept // 2)][0] :] if kept else ""
    shorter = {**messages[index], "content": f"{head}{_CUT}{tail}"}
    if len(shorter["content"]) >= len(content):
        shorter["content"] = _CUT
    return (*messages[:index], shorter, *messages[index + 1 :])
