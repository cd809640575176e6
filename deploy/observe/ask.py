"""Questions to a Prometheus over its HTTP API, https://prometheus.io/docs/prometheus/latest/querying/api/."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import InputError

T = TypeVar("T")

PATIENCE_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The steps at which a curve is asked for, in Unix time."""

    start_s: float
    step_s: float
    num_steps: int

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Return the time of each step."""
        return self.start_s + self.step_s * np.arange(self.num_steps, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One series: its labels, and a value a step; NaN where it has none."""

    labels: dict[str, str]
    values: NDArray[np.float64]


def now_s(url: str) -> float:
    """Return the server's own time: curves end where its data does, whatever our clock says."""
    return _get(url, "query", lambda result: float(result[0]), query="time()")


def curves(url: str, expr: str, window: Window) -> list[Curve]:
    """Return the series of an expression.

    Raises:
        InputError: The server does not answer, is no Prometheus, or does not take the expression.
    """
    asked = {"start": window.start_s, "end": float(window.times_s[-1]), "step": window.step_s}
    return _get(
        url, "query_range", lambda rows: [_curve(row, window) for row in rows], query=expr, **asked
    )


def _curve(row: dict[str, Any], window: Window) -> Curve:
    values = np.full(window.num_steps, np.nan)
    for time_s, value in row["values"]:
        values[round((time_s - window.start_s) / window.step_s)] = float(value)
    return Curve(labels=row["metric"], values=np.where(np.isfinite(values), values, np.nan))


def _get(url: str, what: str, read: Callable[[Any], T], **query: object) -> T:
    if not url.startswith(("http://", "https://")):
        raise InputError(f"--prometheus: {url}; an address such as http://localhost:9090 is wanted")
    asked = f"{url.rstrip('/')}/api/v1/{what}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return read(json.load(answer)["data"]["result"])
    except urllib.error.HTTPError as error:
        raise InputError(f"{url}: {_refusal(error)}") from error
    except (OSError, http.client.HTTPException) as error:
        raise InputError(f"{url} does not answer: {error}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{url} answers, but not as a Prometheus does") from error


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        return f"{json.load(error)['error']}"
    except (ValueError, LookupError, TypeError):
        return f"{error.code} {error.reason}; is it a Prometheus?"
