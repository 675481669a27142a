"""No public function asks for more than eight parameters; values that belong together are one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import ptycho

MOST = 8
FIXED = {"generate_grouped_data", "nearest_by_cell", "emit"}
"""Signatures that users rely on as they are, and compiled loops, which take arrays only."""


def public_functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def parameters(function: ast.FunctionDef) -> int:
    found = function.args
    named = [each.arg for each in (*found.posonlyargs, *found.args, *found.kwonlyargs)]
    return len([name for name in named if name not in ("self", "cls")]) + sum(
        each is not None for each in (found.vararg, found.kwarg)
    )


def test_public_functions_have_eight_parameters_at_most():
    counted, long = 0, []
    for path in Path(ptycho.__file__).parent.rglob("*.py"):
        for function in public_functions(ast.parse(path.read_text(encoding="utf-8")).body):
            counted += 1
            if parameters(function) > MOST and function.name not in FIXED:
                long.append(f"{path.name}: {function.name} has {parameters(function)}")
    assert counted > 300
    assert long == []
