"""``--help`` out of the dataclasses themselves: keys, types, defaults, and the docs under them."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from jobs.runtime.config import CONFIGS, choices
from jobs.runtime.schema import is_choice

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
    return "\n".join([*lines, *(line for key in all_keys(schema) for line in _lines(key))])


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


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """One setting, as help and reference show it."""

    name: str
    default: str
    allowed: tuple[str, ...]
    doc: str


def all_keys(schema: type[Any], prefix: str = "") -> Iterator[Key]:
    """Yield the settings of a schema, nested ones by their dotted names."""
    docs = field_docs(schema)
    for field in dataclasses.fields(schema):
        kind: Any = field.type
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from all_keys(kind, f"{prefix}{field.name}.")
            continue
        yield Key(
            name=prefix + field.name,
            default=_default(field),
            allowed=tuple(member.value for member in kind) if is_choice(kind) else (),
            doc=docs.get(field.name, ""),
        )


def _lines(key: Key) -> list[str]:
    allowed = f"One of {', '.join(key.allowed)}. " if key.allowed else ""
    text = f"  {key.name}={key.default}  {allowed}{key.doc}"
    return textwrap.wrap(text, width=100, subsequent_indent=" " * 6, break_on_hyphens=False)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "(required)"
    return str(getattr(value, "value", value))
