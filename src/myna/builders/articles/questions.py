"""The question that a piece answers, and what question and answer cost together.

A title and the headings above a piece go in, the user's message comes out. Knows tokens only as a function.
"""

from __future__ import annotations

from myna.builders.articles.pieces import HeadingPath
from myna.builders.lengths import ConversationTokens
from myna.errors import RecipeError

PLACE_OF_TITLE = "{title}"
_BETWEEN_HEADINGS = " > "
_LARGEST_PART = (99, 99)
_LEAST_ROOM = 32


class Questions:
    """Asks for pieces with one instruction."""

    def __init__(self, tokens: ConversationTokens, limit: int, instruction: str) -> None:
        """limit: most tokens of question and answer together.

        Raises `RecipeError` when the instruction has no place for the title or leaves no room for an answer.
        """
        if PLACE_OF_TITLE not in instruction:
            raise RecipeError(f"the instruction {instruction!r} has no {PLACE_OF_TITLE}, where the title goes")
        self.limit = limit
        self._tokens, self._instruction = tokens, instruction
        self._bare = bare = self._length([""])
        if limit - bare < _LEAST_ROOM:
            raise RecipeError(
                f"a max_seq_length of {limit} leaves no room for answers: instruction and chat template alone take "
                f"{bare} tokens; give at least {bare + _LEAST_ROOM}"
            )
        self._longest = bare + (limit - bare) // 3
        self._short: dict[HeadingPath, list[str]] = {}

    def ask(self, path: HeadingPath, part: tuple[int, int] = (1, 1)) -> str:
        """Return the question for a piece below these headings: its `part` when a section has several.

        A path that would take over a third of the room loses its middle, then the ends of its longest names.
        """
        if path not in self._short:
            self._short = {path: self._shortened(path)}  # pieces of one path come one after the other
        return self._asked(self._short[path], part)

    def cost(self, path: HeadingPath, text: str) -> int:
        """Return how many tokens an example takes, whichever part of its section it turns out to be."""
        return self._tokens(self.ask(path, _LARGEST_PART), text)

    def _shortened(self, path: HeadingPath) -> list[str]:
        names = list(path)
        if self._bare + len(_BETWEEN_HEADINGS.join(names).encode()) <= self._longest:
            return names  # no tokenizer makes more tokens than bytes
        while self._length(names) > self._longest and len(names) > 2:
            del names[1]
        while self._length(names) > self._longest and max(map(len, names)) > 1:
            at = max(range(len(names)), key=lambda at: len(names[at]))
            names[at] = names[at][: len(names[at]) // 2]
        return names

    def _length(self, names: list[str]) -> int:
        return self._tokens(self._asked(names, _LARGEST_PART), "x")

    def _asked(self, names: list[str], part: tuple[int, int]) -> str:
        number, of = part
        title = _BETWEEN_HEADINGS.join(names) + (f" ({number}/{of})" if of > 1 else "")
        return self._instruction.replace(PLACE_OF_TITLE, title)
