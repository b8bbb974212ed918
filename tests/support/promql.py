"""Walk the syntax tree of a PromQL expression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser

_BRANCHES = ("lhs", "rhs", "expr", "param", "vector_selector")


def walk(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield every node of a syntax tree with its ancestors, the nearest last."""
    yield node, above
    for child in [getattr(node, branch, None) for branch in _BRANCHES] + list(getattr(node, "args", None) or ()):
        if child is not None and not isinstance(child, str | float):
            yield from walk(child, (*above, node))


def selectors_of(tree: Any) -> list[tuple[promql_parser.VectorSelector, tuple[Any, ...]]]:
    """Return every selector of a syntax tree with its ancestors."""
    return [(node, above) for node, above in walk(tree) if isinstance(node, promql_parser.VectorSelector)]
