"""The one error for input that a person can mend."""


class InputError(ValueError):
    """Bad input: says what is wrong, where, and how to mend it.

    Args:
        what: what is wrong, in a few words ("no column 'created_at'").
        where: the file, flag, parameter or row concerned; may be empty.
        mend: what the person can do about it; may be empty.

    The command line prints it as one line and exits with 2; the API answers with a problem document.
    """

    def __init__(self, what: str, where: str = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, where, mend
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}" + (f"; {self.mend}" if self.mend else "")
