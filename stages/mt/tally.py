"""What a stage that drops segments reports: read, kept, dropped by reason, and a sample of the rejected."""

from typing import Any

from mt.segments import Segment


class Tally:
    """Counts segments; the first `sample` rejected ones of each reason are kept to be read.

    `read` is always `kept` plus all that was dropped.
    """

    def __init__(self, sample: int) -> None:
        self.kept = 0
        self.dropped: dict[str, int] = {}
        self._sample = sample
        self._rejected: list[dict[str, Any]] = []

    def keep(self) -> None:
        """Count one segment that goes on."""
        self.kept += 1

    def drop(self, reason: str, segment: Segment) -> None:
        """Count one segment that ends here, under one reason."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        if self.dropped[reason] <= self._sample:
            self._rejected.append({"reason": reason, **segment})

    def report(self) -> dict[str, Any]:
        """`read`, `kept`, `dropped` (reason → count, in the order of first use) and `rejected`, ready for JSON."""
        return {
            "read": self.kept + sum(self.dropped.values()),
            "kept": self.kept,
            "dropped": self.dropped,
            "rejected": self._rejected,
        }
