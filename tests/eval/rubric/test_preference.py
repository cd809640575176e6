import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eval.rubric.preference import davidson

# Wins in the American League's eastern division, 1987: Agresti, Categorical Data Analysis (2nd ed.
# 2002), section 10.6, table 10.10. Rows beat columns: Milwaukee, Detroit, Toronto, New York,
# Boston, Cleveland, Baltimore; the log strengths are the book's, Baltimore 0.
BASEBALL = np.array(
    [
        [0, 7, 9, 7, 7, 9, 11],
        [6, 0, 7, 5, 11, 9, 9],
        [4, 6, 0, 7, 7, 8, 12],
        [6, 8, 6, 0, 6, 7, 10],
        [6, 2, 6, 7, 0, 7, 12],
        [4, 4, 5, 6, 6, 0, 6],
        [2, 4, 1, 3, 1, 7, 0],
    ],
    dtype=np.float64,
)
AGRESTI = np.array([1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0.0])


def fit(wins, ties=None, *, prior_wins: float = 0.0):  # type: ignore[no-untyped-def]
    wins = np.array(wins, dtype=np.float64)
    ties = np.zeros_like(wins) if ties is None else np.array(ties, dtype=np.float64)
    logs, tied = davidson(wins[None], ties[None], prior_wins=prior_wins)
    return logs[0], float(tied[0])


def test_baseball_as_published() -> None:
    logs, tied = fit(BASEBALL)
    assert logs - logs[-1] == pytest.approx(AGRESTI, abs=1e-3)
    assert tied == 0.0


def test_three_players_as_published() -> None:
    """A > B, C > A, B > A, B > C: A 0, B 0.8392, C 0.4196 (the overview of R's PlackettLuce)."""
    logs, _ = fit([[0, 1, 0], [1, 0, 1], [1, 0, 0]])
    assert logs - logs[0] == pytest.approx([0.0, 0.8392, 0.4196], abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 40))
def test_two_runs_in_closed_form(wins: int, losses: int, ties: int) -> None:
    logs, tied = fit([[0, wins], [losses, 0]], [[0, ties], [ties, 0]])
    assert logs[0] - logs[1] == pytest.approx(np.log(wins / losses), abs=1e-6)
    assert tied == pytest.approx(ties / np.sqrt(wins * losses), abs=1e-6)


counts = arrays(np.int64, (4, 4), elements=st.integers(1, 12))


@settings(max_examples=25, deadline=None)
@given(counts, counts)
def test_what_the_model_expects_is_what_was_seen(wins, ties) -> None:  # type: ignore[no-untyped-def]
    """The likelihood's own equations: expected wins + ties/2 of each run, and ties of all."""
    wins, ties = (np.where(np.eye(4), 0, each) for each in (wins, np.triu(ties) + np.triu(ties).T))
    logs, tied = fit(wins, ties)
    strengths = np.exp(logs)
    root = np.sqrt(np.outer(strengths, strengths))
    below = strengths[:, None] + strengths[None, :] + tied * root
    games = wins + wins.T + ties
    expected = games * (strengths[:, None] + tied * root / 2) / below
    assert expected.sum(axis=1) == pytest.approx((wins + ties / 2).sum(axis=1), rel=1e-5)
    assert (games * tied * root / below).sum() == pytest.approx(ties.sum(), rel=1e-5)
    assert logs.sum() == pytest.approx(0.0, abs=1e-9)


def test_runs_may_come_in_any_order() -> None:
    order = [3, 0, 6, 1, 5, 2, 4]
    mixed, _ = fit(BASEBALL[order][:, order])
    assert mixed == pytest.approx(fit(BASEBALL)[0][order], abs=1e-6)


def test_half_a_win_keeps_a_run_that_always_wins_finite() -> None:
    logs, _ = fit([[0, 9], [0, 0]], prior_wins=0.5)
    assert logs[0] - logs[1] == pytest.approx(np.log(9.5 / 0.5), abs=1e-6)
    more, _ = fit([[0, 90], [0, 0]], prior_wins=0.5)
    assert more[0] > logs[0]


def test_many_fits_at_once_are_each_their_own() -> None:
    both = np.stack([BASEBALL, BASEBALL.T])
    logs, _ = davidson(both, np.zeros_like(both), prior_wins=0.0)
    assert logs[0] == pytest.approx(fit(BASEBALL)[0], abs=1e-6)
    assert logs[1] == pytest.approx(-logs[0], abs=1e-6)
