"""The one exception for what a user can mend."""


class InputError(ValueError):
    """Something the user gave is wrong; the message is the whole story, in one line.

    A job ends with this message and exit status 2, without a traceback. The message names the file
    or the dotted config key, what was found there, and what is allowed.
    """
