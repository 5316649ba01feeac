"""What should not be learnt by heart: keys, tokens, passwords and e-mail addresses in a text.

A text goes in, the places of what looks like a secret come out. Known key formats are recognised by their own prefix
and length, as their issuers document them; passwords by what stands before them. Linear in the length of the text.
Knows no examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

SensitiveKind: TypeAlias = Literal["secrets", "passwords", "e-mail addresses"]


@dataclass(frozen=True, slots=True)
class Sensitive:
    """Characters `start … stop-1` of a text are a `name`, such as a GitHub token."""

    kind: SensitiveKind
    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Pattern:
    """`hints`: one of them stands in every lower-cased text that matches. Group 1 is what has to look random."""

    kind: SensitiveKind
    name: str
    hints: tuple[str, ...]
    expression: re.Pattern[str]


_ALONE = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
"""Nothing that belongs to the same word stands before, so that every word is tried once; a written `\\n` is no word."""


def _key(name: str, hints: str, expression: str) -> _Pattern:
    return _Pattern("secrets", name, tuple(hints.split()), re.compile(_ALONE + expression))


_ASSIGNED = (
    r"[A-Za-z0-9_-]{0,40}?(?:password|passwd|pwd|passphrase|secret|secret[_-]?key|api[_-]?key|access[_-]?key"
    r"|auth[_-]?token|access[_-]?token|密码|口令)[\"'`]?[ \t]{0,3}(?:=>|:=|[:=：])[ \t]{0,3}"
)

_PATTERNS = (
    _key("AWS access key", "akia asia", r"((?:AKIA|ASIA)[0-9A-Z]{16})(?![0-9A-Za-z])"),
    _key("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"(gh[pousr]_[A-Za-z0-9]{30,})"),
    _key("GitHub token", "github_pat_", r"(github_pat_[A-Za-z0-9_]{22,})"),
    _key("GitLab token", "glpat-", r"(glpat-[A-Za-z0-9_-]{20,})"),
    _key("Slack token", "xox xapp-", r"((?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,})"),
    _key("API key (sk-…)", "sk-", r"(sk-(?:[a-z]{2,10}[0-9]{0,2}-)?[A-Za-z0-9_-]{20,})"),
    _key("Hugging Face token", "hf_", r"(hf_[A-Za-z0-9]{30,})"),
    _key("Google API key", "aiza", r"(AIza[A-Za-z0-9_-]{35})"),
    _key("Stripe key", "k_live_", r"([sr]k_live_[A-Za-z0-9]{16,})"),
    _key("package index token", "npm_ pypi-", r"(npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,})"),
    _key("JSON web token", "eyj", r"(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})"),
    _Pattern(
        "secrets",
        "private key",
        ("private key",),
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
            r"((?:\\[nr]|[\sA-Za-z0-9+/=:,.()-])*?)(?:-----END [A-Z0-9 ]{1,60}-----|(?=[^\sA-Za-z0-9+/=:,.()\\-])|\Z)"
        ),
    ),
    _Pattern(
        "secrets",
        "password in a URL",
        ("://",),
        re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s:/@'\"<>`]{0,100}:([^\s/@'\"<>`]{1,200})@"),
    ),
    _Pattern(
        "passwords",
        "password",
        ("pass", "pwd", "secret", "key", "token", "密码", "口令"),
        re.compile(rf"(?i){_ALONE}{_ASSIGNED}[\"'`]?([^\s\"'`,;，。；、)\]}}]{{8,200}})"),
    ),
    _Pattern(
        "e-mail addresses",
        "e-mail address",
        ("@",),
        re.compile(
            r"(?<![A-Za-z0-9._%+-])([A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24})(?![A-Za-z0-9_.-]*@)"
        ),
    ),
)

_PLACEHOLDER = re.compile(
    r"(?i)[$%{\[*].*|.*<.*|.*[*]{3}.*|.*x{4}.*|.*\.{3}.*|.*….*|.*\$\{.*|.*\{\{.*|.*[(\[].*|.*(?:your|change_?me|example).*"
    r"|(?:my|the|user|db|new|old|some)?[_-]?(?:pass|pwd|passwd|password)"
)
"""What documentation and programs write in the place of a password."""

_NOT_PERSONAL = re.compile(
    r"(?i)^(?:git|noreply|no-reply)@|@(?:[a-z0-9-]+\.)*(?:example(?:\.[a-z]+)?|test|invalid|localhost|local|svc|internal)$"
    r"|\.(?:png|jpe?g|gif|svg|webp|service|sql|md|html?|js|css|py|go|so)$"
)
"""Addresses that stand for nobody, and what only looks like one: `icon@2x.png`."""

_FEWEST_CHARACTERS = 6
"""A key has more different characters than a row of x or 0."""
_ROW = re.compile(r"(.)\1{7}")
"""Eight times the same character: nobody's key either."""

_BEGUN = re.compile(
    rf"{_ALONE}(?:(?:AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|xapp-|sk-|hf_|AIza|[sr]k_live_|npm_|pypi-|eyJ)"
    rf"[A-Za-z0-9_.-]{{4,}}|[A-Za-z][A-Za-z0-9+.-]{{1,30}}://[^\s:/@]{{0,100}}:[^\s/@]+|(?i:{_ASSIGNED})\S{{4,}})"
)
"""What may be the beginning of a secret that somebody's message cut off. More than secrets begins so."""


def find_sensitive(text: str) -> list[Sensitive]:
    """Return what looks like a secret or an address, in order of its place; nothing that lies within another."""
    lowered = text.lower()
    found = [
        Sensitive(pattern.kind, pattern.name, match.start(), match.end())
        for pattern in _PATTERNS
        if any(hint in lowered for hint in pattern.hints)
        for match in _matches(pattern, text)
    ]
    outermost = list[Sensitive]()
    for each in sorted(found, key=lambda each: (each.start, -each.stop)):
        if not outermost or each.start >= outermost[-1].stop:
            outermost.append(each)
    return outermost


def to_mask(text: str) -> list[tuple[int, int]]:
    """Return where a text that is shown to people should be masked, ascending: secrets, and what may be pieces of some.

    Does not overlook a secret that lost its end, as error messages quote the beginning of a text.
    """
    spans = [(found.start, found.stop) for found in find_sensitive(text)]
    spans += [found.span() for found in _BEGUN.finditer(text)]
    apart = list[tuple[int, int]]()
    for start, stop in sorted(spans):
        if apart and start < apart[-1][1]:
            apart[-1] = apart[-1][0], max(stop, apart[-1][1])
        else:
            apart.append((start, stop))
    return apart


def _matches(pattern: _Pattern, text: str) -> Iterator[re.Match[str]]:
    for match in pattern.expression.finditer(text):
        if _is_real(pattern, match[1]):
            yield match


def _is_real(pattern: _Pattern, value: str) -> bool:
    if pattern.kind == "e-mail addresses":
        return not _NOT_PERSONAL.search(value)
    if pattern.name == "password in a URL":
        return not _PLACEHOLDER.fullmatch(value)
    if pattern.kind == "passwords":
        mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
        return mixed and len(set(value)) >= _FEWEST_CHARACTERS and not _PLACEHOLDER.fullmatch(value)
    return len(set(value)) >= _FEWEST_CHARACTERS and not _ROW.search(value)
