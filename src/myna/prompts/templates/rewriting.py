"""Puts the calls that are paid for into a template's syntax tree.

In: Jinja's tree of a template. Out: the same tree with filters (see `operators`) in the places of its operators, around
what it compares, prints and goes through, and what one call of each macro costs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeGuard, cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from myna.prompts.templates.meter import STEP
from myna.prompts.templates.operators import ADDED_TEXT, CONCAT, EACH, KEYED, OPERATORS, SLICED, TEXT, WEIGHED


def rewrite(template: nodes.Template) -> dict[str | None, int]:
    """Change a template in place; return the units of one call of each macro (None: of the body of a call block)."""
    rewriter = _Rewriter()
    rewriter.visit(template)
    return rewriter.macros


def weight(parts: Iterable[nodes.Node]) -> int:
    """Return the units of carrying out these parts of a template once: one a node, and half a one a character."""
    units, waiting = 0, list(parts)
    while waiting:
        node = waiting.pop()
        waiting += node.iter_child_nodes()
        text = node.data if isinstance(node, nodes.TemplateData) else getattr(node, "value", None)
        units += 1 + (len(text) >> 1 if isinstance(text, str) else 0)
    return units


class _Rewriter(NodeTransformer):
    """Jinja calls `visit_X` for each node of type X."""

    def __init__(self) -> None:
        self.macros: dict[str | None, int] = {}

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        units = STEP + weight([*node.body, *([node.test] if node.test else [])])
        self.generic_visit(node)
        node.iter = _filter(node.iter, EACH, nodes.Const(units, lineno=node.lineno))
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        self._weigh(node.name, [*node.body, *node.defaults])
        return self.generic_visit(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        self._weigh(None, [*node.body, *node.defaults])
        return self.generic_visit(node)

    def _weigh(self, name: str | None, parts: Iterable[nodes.Node]) -> None:
        self.macros[name] = max(self.macros.get(name, 0), STEP + weight(parts))

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.nodes = [_written(each) for each in node.nodes]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(nodes.Tuple(node.nodes, "load", lineno=node.lineno), CONCAT)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        """Equality with a constant looks at no more than the constant; otherwise what is compared is read."""
        self.generic_visit(node)
        first, kinds = node.ops[0].expr, {operand.op for operand in node.ops}
        if len(node.ops) == 1 and (
            (kinds <= {"eq", "ne"} and (_is_constant(node.expr) or _is_constant(first)))
            or (kinds <= {"in", "notin"} and _is_constant(first))
        ):
            return node
        node.expr = _weighed(node.expr)
        for operand in node.ops:
            operand.expr = _weighed(operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            return _filter(node, SLICED)
        node.arg = _weighed(node.arg)
        return node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if all(isinstance(pair.key, nodes.Const) and isinstance(pair.key.value, str) for pair in node.items):
            return node
        return _filter(node, KEYED)

    def _operator(self, node: nodes.BinExpr) -> nodes.Node:
        self.generic_visit(node)
        name = OPERATORS[type(node)]
        if name == OPERATORS[nodes.Add] and _is_call(node.left, name):  # one call for a + b + c …
            node.left.args.append(node.right)
            return node.left
        return _filter(node.left, name, node.right)

    visit_Add = visit_Sub = visit_Mul = visit_Div = visit_FloorDiv = visit_Pow = visit_Mod = _operator  # noqa: N815


def _filter(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast("nodes.Expr", node), name, list(args), [], None, None, lineno=node.lineno)


def _is_call(node: nodes.Node, name: str) -> TypeGuard[nodes.Filter]:
    return isinstance(node, nodes.Filter) and node.name == name


def _written(node: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.TemplateData | nodes.Const):
        return node
    if _is_call(node, OPERATORS[nodes.Add]):
        node.name = ADDED_TEXT
        return node
    return _filter(node, TEXT)


def _weighed(node: nodes.Expr) -> nodes.Expr:
    if _is_constant(node) or isinstance(node, nodes.Compare | nodes.Not | nodes.Test):
        return node
    return _filter(node, WEIGHED)


def _is_constant(node: nodes.Node) -> bool:
    if isinstance(node, nodes.List | nodes.Tuple):
        return all(map(_is_constant, node.items))
    return isinstance(node, nodes.Const)
