"""The JSON file of figures: one entry a part, written whole each time that a part has more to say."""

import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.files import read_json, write_json

PRESETS = ("wiki270m", "embedded")
PARTS = ("ceiling", "wiki270m", "mistral", "embedded")
"""In the order in which they run."""
PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes")


class Record:
    """Part → {status, reason, date, host, seconds, figures}.

    `status` is running, done, failed, out of memory or cut off; `reason`, null where it is done, says why it is not.
    Figures stay whatever became of their part.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def running(self, part: str) -> Iterator[None]:
        """Run a part and write down how it ends; what it said in an earlier call stays until it says the same anew."""
        import torch

        begin = time.monotonic()
        before = self.figures(part)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        entry = {"status": "running", "reason": None, "date": now, "host": host(), "seconds": None, "figures": before}
        self._put(part, entry)
        try:
            yield
        except torch.OutOfMemoryError as error:
            self._put(part, {"status": "out of memory", "reason": str(error)})
        except InputError as error:
            self._put(part, {"status": "failed", "reason": str(error)})
        else:
            self._put(part, {"status": "done"})
        self._put(part, {"seconds": round(time.monotonic() - begin, 3)})

    def add(self, part: str, figures: dict[str, Any]) -> None:
        """Add figures to a part, by name; what has one of the names goes."""
        self._put(part, {"figures": {**self.figures(part), **figures}})

    def figures(self, part: str) -> dict[str, Any]:
        """What a part has said so far."""
        found: dict[str, Any] = self._read().get(part, {}).get("figures", {})
        return found

    def ended(self, part: str, status: str, reason: str) -> None:
        """Say from outside how a part's process ended, if that did not say it itself."""
        if self.status(part) in ("running", "not run"):
            self._put(part, {"status": status, "reason": reason})

    def status(self, part: str) -> str:
        """`not run` where nothing is known of it."""
        found: str = self._read().get(part, {}).get("status", "not run")
        return found

    def has_ceiling(self) -> bool:
        """Whether the ceiling of this very device is known."""
        entry = self._read().get("ceiling", {})
        return bool(entry.get("status") == "done" and entry["host"]["device"] == host()["device"])

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        tree: dict[str, Any] = read_json(self.path)
        return tree

    def _put(self, part: str, values: dict[str, Any]) -> None:
        tree = self._read()
        write_json(self.path, {**tree, part: {**tree.get(part, {}), **values}})


def on_gpu() -> bool:
    """Whether there is a GPU to measure."""
    import torch

    return bool(torch.cuda.is_available())


def host() -> dict[str, Any]:
    """The device and what ran on it; null for a package that is not there."""
    import torch

    gpu = on_gpu()
    return {
        "device": torch.cuda.get_device_name() if gpu else f"CPU, {platform.machine()}",
        "memory_bytes": torch.cuda.get_device_properties(0).total_memory if gpu else None,
        "cuda": torch.version.cuda if gpu else None,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
