"""A tokenizer's files, looked at before a library loads them: what they hold is bounded, and of the kind it should be.

In: a model's folder. Out: the content of its `tokenizer.json`. The libraries trust these files: a normalizer that
writes a megabyte for each letter, padding to a billion tokens or a splitting expression that backtracks for years are
all valid. The format is described at https://huggingface.co/docs/tokenizers/components. Loads no tokenizer.
"""

from __future__ import annotations

import base64
import binascii
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from myna.errors import ModelError
from myna.models.json_files import SMALL_BYTES, read_json
from myna.models.regular_expressions import why_not

_MOST_BYTES = {
    "tokenizer.json": 64 << 20,
    "tokenizer.model*": 64 << 20,
    "vocab.*": 64 << 20,
    "merges.txt": 64 << 20,
    "*.tiktoken": 64 << 20,
    "tekken.json": 64 << 20,
    "tokenizer_config.json": SMALL_BYTES,
    "special_tokens_map.json": SMALL_BYTES,
    "added_tokens.json": SMALL_BYTES,
    "config.json": SMALL_BYTES,
    "generation_config.json": SMALL_BYTES,
    "*.jinja": 1 << 20,
    "additional_chat_templates/*.jinja": 1 << 20,
}
"""The size of each file; Gemma's, which are among the largest, have half of it."""
_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "generation_config.json")

_MOST_ADDED = 50_000
_MOST_ID = 10_000_000
_LONGEST_TOKEN = 4_096
"""Characters."""
_MOST_GROWTH = 64
"""How many times as long as a text a normalizer may make it."""
_MOST_PARTS = 64
_MOST_PADDING = 100_000
_MOST_FRAME = 1_000
"""Tokens that are put around a text."""


def read_tokenizer(folder: Path) -> dict[str, Any]:
    """Check a tokenizer's files; return the content of `tokenizer.json`, empty when there is none.

    Raises `ModelError` for a file that is too large, is no plain file, is not of its format, or asks for more time or
    memory than a tokenizer needs.
    """
    for pattern, most in _MOST_BYTES.items():
        for path in sorted(folder.glob(pattern)):
            _check_size(path, most)
    for name in _SETTINGS:
        if (folder / name).exists():
            _check_settings(folder / name, read_json(folder / name))
    file = folder / "tokenizer.json"
    if not file.exists():
        return {}
    content = read_json(file, most_bytes=_MOST_BYTES["tokenizer.json"])
    try:
        _check(content)
    except _Wrong as error:
        raise ModelError(f"{file}: {error}; download or copy the publisher's file again") from None
    return content


class _Wrong(Exception):  # noqa: N818
    """What is wrong with a file."""


def _check_size(path: Path, most: int) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{path}: not a plain file; copy the model's own file there")
    if status.st_size > most:
        raise ModelError(f"{path}: {status.st_size} bytes, more than the {most} that are accepted for such a file")


def _check_settings(file: Path, settings: Mapping[str, Any]) -> None:
    template = settings.get("chat_template") if file.name == "tokenizer_config.json" else None
    texts = template if isinstance(template, list) else [template]
    named = [[each.get("name"), each.get("template")] if isinstance(each, dict) else [each] for each in texts]
    if template is not None and not all(isinstance(text, str) for each in named for text in each):
        raise ModelError(f"{file}: chat_template is neither a text nor a list of named texts")


def _check(content: Mapping[str, Any]) -> None:
    model, added = content.get("model"), content.get("added_tokens") or []
    if not isinstance(model, dict):
        raise _Wrong('no "model"')
    if not isinstance(added, list) or len(added) > _MOST_ADDED:
        raise _Wrong(f"added_tokens is no list of at most {_MOST_ADDED} tokens")
    for token in added:
        if not isinstance(token, dict):
            raise _Wrong(f"an added token is {_shown(token)}, not an object")
        _check_token(token.get("content"), token.get("id"))
    _check_vocabulary(model.get("vocab"))
    for key, most in (
        ("max_input_chars_per_word", 1_000),
        ("continuing_subword_prefix", 64),
        ("end_of_word_suffix", 64),
    ):
        value = model.get(key)
        if (len(value) if isinstance(value, str) else value if isinstance(value, int) else 0) > most:
            raise _Wrong(f"model.{key} is {_shown(value)}, more than {most}")
    for key in ("normalizer", "pre_tokenizer", "decoder"):
        parts = list(_parts(content.get(key)))
        if len(parts) > _MOST_PARTS:
            raise _Wrong(f"{key} has {len(parts)} parts, more than {_MOST_PARTS}")
        growth = 1.0
        for part in parts:
            growth *= _growth(part)
            _check_expression(key, part.get("pattern"))
        if growth > _MOST_GROWTH:
            raise _Wrong(f"{key} can make a text {growth:.3g} times as long, more than {_MOST_GROWTH} times")
    _check_padding(content.get("padding"))
    _check_frame(content.get("post_processor"))


def _check_token(text: Any, number: Any) -> None:
    if not isinstance(text, str) or len(text) > _LONGEST_TOKEN:
        raise _Wrong(f"the token {_shown(text)} is no text of at most {_LONGEST_TOKEN} characters")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _MOST_ID:
        raise _Wrong(f"the token {_shown(text)} has the id {_shown(number)}; expected a number below {_MOST_ID}")


def _check_vocabulary(vocabulary: Any) -> None:
    if isinstance(vocabulary, dict):
        for text, number in vocabulary.items():
            _check_token(text, number)
    elif isinstance(vocabulary, list) and len(vocabulary) <= _MOST_ID:  # Unigram: pairs of piece and score
        for number, entry in enumerate(vocabulary):
            if not isinstance(entry, list) or len(entry) != 2:
                raise _Wrong(f"entry {number} of the vocabulary is {_shown(entry)}, not a token and its score")
            _check_token(entry[0], number)
    else:
        raise _Wrong('no "vocab"')


def _parts(part: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a normalizer, pre-tokenizer or decoder, and those that it consists of."""
    if part is None:
        return
    if not isinstance(part, dict):
        raise _Wrong(f"{_shown(part)} stands where an object is expected")
    yield part
    for key in ("normalizers", "pretokenizers", "decoders"):
        for each in part.get(key) or ():
            yield from _parts(each)


def _growth(part: Mapping[str, Any]) -> float:
    """Return how many times as long as before a text may be after this part."""
    kind = part.get("type")
    if kind == "Replace":
        content, pattern = part.get("content"), part.get("pattern")
        length = len(content) if isinstance(content, str) else 1
        text = pattern.get("String") if isinstance(pattern, dict) else None
        # an expression may match the empty text before each character
        return max(1.0, length / len(text)) if isinstance(text, str) and text else length + 1.0
    if kind == "Prepend":  # in front of each text, which has one character at least
        prepended = part.get("prepend")
        return 1.0 + len(prepended) / 8 if isinstance(prepended, str) else 1.0
    if kind == "Precompiled":
        return _longest_replacement(part.get("precompiled_charsmap")) / 2
    return 1.0


def _longest_replacement(map_: Any) -> int:
    """Return the bytes of the longest text that SentencePiece's normalization writes for a character.

    The map is a length, an index of that length, and texts that end in a zero byte
    (https://github.com/google/sentencepiece/blob/master/src/normalizer.cc).
    """
    try:
        content = base64.b64decode(map_, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise _Wrong("precompiled_charsmap is no base64") from None
    texts = content[4 + int.from_bytes(content[:4], "little") :]
    return max(map(len, texts.split(b"\0")), default=0)


def _check_expression(where: str, pattern: Any) -> None:
    expression = pattern.get("Regex") if isinstance(pattern, dict) else None
    if isinstance(expression, str) and (wrong := why_not(expression)) is not None:
        raise _Wrong(f"the expression {_shown(expression)} of {where} may take very long: {wrong}")


def _check_padding(padding: Any) -> None:
    if not isinstance(padding, dict):
        return
    strategy = padding.get("strategy")
    lengths = [strategy.get("Fixed") if isinstance(strategy, dict) else None, padding.get("pad_to_multiple_of")]
    for length in lengths:
        if isinstance(length, int) and length > _MOST_PADDING:
            raise _Wrong(f"padding to {length} tokens is more than {_MOST_PADDING}")


def _check_frame(processor: Any) -> None:
    """Check what is put around a text: few tokens, and the text itself once."""
    if not isinstance(processor, dict):
        return
    processors = processor.get("processors") or [processor]
    if not isinstance(processors, list) or len(processors) > _MOST_PARTS:
        raise _Wrong(f"post_processor has no list of at most {_MOST_PARTS} processors")
    tokens, repeated = 0, 1
    for each in processors:
        if not isinstance(each, dict) or "processors" in each:
            raise _Wrong("post_processor has a part that is no single processor")
        special = each.get("special_tokens")
        for pieces in (each.get("single") or [], each.get("pair") or []):
            if not isinstance(pieces, list) or len(pieces) > _MOST_FRAME:
                raise _Wrong(f"post_processor puts a text together of more than {_MOST_FRAME} pieces")
            names = [next(iter(piece.values()), None) for piece in pieces if isinstance(piece, dict)]
            named = [name.get("id") for name in names if isinstance(name, dict)]
            for name in named:
                token = special.get(name) if isinstance(special, dict) and isinstance(name, str) else None
                ids = token.get("ids") if isinstance(token, dict) else None
                tokens += len(ids) if isinstance(ids, list) else 1
            repeated *= max(1, named.count("A"), named.count("B"))
    if tokens > _MOST_FRAME or repeated > 1:
        raise _Wrong(f"post_processor puts {tokens} tokens around a text, or the text several times")


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, list | dict) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]} …"
