"""Settings of all tests: a slow moment of the machine is no failure of a property, and no test leaves anything set."""

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("honyaku", deadline=None)
settings.load_profile("honyaku")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Take back what a test put into the environment or accelerate into its state: as the Trainer does."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    if "accelerate.state" in sys.modules:
        sys.modules["accelerate.state"].AcceleratorState._reset_state()
