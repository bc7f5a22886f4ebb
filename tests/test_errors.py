"""Every error of osteon has three parts, and the tree in the docstring is the tree in the code."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

from osteon import errors

SOURCE = Path(errors.__file__).parent
TREE = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.OsteonError)}


@pytest.mark.parametrize("name", sorted(TREE))
def test_each_part_must_be_there(name: str) -> None:
    assert str(TREE[name]("What.", "Why.", "Do.")) == "What. Why. Do."
    for parts in (("", "w", "d"), ("w", " ", "d"), ("w", "w", "")):
        with pytest.raises(ValueError, match="non-empty"):
            TREE[name](*parts)


def test_the_docstring_draws_every_class() -> None:
    assert all(name in (errors.__doc__ or "") for name in TREE)


def test_errors_survive_a_process_boundary() -> None:
    back = pickle.loads(pickle.dumps(errors.ImageError("a", "b", "c")))
    assert (type(back), back.what, back.why, back.do) == (errors.ImageError, "a", "b", "c")


def raised() -> list[tuple[str, ast.Call]]:
    """Every construction of an osteon error in the source."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TREE:
                found.append((f"{path.relative_to(SOURCE)}:{node.lineno}", node))
    return found


def test_every_raise_in_the_source_gives_three_non_empty_parts() -> None:
    calls = raised()
    assert len(calls) > 30
    for where, call in calls:
        count = len(call.args) + len(call.keywords)
        starred = any(isinstance(a, ast.Starred) for a in call.args)
        assert starred or count == 3, f"{where}: {count} parts"
        for part in [*call.args, *(k.value for k in call.keywords)]:
            assert not (isinstance(part, ast.Constant) and not str(part.value).strip()), f"{where}: an empty part"
