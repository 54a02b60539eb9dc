"""What is wrong with a filter, and where."""

from lvmtui.errors import UsageError
from lvmtui.format import plain


class FilterError(UsageError):
    """A filter cannot be understood."""

    def __init__(self, message: str, start: int, end: int) -> None:
        """
        Args:
            message: what is wrong and what to do; put on one line.
            start: first character of the wrong part, from 0.
            end: one past its last.
        """
        super().__init__(plain(message))
        self.start, self.end = start, max(start, end)
