"""transformers' environment for chat templates, with a meter.

In: the text of a template. Out: a compiled template that renders what transformers renders, byte for byte, or raises
`TooMuchWork` once the meter's budget is used up. Knows no tokenizer and no messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

from jinja2 import Template, nodes
from jinja2.environment import Environment
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Joiner, Namespace

from myna.prompts.templates.calls import FUNCTIONS, PLAIN_TEXT_METHODS, TEXT_METHODS, pay_function, pay_method
from myna.prompts.templates.filters import metered_filters, metered_tests
from myna.prompts.templates.meter import BASE_UNITS, STEP, Meter, outer_size
from myna.prompts.templates.operators import Operators
from myna.prompts.templates.rewriting import rewrite, weight

_OF_JINJA = frozenset({"_loop_vars", "_block_vars"})
"""Keywords that Jinja adds to calls."""
_CALL = 50
"""Units of a call, besides what is done in it."""
_DICT_ATTRIBUTES = frozenset(dir(dict))


class MeteredEnvironment(ImmutableSandboxedEnvironment):
    """An environment for one template, which counts what that does. meter: set its budget before a rendering."""

    def __init__(self, original: Environment, day: date) -> None:
        """Take over settings, extensions, filters, tests and functions of `original`, which is transformers' own.

        day: what `strftime_now` writes, at midnight.
        """
        super().__init__(
            trim_blocks=original.trim_blocks,
            lstrip_blocks=original.lstrip_blocks,
            extensions=[type(extension) for extension in original.extensions.values()],
            optimized=False,  # it writes constants into the code: a list of one long string a thousand times over
        )
        self.meter = Meter()
        self.filters: dict[str, Any] = {
            **metered_filters(self.meter, original.filters),
            **Operators(self.meter).by_name(),
        }
        self.tests: dict[str, Any] = metered_tests(self.meter, original.tests)
        self.globals = {name: original.globals[name] for name in FUNCTIONS if name in original.globals}

        def strftime_now(pattern: str) -> str:
            return day.strftime(pattern)

        self.globals["strftime_now"] = strftime_now
        self._functions = {id(function): name for name, function in self.globals.items()}
        self._macros: dict[str | None, int] = {}
        self._whole = 0

    def compiled(self, text: str) -> Template:
        """Return the template, ready to be rendered. Raises what Jinja raises for one that can't be compiled."""
        self.meter.left = BASE_UNITS  # Jinja computes with constants now
        return self.from_string(text)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        """Jinja's hook between parsing and compiling."""
        self._whole = weight([source])
        self._macros = rewrite(source)
        source.set_environment(self)
        return super()._generate(source, *args, **kwargs)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Do what Jinja does, without its long way for what templates look up all the time."""
        kind = type(obj)
        if kind is dict:
            if attribute not in _DICT_ATTRIBUTES:
                return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        elif kind is str:
            if attribute in TEXT_METHODS:
                return getattr(obj, attribute)
        elif isinstance(obj, LoopContext | Namespace) and not attribute.startswith("_"):
            value = getattr(obj, attribute, None)
            if type(value) in (bool, int, str):
                return value
        return super().getattr(obj, attribute)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Pay for a call and make it, where Jinja would make it. Raises `SecurityError` for what has no known cost."""
        # the names are Jinja's, so that a template's own keywords don't collide with them
        named = {name: kwargs[name] for name in kwargs.keys() - _OF_JINJA}
        if not args and not named and type(__obj) is BuiltinMethodType and __obj.__name__ in PLAIN_TEXT_METHODS:
            owner = __obj.__self__
            if type(owner) is str:  # most calls are `strip` and its like, which are safe
                __self.meter.spend(STEP + len(owner))
                return __obj()
        args = __self._pay(__obj, args, named)
        result = super().call(__context, __obj, *args, **kwargs)
        __self.meter.spend(_CALL + outer_size(result))
        return result

    def _pay(self, called: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        """Pay for a call; return its arguments."""
        meter, kind = self.meter, type(called)
        if kind is FunctionType and hasattr(called, "__wrapped__"):  # the sandbox puts it around str.format
            called = called.__wrapped__
            kind = type(called)
        if kind in (BuiltinMethodType, MethodType):
            owner = called.__self__
            if id(owner) in self._functions:  # dict.fromkeys
                return pay_function(meter, self._functions[id(owner)], args, kwargs)
            return pay_method(meter, owner, called.__name__, args, kwargs)
        if id(called) in self._functions:
            return pay_function(meter, self._functions[id(called)], args, kwargs)
        if isinstance(called, Macro):
            meter.spend(self._macros.get(called.name, self._whole))
        elif isinstance(called, LoopContext):  # of a recursive loop
            return (meter.iterate(args[0], self._whole), *args[1:]) if args else args
        elif isinstance(called, BlockReference):
            meter.spend(self._whole)
        elif not isinstance(called, Undefined | Joiner):  # one says that it is undefined, the other is cheap
            raise SecurityError(f"chat templates can't call a {kind.__name__} here")
        return args
