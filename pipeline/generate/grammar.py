"""Prompts with groups: ``{material} {weapon}, {view}`` stands for every combination of choices.

Braces that are meant as such are doubled: ``{{`` and ``}}``.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from pipeline.core.errors import InputError

TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")

Rules = Mapping[str, Sequence[str]]


def expand(template: str, rules: Rules) -> Iterator[str]:
    """Yield every prompt a template stands for, the last group varying fastest.

    A group that stands twice in a template varies on its own in each place.

    Raises:
        InputError: A group is unknown or empty, holds itself, or a brace stands alone.
    """
    parts = [[part] if isinstance(part, str) else part for part in _parse(template, rules, ())]
    return ("".join(choice) for choice in itertools.product(*parts))


def count(template: str, rules: Rules) -> int:
    """Return how many prompts a template stands for, without making them.

    Raises:
        InputError: As in ``expand``.
    """
    return _count(template, rules, ())


def _count(template: str, rules: Rules, inside: tuple[str, ...]) -> int:
    product = 1
    for literal, group in _tokens(template):
        if group is not None:
            choices, path = _choices(group, rules, inside, template)
            product *= sum(_count(choice, rules, path) for choice in choices)
        del literal
    return product


def _parse(template: str, rules: Rules, inside: tuple[str, ...]) -> list[str | list[str]]:
    parts: list[str | list[str]] = []
    for literal, group in _tokens(template):
        if group is None:
            parts.append(literal)
            continue
        choices, path = _choices(group, rules, inside, template)
        expanded: list[str] = []
        for choice in choices:
            inner = [[p] if isinstance(p, str) else p for p in _parse(choice, rules, path)]
            expanded += ("".join(each) for each in itertools.product(*inner))
        parts.append(expanded)
    return parts


def _tokens(template: str) -> Iterator[tuple[str, str | None]]:
    """Yield literals as ``(text, None)`` and groups as ``("", name)``."""
    position = 0
    for match in TOKEN.finditer(template):
        if match.start() > position:
            yield template[position : match.start()], None
        token = match.group()
        if token in ("{{", "}}"):
            yield token[0], None
        elif match.group(1) is None:
            raise InputError(
                f"prompts: {template!r} has a lone {token!r}; write {token * 2!r} for the sign"
            )
        else:
            yield "", match.group(1).strip()
        position = match.end()
    if position < len(template):
        yield template[position:], None


def _choices(
    group: str, rules: Rules, inside: tuple[str, ...], template: str
) -> tuple[Sequence[str], tuple[str, ...]]:
    if group not in rules:
        known = ", ".join(sorted(rules)) or "none is given"
        raise InputError(f"prompts: {template!r} asks for grammar.{group}; known: {known}")
    if group in inside:
        raise InputError(f"grammar.{group}: holds itself by way of {' > '.join((*inside, group))}")
    if not rules[group]:
        raise InputError(f"grammar.{group}: has no choices")
    return rules[group], (*inside, group)
