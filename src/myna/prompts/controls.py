"""Control tokens are what a template writes; the same characters in somebody's data are text.

A tokenizer by itself can't tell the two apart. Here every text on its way to the tokenizer is *marked*: a control
token stands in it as its own string (`</s>`), while the same string coming from data is replaced by a placeholder
(`protect`). Encoding takes marked text, renames the control tokens to strings that nobody can guess, puts the
data's characters back and gives the whole to a copy of the tokenizer in which the control tokens have those names.
It is one call of the tokenizer's own rules, so white space, prefix spaces and merges are exactly its own.

"Control" is what the tokenizer calls special. Other added tokens, such as `<think>` or `<tool_call>`, are
vocabulary that people write in their data on purpose. Knows no templates and no examples.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from myna.errors import PromptError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Private-use characters of the last plane; in data they are protected like control tokens.
_OPEN, _CLOSE = "\U0010fe0e", "\U0010fe0f"
_GUARD = _OPEN + _CLOSE
"""Keeps two pieces of data from joining into a control token where a template puts them side by side."""


_MOST_CONTROL_TOKENS = 10_000
_LONGEST_CONTROL_TOKEN = 256
"""What is kept in memory grows with their number and with the square of their length. Gemma has some 6,400."""


class ControlTokens:
    """The control tokens of one tokenizer and the encoding that keeps them apart from data."""

    def __init__(self, description: str, named: Iterable[str]) -> None:
        """`description` is `Tokenizer.to_str()`; `named` are the tokens that its configuration names special."""
        parts = json.loads(description)
        named = set(named)
        self.ids: dict[str, int] = {
            token["content"]: token["id"]
            for token in parts["added_tokens"]
            if (token["special"] or token["content"] in named) and token["content"].strip()
        }
        """Control token → id."""
        if len(self.ids) > _MOST_CONTROL_TOKENS:
            raise PromptError(f"the tokenizer has {len(self.ids)} special tokens, more than {_MOST_CONTROL_TOKENS}")
        longest = max(self.ids, key=len, default="")
        if len(longest) > _LONGEST_CONTROL_TOKEN:
            raise PromptError(
                f"the tokenizer's special token {longest[:40]!r} … has {len(longest)} characters, more than "
                f"{_LONGEST_CONTROL_TOKEN}"
            )
        nonce = secrets.token_hex(8)
        self._renamed = {content: f"<|{nonce}:{number}|>" for content, number in self.ids.items()}
        self._parts = _rename(parts, self._renamed)
        self._tokenizer = _build(self._parts)
        self._literals = [*self.ids, _OPEN, _CLOSE]
        self._numbers = {literal: number for number, literal in enumerate(self._literals)}
        self._control = any_of(self.ids)
        self._literal = any_of(self._literals)
        self._marked = re.compile(f"{_OPEN}([0-9]*){_CLOSE}|{self._control.pattern}")
        self._heads = {content[:cut] for content in self.ids for cut in range(1, len(content))}
        self._tails = {content[cut:] for content in self.ids for cut in range(1, len(content))}
        self._longest = max(map(len, self._heads), default=0)
        for content, renamed in self._renamed.items():
            if self._tokenizer.token_to_id(renamed) != self.ids[content]:
                raise PromptError(f"the tokenizer's special token {content!r} can't be told apart from text")

    def protect(self, value: Any) -> Any:
        """Return `value` with all its strings marked as data; lists and mappings are gone through."""
        if isinstance(value, str):
            return self._protect_text(value)
        if isinstance(value, Mapping):
            return {self.protect(key): self.protect(item) for key, item in value.items()}
        if isinstance(value, Sequence):
            return [self.protect(item) for item in value]
        return value

    def find(self, text: str) -> str | None:
        """Return the first control token whose characters stand in data, None when there is none."""
        found = self._control.search(text)
        return found[0] if found else None

    def plain(self, marked: str) -> str:
        """Return marked text as a person would read it."""
        return self._marked.sub(lambda found: self._restored(found, {}), marked)

    def encode(self, marked: str) -> list[int]:
        """Return the tokens of marked text, without any that the text does not hold."""
        return self._ids(self._tokenizer, marked)

    def encode_continuation(self, marked: str) -> list[int]:
        """Return the tokens of marked text that goes on after other text: without a space put before it."""
        control = next((found for found in self._marked.finditer(marked) if found[1] is None), None)
        if control is None:
            return self._ids(self._continuing, marked)
        head, rest = marked[: control.start()], marked[control.start() :]
        return [*self._ids(self._continuing, head), *self.encode(rest)]

    def encode_at(self, marked: str, boundaries: Iterable[int]) -> tuple[list[int], list[int]]:
        """Return the tokens of marked text and how many of them lie before each boundary (ascending).

        The tokens before a boundary are those that the text up to there has by itself, because that is what a
        model sees when it is asked. Where the tokenizer would merge across the boundary, the rest is encoded as
        a continuation.
        """
        known: list[int] = []
        lengths: list[int] = []
        previous = 0
        for boundary in (*boundaries, len(marked)):
            tokens = self.encode(marked[:boundary])
            if tokens[: len(known)] != known:
                tokens = known + self.encode_continuation(marked[previous:boundary])
            lengths.append(len(tokens))
            known, previous = tokens, boundary
        return known, lengths[:-1]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return first and last character (exclusive) of each token of a text that is all data."""
        with refusals():
            return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    @cached_property
    def _continuing(self) -> Tokenizer:
        return _build(_without_prefix_space(self._parts))

    def _protect_text(self, text: str) -> str:
        marked = self._literal.sub(lambda found: f"{_OPEN}{self._numbers[found[0]]}{_CLOSE}", text)
        cuts = range(1, min(len(text), self._longest) + 1)
        before = _GUARD if any(text[:cut] in self._tails for cut in cuts) else ""
        after = _GUARD if any(text[-cut:] in self._heads for cut in cuts) else ""
        return f"{before}{marked}{after}"

    def _ids(self, tokenizer: Tokenizer, marked: str) -> list[int]:
        text = self._marked.sub(lambda found: self._restored(found, self._renamed), marked)
        with refusals():
            return list(tokenizer.encode(text, add_special_tokens=False).ids)

    def _restored(self, found: re.Match[str], names: Mapping[str, str]) -> str:
        if found[1] is None:
            return names.get(found[0], found[0])
        return self._literals[int(found[1])] if found[1] else ""


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what the `tokenizers` library raises into `PromptError`."""
    try:
        yield
    except TypeError as error:  # what it raises for a string that has no UTF-8 form
        raise PromptError("the text holds half of a surrogate pair, which is no character") from error
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise PromptError(f"the tokenizer fails: {error}") from error


def is_panic(error: BaseException) -> bool:
    """Tell whether a library's Rust part gave up, as its regular expressions do when they take too long. The exception
    has no place to import it from."""
    return type(error).__name__ == "PanicException"


def any_of(strings: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for the longest of these strings at a place; of no strings, one that matches nothing."""
    return re.compile("|".join(map(re.escape, sorted(strings, key=len, reverse=True))) or "(?!)")


def _build(parts: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import Tokenizer

    with refusals():
        return Tokenizer.from_str(json.dumps(parts))


def _rename(parts: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a tokenizer's description with its control tokens renamed, ids unchanged.

    Merges that build a control token's characters go: text must not become a control token that way either.
    """
    model = dict(parts["model"])
    vocabulary = model["vocab"]
    if isinstance(vocabulary, Mapping):
        model["vocab"] = {names.get(token, token): number for token, number in vocabulary.items()}
    else:
        model["vocab"] = [[names.get(token, token), score] for token, score in vocabulary]
    if "merges" in model:
        pairs = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
        model["merges"] = [pair for pair in pairs if names.keys().isdisjoint((*pair, "".join(pair)))]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    added = [{**token, "content": names.get(token["content"], token["content"])} for token in parts["added_tokens"]]
    return {**parts, "truncation": None, "padding": None, "added_tokens": added, "model": model}


def _without_prefix_space(part: Any) -> Any:
    """Return a tokenizer's description without whatever puts a space before a text."""
    if isinstance(part, list):
        return [_without_prefix_space(item) for item in part if _kind(item) != "Prepend"]
    if not isinstance(part, Mapping):
        return part
    changed = {name: _without_prefix_space(item) for name, item in part.items() if name != "model"}
    if "model" in part:
        changed["model"] = part["model"]
    if _kind(changed.get("normalizer")) == "Prepend":
        changed["normalizer"] = None
    if "add_prefix_space" in changed:
        changed["add_prefix_space"] = False
    if "prepend_scheme" in changed:
        changed["prepend_scheme"] = "never"
    return changed


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, Mapping) else None
