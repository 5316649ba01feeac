"""Holding a model to grammars while it generates: grammars go in, the `Constraint` of a batch comes out.

The work of asking a grammar which tokens may come next is llguidance's (https://github.com/guidance-ai/llguidance).
Here it is done for a whole batch on a thread of its own while the model computes, and every sequence is brought to an
end before its last token is spent. Knows no schema and no tensor library.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from myna.errors import MissingDependency, PromptError, ResourceError
from myna.generation import ConstraintFactory
from myna.prompts.builder import PromptBuilder

if TYPE_CHECKING:
    from llguidance import LLExecutor, LLMatcher, LLTokenizer

_TEXTS = [rf"[^'\x00-\x1f\x7f]{count}" for count in ("{1,10}", "{1,30}", "+")]
"""Tokens that fit anywhere in a text value; llguidance asks for these together instead of one by one."""
_ITEMS = 50_000
"""What the parser may hold at once; fifty tables that all have an `id` take 8,000."""
_GRAMMARS = 64
"""Compiled grammars that are kept."""
_MARGIN, _MARGIN_BEFORE_FROM = 24, 96
"""Tokens by which one more token may make the shortest end longer: it may open a subquery, or name an alias, each of
which takes a JOIN. At most a quarter, or a third, of all that an answer may take."""
_LONGEST_END = 240
"""An end that takes more tokens is none."""
_CLOSERS = ("'", ")", "*", '"', "1")
"""What ends a text, brackets, a name, or stands for the shortest column list or number."""
_DIGITS = tuple(b"0123456789.eE"[i : i + 1] for i in range(13))
_OPENERS = (b",", b"(", b"+", b"-", b"*", b"/", b"A", b"B", b"D", b"I", b"L", b"N", b"O")
"""Beginnings of what makes a query longer (AND, BETWEEN, DISTINCT, LEFT JOIN …), after a space or none; left where
something else is possible."""


class Constrainer:
    """Holds answers in one model's tokens to grammars.

    constrainer = Constrainer(model.builder)
    model.generate_many(prompts, constraint=constrainer.hold([grammar(schema)] * len(prompts)))
    """

    def __init__(self, builder: PromptBuilder) -> None:
        """Raises `MissingDependency` without llguidance, `PromptError` for a tokenizer it can't take."""
        try:
            import llguidance
        except ImportError as error:
            raise MissingDependency("constrained decoding needs llguidance: pip install 'myna[sql]'") from error
        ends = sorted(builder.end_tokens)
        try:
            self._tokenizer: LLTokenizer = llguidance.LLTokenizer(builder.tokenizer_json, eos_token=ends, slices=_TEXTS)
        except ValueError as error:
            raise PromptError(
                f"decoding can't be constrained with this model's tokenizer ({error}); use --constrain off"
            ) from error
        self._ends = frozenset(ends)
        self._library = llguidance
        self._executor: LLExecutor = llguidance.LLExecutor()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="masks")
        weakref.finalize(self, self._thread.shutdown, wait=False)
        self._matchers: OrderedDict[str, LLMatcher] = OrderedDict()

    def hold(self, grammars: Sequence[str]) -> ConstraintFactory:
        """Return what holds the i-th prompt's answer to `grammars[i]`, for `generate` and `generate_many`.

        An answer that comes near its last token is ended in a short way. It is cut only where one token made that
        way longer than what was left (`Generation.stopped` says `limit`): with limits of a few dozen tokens, or with
        models that know no SQL. Raises, when generation begins, `PromptError` for a grammar that is none and,
        while it lasts, `ResourceError` for one that is too large.
        """
        return lambda places, max_tokens: GrammarConstraint(self, [grammars[i] for i in places], max_tokens)

    def matcher(self, grammar: str) -> LLMatcher:
        """Return a matcher at the beginning of `grammar`; the compiled grammar is kept."""
        kept = self._matchers.pop(grammar, None)
        if kept is None:
            source = self._library.LLMatcher.grammar_from_lark(grammar)
            limits = self._library.LLParserLimits(max_items_in_row=_ITEMS, step_max_items=10 * _ITEMS)
            kept = self._library.LLMatcher(self._tokenizer, source, log_level=0, limits=limits)
            if kept.is_error():
                raise PromptError(f"the grammar can't be compiled: {_first_line(kept)}")
        self._matchers[grammar] = kept
        if len(self._matchers) > _GRAMMARS:
            self._matchers.popitem(last=False)
        return kept.deep_copy()

    def keep(self, grammar: str, matcher: LLMatcher) -> None:
        """Keep what a used matcher has found out about its grammar, for those to come."""
        if grammar in self._matchers and not matcher.is_error() and matcher.reset():
            self._matchers[grammar] = matcher

    @property
    def words(self) -> int:
        """Words of 32 bits in a mask."""
        return (self._tokenizer.vocab_size + 31) // 32

    def is_end(self, token: int) -> bool:
        """Tell whether a token ends an answer."""
        return token in self._ends

    @property
    def end(self) -> int:
        """The end token that closes an answer which has to end."""
        return min(self._ends)

    def fill(self, matchers: Sequence[tuple[LLMatcher, int]], masks: NDArray[np.uint32]) -> Future[None]:
        """Begin to write the mask of each matcher into its row of `masks`."""
        return self._thread.submit(self._write, list(matchers), masks)

    def _write(self, matchers: list[tuple[LLMatcher, int]], masks: NDArray[np.uint32]) -> None:
        # That `masks` is an argument keeps its memory alive when the generation is given up meanwhile.
        self._executor.unsafe_compute_mask_ptr(
            matchers, masks.ctypes.data, masks.shape[1] * masks.itemsize, masks.shape[0]
        )

    def shortest_end(self, matcher: LLMatcher) -> list[int] | None:
        """Return tokens that complete a query, without the end token; None when no short way was found.

        Step by step what closes is taken rather than what opens, and long tokens rather than short ones. It need not
        be the shortest way of all.
        """
        tried, tokens = matcher.deep_copy(), list[int]()
        while not tried.is_accepting():
            if len(tokens) == _LONGEST_END:
                return None
            mask = np.frombuffer(tried.compute_bitmask(), np.uint8)
            token = self._closing(np.unpackbits(mask, bitorder="little"), after=tokens[-1] if tokens else None)
            if token is None or not tried.consume_token(token):
                return None
            tokens.append(token)
        return tokens

    def _closing(self, allowed: NDArray[np.uint8], after: int | None) -> int | None:
        # A quote after one that closed a text would open it again; a digit after a digit would never end.
        again = _DIGITS if after is not None and self._texts[after] == b"1" else (b"'",)
        repeats = after in self._closers
        for token in self._closers:
            if allowed[token] and not (repeats and token == after):
                return token
        texts = [(self._texts[token], int(token)) for token in np.flatnonzero(allowed) if token not in self._ends]
        if repeats:
            texts = [each for each in texts if not each[0].startswith(again)] or texts
        closing = [each for each in texts if not each[0].lstrip(b" ").startswith(_OPENERS)] or texts
        return max(closing, key=lambda each: (len(each[0]), -each[1]))[1] if closing else None

    def names_tables(self, tokens: Sequence[int]) -> bool:
        """Tell whether a FROM is among these tokens."""
        return b"FROM" in b"".join(self._texts[token] for token in tokens)

    @cached_property
    def _closers(self) -> list[int]:
        encoded = [self._tokenizer.greedy_tokenize(text) for text in _CLOSERS]
        return [tokens[0] for tokens in encoded if len(tokens) == 1]

    @cached_property
    def _texts(self) -> list[bytes]:
        return [self._tokenizer.decode_bytes([token]) for token in range(self._tokenizer.vocab_size)]


@dataclass(slots=True)
class _Sequence:
    """One answer: where it is in its grammar, how many tokens it may still take, and when to look for its end."""

    matcher: LLMatcher
    left: int
    look_at: int
    ending: list[int] | None = None


class GrammarConstraint:
    """`engines.base.Constraint` by one grammar for each sequence."""

    def __init__(self, constrainer: Constrainer, grammars: Sequence[str], max_tokens: int) -> None:
        """max_tokens: that each sequence may take, its end token included."""
        self._constrainer = constrainer
        self._grammars = grammars
        self._limit = max_tokens
        look_at = max_tokens - max_tokens // 3
        self._sequences = [_Sequence(constrainer.matcher(grammar), max_tokens, look_at) for grammar in grammars]
        self._masks = np.zeros((len(grammars), constrainer.words), np.uint32)
        self._masked = self._begin(range(len(grammars)))

    def allowed(self, sequences: Sequence[int]) -> NDArray[np.uint32]:
        """See `engines.base.Constraint`. Raises `ResourceError` when a grammar is too large to go on with."""
        if self._masked is not None:
            self._masked.result()
        for i in sequences:
            if self._sequences[i].matcher.is_error():
                raise _too_large(self._sequences[i].matcher)
        masks: NDArray[np.uint32] = self._masks[list(sequences)]
        return masks

    def taken(self, sequences: Sequence[int], tokens: Sequence[int]) -> None:
        """See `engines.base.Constraint`. Raises `ResourceError` as `allowed` does."""
        going_on = []
        for i, token in zip(sequences, tokens, strict=True):
            sequence = self._sequences[i]
            sequence.left -= 1
            if self._constrainer.is_end(token):
                self._constrainer.keep(self._grammars[i], sequence.matcher)
                continue
            if not sequence.matcher.consume_token(token):
                raise _too_large(sequence.matcher)
            self._look_for_an_end(sequence)
            if sequence.left:
                going_on.append(i)
        self._masked = self._begin(going_on)

    def _look_for_an_end(self, sequence: _Sequence) -> None:
        if sequence.ending is not None:
            sequence.ending = sequence.ending[1:]
            return
        if sequence.left > sequence.look_at:
            return
        sequence.look_at = sequence.left - 1
        ending = self._constrainer.shortest_end(sequence.matcher)
        if ending is None:
            return
        before_from = self._constrainer.names_tables(ending)
        margin = min(_MARGIN_BEFORE_FROM, self._limit // 3) if before_from else min(_MARGIN, self._limit // 4)
        spare = sequence.left - len(ending) - 1
        if 0 <= spare <= margin:
            sequence.ending = ending
        elif not before_from:
            # After FROM the end grows by little more than a token for each that is taken.
            sequence.look_at -= max(0, spare - margin) // 2

    def _begin(self, sequences: Sequence[int]) -> Future[None] | None:
        free = []
        for i in sequences:
            ending = self._sequences[i].ending
            if ending is None:
                free.append((self._sequences[i].matcher, i))
            else:
                token = ending[0] if ending else self._constrainer.end
                self._masks[i] = 0
                self._masks[i, token >> 5] = 1 << (token & 31)
        return self._constrainer.fill(free, self._masks) if free else None


def _first_line(matcher: Any) -> str:
    return str(matcher.get_error()).strip().partition("\n")[0]


def _too_large(matcher: Any) -> ResourceError:
    return ResourceError(
        f"decoding can't be held to this schema any further ({_first_line(matcher)}); "
        "give fewer tables or values, or use --constrain off"
    )
