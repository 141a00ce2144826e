"""Settings of all tests: a slow moment of the machine is no failure of a property, and no test leaves anything set."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from hypothesis import settings

NUMBERS = count(1)

settings.register_profile("honyaku", deadline=None)
settings.load_profile("honyaku")


@pytest.fixture(autouse=True, scope="module")
def left_by_fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take back what the fixtures of a module did; they have a root of DVC's of their own."""
    with as_before():
        os.environ["DVC_ROOT"] = str(tmp_path_factory.getbasetemp() / f"root {next(NUMBERS)}")
        yield


@pytest.fixture(autouse=True)
def left_by_a_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take back what a test did; it finds nothing that another has left under DVC's root."""
    with as_before():
        os.environ["DVC_ROOT"] = str(tmp_path_factory.getbasetemp() / f"root {next(NUMBERS)}")
        yield


@contextmanager
def as_before() -> Iterator[None]:
    """Take back what is put into the environment, or by accelerate into its state: the Trainer does both."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    if "accelerate.state" in sys.modules:
        sys.modules["accelerate.state"].AcceleratorState._reset_state()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several workers share the tests, the long ones go first, so that no worker is left alone with them."""
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in long)
