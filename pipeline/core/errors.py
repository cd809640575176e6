"""The one exception for what a user can mend, and how a command shows it."""

import errno
import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")

EXIT_INPUT = 2
NOT_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
"""Errors of a disk, not of the program: one line says all there is to say."""


class InputError(ValueError):
    """Something the user gave is wrong; the message is the whole story, in one line.

    A job ends with this message and exit status 2, without a traceback. The message names the file
    or the dotted config key, what was found there, and what is allowed.
    """


class CheckError(Exception):
    """A check ran to its end, and its answer is no; the message is the whole story, in one line.

    The job is recorded as failed and ends with this message and exit status 1, without a traceback.
    """


def plain(error: BaseException) -> BaseException:
    """Turn a full, read-only or broken disk into an ``InputError``; return the rest as it is."""
    if isinstance(error, OSError) and error.errno in NOT_OURS:
        return InputError(f"{error.filename or 'disk'}: {error.strerror}")
    return error


def one_line_errors(main: Callable[P, int]) -> Callable[P, int]:
    """Decorate a command's ``main``: what the user can mend is one line on stderr and status 2."""

    @functools.wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except (InputError, OSError) as error:
            told = plain(error)
            if not isinstance(told, InputError):
                raise
            sys.stderr.write(f"error: {' '.join(str(told).split())}\n")
            return EXIT_INPUT

    return wrapped
