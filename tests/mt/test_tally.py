"""Counting what is kept and dropped."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mt.tally import Tally


def test_counts_by_reason_and_keeps_a_sample() -> None:
    tally = Tally(sample=2)
    for number in range(3):
        tally.drop("short", {"id": f"s{number}", "src": "x"})
    tally.keep()
    tally.drop("long", {"id": "l0", "src": "y", "value": 0.5})
    assert tally.report() == {
        "read": 5,
        "kept": 1,
        "dropped": {"short": 3, "long": 1},
        "rejected": [
            {"reason": "short", "id": "s0", "src": "x"},
            {"reason": "short", "id": "s1", "src": "x"},
            {"reason": "long", "id": "l0", "src": "y", "value": 0.5},
        ],
    }
    assert list(tally.dropped) == ["short", "long"]


def test_nothing_counted() -> None:
    assert Tally(sample=5).report() == {"read": 0, "kept": 0, "dropped": {}, "rejected": []}


@given(fates=st.lists(st.sampled_from([None, "a", "b", "c"])), sample=st.integers(0, 3))
def test_read_is_kept_and_dropped(fates: list[str | None], sample: int) -> None:
    tally = Tally(sample)
    for number, reason in enumerate(fates):
        if reason is None:
            tally.keep()
        else:
            tally.drop(reason, {"id": str(number)})
    report = tally.report()
    counts = Counter(fates)
    assert report["read"] == len(fates)
    assert report["kept"] == counts.pop(None, 0)
    assert report["dropped"] == counts
    assert Counter(row["reason"] for row in report["rejected"]) == {
        reason: min(count, sample) for reason, count in counts.items() if sample
    }
