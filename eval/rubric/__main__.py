"""The rubric from a command line: ``python -m eval.rubric make RUN RUN --out rubric.html``.

``python -m eval.rubric score rubric.key.json anna.json bert.csv --out scores.json`` afterwards.
"""

import argparse
import sys
from pathlib import Path

from eval.rubric.conf import MakeConfig, RubricMode, ScoreConfig
from eval.rubric.page import make
from eval.rubric.score import score, told
from pipeline.core.errors import InputError, one_line_errors


@one_line_errors
def main() -> int:
    """Make a page, or score what raters saved."""
    given = vars(_parse())
    verb = given.pop("verb")
    try:
        if verb == "make":
            made = make(MakeConfig(**given | {"mode": RubricMode(given["mode"])}))
            sys.stdout.write(
                f"{made.page}: {made.num_items} to rate, {made.num_repeats} of them twice\n"
                f"{made.key}: what is what; keep it from raters\n"
            )
        else:
            sys.stdout.write(told(score(ScoreConfig(**given))) + "\n")
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from None
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m eval.rubric",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("make", help="write the page and its key").add_argument
    making("runs", type=Path, nargs="+", help="run folders of jobs.generate, or folders of PNG")
    making("--names", nargs="*", default=[], help="what the runs are called in the scores")
    making("--out", type=Path, default=Path("rubric.html"), help="page to write")
    making("--mode", choices=[mode.value for mode in RubricMode], default="absolute")
    making("--num-images", type=int, default=0, help="pictures a run (0: all)")
    making("--num-repeats", type=int, default=6, help="items each rater sees twice (6)")
    making("--show-prompts", action=argparse.BooleanOptionalAction, default=True)
    making("--references", type=Path, help="folder of PNG that show the style")
    making("--seed", type=int, default=0, help="decides what is drawn, and orders")
    scoring = verbs.add_parser("score", help="put raters' files together").add_argument
    scoring("key", type=Path, help="the .key.json beside the page")
    scoring("ratings", type=Path, nargs="+", help="raters' files, JSON or CSV")
    scoring("--out", type=Path, default=Path("rubric.scores.json"), help="scores to write")
    scoring("--num-draws", type=int, default=2000, help="draws behind the intervals (2000)")
    scoring("--seed", type=int, default=0, help="decides the draws")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
