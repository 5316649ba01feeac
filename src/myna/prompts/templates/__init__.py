"""Chat templates: rendered as transformers renders them, but under limits, because they come from a model's files.

A template is a program. Jinja's sandbox keeps it away from Python's internals, but not from time and memory:
`{{ 9**9**9 }}` or `{{ 'a'.center(10**10) }}` is one operation. Here a template's syntax tree is rewritten before it is
compiled (`rewriting`): operators, comparisons, loops and outputs become calls of functions that take what an operation
costs from a budget (`meter`) before they carry it out (`operators`, `filters`, `calls`). What is left as it was
(attributes, conditions, comparisons with constants) is cheap, and paid for in advance by the loop or macro that it
stands in. Only what has a known cost can be used: filters, methods and functions that no chat template needs (`lipsum`,
`urlize`, `str.translate` …) are not there.

Work is counted, not timed: whether a template passes depends on the template and its input alone.
"""

from myna.prompts.templates.rendering import MAX_CHARACTERS, TemplateError, TemplateLimitError, TemplateRenderer

__all__ = ["MAX_CHARACTERS", "TemplateError", "TemplateLimitError", "TemplateRenderer"]
