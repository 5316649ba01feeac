"""Tokens → text, as they come: never half a character, never a lost space.

Token ids go in one at a time; pieces of text come out as soon as they are certain. Knows no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from myna.prompts.controls import refusals

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_UNFINISHED = "\ufffd"


class StreamDecoder:
    """Decodes one sequence. Control tokens have no text; the space that a tokenizer puts before a text is not
    shown, as in its own decoding."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._pending: list[int] = []
        # After the first piece an ordinary token stands before what is decoded, because a SentencePiece decoder
        # takes the space off whatever comes first.
        self._anchor: list[int] = []
        self._anchor_length = 0

    def push(self, token: int) -> str:
        """Take the next token; return the text that is certain now, which may be empty."""
        self._pending.append(token)
        text = self._text()
        return "" if text.endswith(_UNFINISHED) else self._settle(text)

    def finish(self) -> str:
        """Return what is left; bytes that are no character come as U+FFFD."""
        return self._settle(self._text())

    def _text(self) -> str:
        tokens = [*self._anchor, *self._pending]
        with refusals():
            return str(self._tokenizer.decode(tokens, skip_special_tokens=True))[self._anchor_length :]

    def _settle(self, text: str) -> str:
        if text:
            self._pending.clear()
            if not self._anchor:
                with refusals():
                    self._anchor = self._tokenizer.encode("a", add_special_tokens=False).ids
                    self._anchor_length = len(self._tokenizer.decode(self._anchor, skip_special_tokens=True))
        return text
