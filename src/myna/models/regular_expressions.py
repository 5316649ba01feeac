"""Whether a regular expression out of a model's files may be run.

In: an expression of a tokenizer (Oniguruma's syntax) or of an adapter (Python's). Out: why not, or None. Both engines
try one way after another, so that `(a+)+$` on forty letters takes years. What is accepted here takes at most a low
power of a text's length: nothing that varies in length is repeated as a whole, and few repetitions follow one another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_CHARACTERS = 4_000
"""Those of published tokenizers have up to about a thousand."""

_ATOM = re.compile(r"\\[pPxuU]\{[^}]*\}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[0-9kg]|\\.|\[|.", re.DOTALL)
_ONE_OF_A_KIND = re.compile(r"\\p\{[A-Z]\}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\?[^\w\\.\[^$]|[\w]", re.DOTALL)
"""A character, or one of Unicode's main categories: two different ones match nothing in common."""
_GROUP = re.compile(r"\(\?(?:[:=!>]|<[=!]|<\w+>|P<\w+>|[a-z]*(?:-[a-z]+)?[:)])|\((?!\?)")
_QUANTIFIER = re.compile(r"(?:[*+?]|\{(?P<least>\d*)(?P<comma>,?)(?P<most>\d*)\})[?+]?")
_MANY = 16
"""A repetition of more than this is counted as one without end."""


@dataclass(slots=True)
class _Group:
    """What is known of a group, or of the whole, while it is read.

    repetitions: without end, of the alternative that has most; of_this: of the alternative that is read. varies:
    something in it is repeated a varying number of times. atoms: of the alternative that is read. single: all
    alternatives so far are one atom. alternatives: how many came before.
    """

    repetitions: int = 0
    of_this: int = 0
    varies: bool = False
    atoms: int = 0
    single: bool = True
    alternatives: int = 0
    names: list[str] = field(default_factory=list)

    def end_alternative(self) -> None:
        self.repetitions = max(self.repetitions, self.of_this)
        self.single = self.single and self.atoms == 1
        self.of_this = self.atoms = 0

    @property
    def may_be_repeated(self) -> bool:
        """Whether its content always has the same length, or is one of several different characters."""
        if self.varies:
            return False
        different = len(set(self.names)) == len(self.names) and all(map(_ONE_OF_A_KIND.fullmatch, self.names))
        return self.alternatives == 0 or (self.single and different)


def why_not(pattern: str, *, repetitions: int = 3) -> str | None:
    """Return what is wrong with an expression, None when it may be run.

    repetitions: how many repetitions without end may follow one another. Expressions that an engine would not compile
    may pass.
    """
    if len(pattern) > MAX_CHARACTERS:
        return f"it has {len(pattern)} characters, more than {MAX_CHARACTERS}"
    groups = [_Group()]
    position = 0
    last: _Group | None = None  # the group that a quantifier would repeat, None when it is one character
    while position < len(pattern):
        group = groups[-1]
        character = pattern[position]
        if character == "(":
            opened = _GROUP.match(pattern, position)
            if opened is None:
                return f"it has a group of an unknown kind at character {position}"
            position = opened.end()
            if not opened[0].endswith(")"):  # else it only sets flags
                groups.append(_Group())
            continue
        if character == "|":
            group.end_alternative()
            group.alternatives += 1
            position += 1
            continue
        if character == ")":
            if len(groups) == 1:
                return "it closes a group that it does not open"
            last = groups.pop()
            last.end_alternative()
            groups[-1].atoms += 1
            groups[-1].of_this += last.repetitions
            groups[-1].varies = groups[-1].varies or last.varies or (last.alternatives > 0 and not last.single)
            position += 1
        else:
            last = None
            end = _end_of_atom(pattern, position)
            if end is None:
                return "it refers back to a group, or does not end"
            group.names.append(pattern[position:end])
            group.atoms += 1
            position = end
        found = _QUANTIFIER.match(pattern, position)
        if found is None:
            continue
        position = found.end()
        if (wrong := _repeat(groups[-1], last, found, repetitions)) is not None:
            return wrong
    return None if len(groups) == 1 else "it opens a group that it does not close"


def _repeat(group: _Group, repeated: _Group | None, quantifier: re.Match[str], repetitions: int) -> str | None:
    """Take note in `group` that its last atom, or group, is repeated; return what is wrong with that."""
    sign = quantifier[0][0]
    least, most = quantifier["least"], quantifier["most"]
    fixed = sign == "{" and not quantifier["comma"]
    bound = int((most if quantifier["comma"] else least) or 0) if sign == "{" else 1
    endless = sign in "*+" or (sign == "{" and (bound > _MANY or bool(quantifier["comma"] and not most)))
    group.varies = group.varies or not fixed
    group.single = False
    if repeated is not None and not repeated.may_be_repeated and (endless or bound > 3):
        return "it repeats something that can match a text in several ways"
    if endless:
        group.of_this += 1
    if group.of_this > repetitions:
        return f"more than {repetitions} repetitions follow one another in it"
    return None


def _end_of_atom(pattern: str, position: int) -> int | None:
    """Return where the character or set of characters at `position` ends, None for a reference to a group."""
    atom = _ATOM.match(pattern, position)
    if atom is None or re.fullmatch(r"\\[1-9kg]", atom[0]):
        return None
    if atom[0] != "[":
        return atom.end() if atom[0] != "\\" else None
    depth, position = 1, position + 1
    while position < len(pattern) and depth:
        if pattern[position] == "\\":
            position += 1
        elif pattern[position] == "[":
            depth += 1
        elif pattern[position] == "]":
            depth -= 1
        position += 1
    return None if depth else position
