"""What a call in a template costs: of a method of its data, or of one of the few functions that it is given.

In: a meter. Out: the arguments to make the call with, once it is paid for. What has no known cost is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.runtime import LoopContext
from jinja2.utils import Cycler

from myna.prompts.templates.meter import ELEMENT, Meter

FUNCTIONS = ("cycler", "dict", "joiner", "namespace", "raise_exception", "range", "strftime_now")
"""What is left of Jinja's and transformers' functions: `lipsum` is not."""

_READ_ONCE = (
    *("capitalize", "casefold", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier"),
    *("islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper", "lower", "swapcase", "title", "upper"),
)
PLAIN_TEXT_METHODS = frozenset((*_READ_ONCE, "lstrip", "rstrip", "strip"))
"""Methods of strings that, without arguments, read the string once and make one that is at most three times as long."""

Arguments = tuple[Any, ...]
Named = Mapping[str, Any]


def pay_function(meter: Meter, name: str, args: Arguments, kwargs: Named) -> Arguments:
    """Pay for a call of one of `FUNCTIONS`; return its arguments."""
    args = tuple(map(meter.settled, args))
    meter.weigh(*args, *kwargs.values())
    if name == "strftime_now":
        meter.spend(256 * sum(map(_length, args)))  # the most that the C library makes of a character
    elif name != "range":  # the others may make a dictionary of pairs
        for value in args:
            if isinstance(value, list | tuple | range):
                meter.hashing(value)
    return args


def pay_method(meter: Meter, owner: Any, name: str, args: Arguments, kwargs: Named) -> Arguments:
    """Pay for a call of `owner.name`; return its arguments. Raises `SecurityError` for one that is not known."""
    if isinstance(owner, str):
        return _pay_text_method(meter, owner, name, args, kwargs)
    if isinstance(owner, Mapping) and name in ("copy", "get", "items", "keys", "values"):
        meter.spend(ELEMENT * len(owner) if name == "copy" or (args and not isinstance(args[0], str)) else 0)
        return args
    if isinstance(owner, list | tuple | range) and name in ("copy", "count", "index"):
        meter.weigh(owner)
    elif not isinstance(owner, Cycler | LoopContext | Extension):  # their methods are Jinja's own, and cheap
        raise SecurityError(f"chat templates can't use the method {name} of a {type(owner).__name__} here")
    meter.weigh(*args, *kwargs.values())
    return args


def _pay_text_method(meter: Meter, text: str, name: str, args: Arguments, kwargs: Named) -> Arguments:
    meter.weigh(text)
    if name == "join" and len(args) == 1:
        values = list(meter.iterate(args[0], ELEMENT + len(text)))
        meter.weigh(*values)
        return (values,)
    meter.weigh(*args, *kwargs.values())
    if name in ("format", "format_map"):
        meter.formatting(text, "{", args[0] if name == "format_map" and args else [*args, *kwargs.values()])
    elif name == "replace" and len(args) >= 2:
        meter.replacing(text, str(args[0]), str(args[1]))
    elif name in TEXT_METHODS:
        meter.spend(TEXT_METHODS[name](text, *args, *kwargs.values()))
    else:
        raise SecurityError(f"chat templates can't use the method {name} of text here")
    return args


def _nothing_more(_text: str, *_args: Any) -> int:
    return 0


def _search_backwards(text: str, *args: Any) -> int:
    """CPython searches backwards with an algorithm that takes as long as both lengths multiplied."""
    return len(text) * _length(args[0] if args else "") >> 5


def _strip(text: str, *args: Any) -> int:
    """Each character may be looked for among all those to strip."""
    return len(text) * _length(args[0] if args else "") >> 5


def _split(text: str, *args: Any) -> int:
    separator = args[0] if args and isinstance(args[0], str) else ""
    return ELEMENT * (text.count(separator) + 1 if separator else len(text) // 2 + 1)


def _split_backwards(text: str, *args: Any) -> int:
    return _split(text, *args) + _search_backwards(text, *args)


def _pad(_text: str, *args: Any) -> int:
    return abs(args[0]) if args and isinstance(args[0], int) else 0


def _expand_tabs(text: str, *args: Any) -> int:
    return text.count("\t") * _pad(text, *(args or (8,)))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 0


TEXT_METHODS: dict[str, Callable[..., int]] = {
    **dict.fromkeys(_READ_ONCE, _nothing_more),
    **dict.fromkeys(("count", "endswith", "find", "index"), _nothing_more),
    **dict.fromkeys(("partition", "removeprefix", "removesuffix", "startswith"), _nothing_more),
    **dict.fromkeys(("rfind", "rindex", "rpartition"), _search_backwards),
    **dict.fromkeys(("lstrip", "rstrip", "strip"), _strip),
    **dict.fromkeys(("split", "splitlines"), _split),
    "rsplit": _split_backwards,
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _pad),
    "expandtabs": _expand_tabs,
}
"""What methods of strings cost, besides reading the string and making the result."""
