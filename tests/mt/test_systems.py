import pytest

from mt.systems import System


@pytest.mark.parametrize(
    ("genuine", "synthetic", "trained"),
    [(False, False, False), (True, False, True), (False, True, True), (True, True, True)],
)
def test_a_system_is_trained_on_whatever_pairs_it_is_given(genuine: bool, synthetic: bool, trained: bool) -> None:
    assert System(genuine, synthetic).trained is trained
