"""Shorter questions for examples that are too long: answers and control tokens stay whole.

Messages go in; the same messages with less in their longest question come out, until nothing is left to cut. Knows
how to cut by tokens; the builder measures the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from myna.data.example import Message

_CUT = "…"
"""Stands where something was cut out, so that a model (and a person) can see it."""


class Shortener:
    """Cuts the middle out of the user messages of one conversation, the longest first.

    The middle, because instructions and schema tend to stand first and the question last.
    """

    def __init__(self, messages: Sequence[Message], offsets: Callable[[str], list[tuple[int, int]]]) -> None:
        """`offsets` returns the character range of each token of a text."""
        self._messages = messages
        # Spaces at the end are never cut: without a chat template the answer begins with them.
        self._ranges = {
            index: offsets(message["content"].rstrip(" "))
            for index, message in enumerate(messages)
            if message["role"] == "user" and isinstance(message.get("content"), str)
        }
        self._kept = {index: len(ranges) for index, ranges in self._ranges.items()}

    def cut(self, excess: int) -> tuple[Message, ...] | None:
        """Return the messages with `excess` tokens fewer than the last time, None when nothing is left to cut."""
        index = max(self._kept, key=self._kept.__getitem__, default=None)
        if index is None or self._kept[index] == 0:
            return None
        kept = self._kept[index] - excess
        self._kept[index] = kept if kept > 1 else 0
        return tuple(self._shorter(index, message) for index, message in enumerate(self._messages))

    def _shorter(self, index: int, message: Message) -> Message:
        ranges, kept = self._ranges.get(index, []), self._kept.get(index, 0)
        if kept == len(ranges):
            return message
        content = message["content"]
        spaces = content[len(content.rstrip(" ")) :]
        if kept == 0:
            return {**message, "content": _CUT + spaces}
        head = ranges[kept // 2 - 1][1]
        tail = max(head, ranges[-(kept - kept // 2)][0])  # several tokens may share one character
        return {**message, "content": f"{content[:head]} {_CUT} {content[tail:]}"}
