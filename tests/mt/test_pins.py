"""mt.pins: a pin is whole, or it is none."""

import pytest

from mt.pins import COMMIT, SHA256, check_sha256

LOOSE = ["", "a", "g", "A", " ", "\n", "\N{FULLWIDTH DIGIT ONE}"]


@pytest.mark.parametrize(("pin", "digits"), [(SHA256, 64), (COMMIT, 40)], ids=["sha256", "commit"])
def test_a_pin_has_all_its_digits(pin, digits):
    whole = "0123456789abcdef" * 4
    assert pin.fullmatch(whole[:digits])
    assert not any(pin.fullmatch(whole[: digits - 1] + end) for end in LOOSE if end != "a")
    assert not pin.fullmatch(whole[:digits] + "a")


@pytest.mark.parametrize("digest", [*LOOSE, "a" * 63, "A" * 64, "a" * 64 + "\n"])
def test_a_loose_digest_is_refused(digest):
    with pytest.raises(ValueError, match="must be 64 lower-case hexadecimal digits; sha256sum prints them"):
        check_sha256(digest)


def test_a_whole_digest_is_taken():
    check_sha256("0123456789abcdef" * 4)
