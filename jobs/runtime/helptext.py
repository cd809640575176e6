"""``--help`` out of the dataclasses themselves: keys, types, defaults, and the docs under them."""

import ast
import dataclasses
import inspect
import textwrap
from enum import Enum
from typing import Any

from jobs.runtime.config import CONFIGS, choices

USAGE = """\
usage: python -m jobs.{job} [+experiment=NAME] [group=choice] [key=value] ... [-m] [--cfg job]

  --cfg job    print the composed config and end
  -m           one job for each point of key=a,b,c
  run_id=ID    go on with a run
"""


def help_text(job: str, schema: type[Any]) -> str:
    """Return the whole help of a job."""
    groups = sorted(p.name for p in CONFIGS.iterdir() if p.is_dir())
    lines = [USAGE.format(job=job), "choices:"]
    lines += [f"  {group:<12} {', '.join(choices(group))}" for group in groups]
    lines += ["", "keys:"]
    return "\n".join([*lines, *_keys(schema, "")])


def field_docs(schema: type[Any]) -> dict[str, str]:
    """Return the string literal under each field of a dataclass and its bases."""
    docs: dict[str, str] = {}
    for owner in reversed(schema.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(tree, ast.ClassDef)
        for node, after in zip(tree.body, tree.body[1:], strict=False):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                docs[node.target.id] = " ".join(str(after.value.value).split())
    return docs


def _keys(schema: type[Any], prefix: str) -> list[str]:
    docs = field_docs(schema)
    lines = []
    for field in dataclasses.fields(schema):
        kind: Any = field.type
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            lines += _keys(kind, f"{prefix}{field.name}.")
            continue
        name = f"{prefix}{field.name}={_default(field)}"
        allowed = ""
        if isinstance(kind, type) and issubclass(kind, Enum):
            allowed = f"One of {', '.join(member.value for member in kind)}. "
        text = allowed + docs.get(field.name, "")
        lines += textwrap.wrap(
            f"  {name}  {text}", width=100, subsequent_indent=" " * 6, break_on_hyphens=False
        )
    return lines


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "(required)"
    return str(getattr(value, "value", value))
