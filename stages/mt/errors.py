"""The one error that a user can cause, and so can mend."""


class InputError(Exception):
    """Something outside the code is wrong: a parameter, a file, the network, the disk.

    The message is one line that names the file, the place in it and the mend; the command line prints it as it stands
    and ends with exit code 1.
    """
