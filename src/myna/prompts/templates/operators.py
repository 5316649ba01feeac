"""What a rewritten template calls where it had an operator, a comparison, a loop or an output.

In: a meter. Out: functions under names that no template can write. Each pays first and then does what Jinja would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.nodes import EvalContext
from jinja2.runtime import markup_join, str_join
from jinja2.utils import pass_eval_context

from myna.prompts.templates.meter import ELEMENT, STEP, Meter, TooMuchWork, outer_size

EACH, TEXT, ADDED_TEXT = "each of", "text of", "text of a + b"
WEIGHED, SLICED, KEYED, CONCAT = "weight of", "slice of", "keys of", "concat of"
"""Names of filters: a template can't write them, because they hold a space."""
OPERATORS: Mapping[type[nodes.BinExpr], str] = {
    nodes.Add: "a + b",
    nodes.Sub: "a - b",
    nodes.Mul: "a * b",
    nodes.Div: "a / b",
    nodes.FloorDiv: "a // b",
    nodes.Pow: "a ** b",
    nodes.Mod: "a % b",
}

_MAX_BITS = 4_096
"""Of a whole number that a template computes with."""


class Operators:
    """The functions; `by_name` lists them."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def by_name(self) -> dict[str, Callable[..., Any]]:
        """Return them as filters."""
        return {
            EACH: self._meter.iterate,
            TEXT: self.text,
            ADDED_TEXT: self.added_text,
            WEIGHED: self.weighed,
            SLICED: self.sliced,
            KEYED: self.keyed,
            CONCAT: self.concatenate,
            OPERATORS[nodes.Add]: self.add,
            OPERATORS[nodes.Sub]: self.subtract,
            OPERATORS[nodes.Mul]: self.multiply,
            OPERATORS[nodes.Div]: self.divide,
            OPERATORS[nodes.FloorDiv]: self.divide_whole,
            OPERATORS[nodes.Pow]: self.power,
            OPERATORS[nodes.Mod]: self.modulo,
        }

    def text(self, value: Any) -> Any:
        """Pay for writing `value` into the result, and return it."""
        if type(value) is str:  # nearly always, so without the calls that `weigh` would make
            meter = self._meter
            meter.left -= STEP + (len(value) >> 1)
            if meter.left < 0:
                raise TooMuchWork
            return value
        self._meter.weigh(value)
        return value

    def weighed(self, value: Any) -> Any:
        """Pay for reading `value`, and return it."""
        self._meter.weigh(value)
        return value

    def sliced(self, value: Any) -> Any:
        """Pay for a slice that was just taken, and return it: it is no larger than what was there before."""
        self._meter.spend(outer_size(value))
        return value

    def keyed(self, value: Any) -> Any:
        """Pay for a dictionary that was just made, and return it."""
        self._meter.hashing(value)
        return value

    @pass_eval_context
    def concatenate(self, context: EvalContext, values: tuple[Any, ...]) -> Any:
        """`a ~ b ~ c`."""
        self._meter.weigh(*values)
        return markup_join(values) if context.autoescape else str_join(values)

    def add(self, left: Any, *others: Any) -> Any:
        """`left + right + …`, from left to right."""
        meter = self._meter
        for right in others:
            if type(left) is str and type(right) is str:
                meter.left -= STEP + (len(left) + len(right) >> 1)
                if meter.left < 0:
                    raise TooMuchWork
            else:
                self._operands(left, right)
            left = left + right
        return left

    def added_text(self, left: Any, *others: Any) -> Any:
        """`left + right + …` that is written into the result: a string was made for that alone, and is paid for."""
        made = self.add(left, *others)
        if type(made) is not str:
            self._meter.weigh(made)
        return made

    def subtract(self, left: Any, right: Any) -> Any:
        """`left - right`."""
        self._operands(left, right)
        if isinstance(left, Set) or isinstance(right, Set):
            raise SecurityError("chat templates can't subtract sets here")
        return left - right

    def multiply(self, left: Any, right: Any) -> Any:
        """`left * right`."""
        self._operands(left, right)
        for sequence, times in ((left, right), (right, left)):
            if isinstance(times, int) and isinstance(sequence, str | list | tuple):
                made = max(0, times) * len(sequence)
                self._meter.spend(made >> 1 if isinstance(sequence, str) else ELEMENT * made)
        return left * right

    def divide(self, left: Any, right: Any) -> Any:
        """`left / right`."""
        self._operands(left, right)
        return left / right

    def divide_whole(self, left: Any, right: Any) -> Any:
        """`left // right`."""
        self._operands(left, right)
        return left // right

    def power(self, left: Any, right: Any) -> Any:
        """`left ** right`."""
        self._operands(left, right)
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > _MAX_BITS:
            raise TooMuchWork
        return left**right

    def modulo(self, left: Any, right: Any) -> Any:
        """`left % right`, which formats where `left` is text."""
        self._operands(left, right)
        if isinstance(left, str):
            self._meter.formatting(left, "%", right if isinstance(right, tuple | Mapping) else (right,))
        return left % right

    def _operands(self, left: Any, right: Any) -> None:
        if type(left) is int and type(right) is int:
            self._meter.spend(STEP)
            if left.bit_length() > _MAX_BITS or right.bit_length() > _MAX_BITS:
                raise TooMuchWork
            return
        self._meter.spend(STEP + outer_size(left) + outer_size(right))
        for value in (left, right):
            if isinstance(value, int) and value.bit_length() > _MAX_BITS:
                raise TooMuchWork
