"""The translation memory: what a model has written or scored, found again by everything that it follows from.

It lies under $DVC_ROOT/.cache, so that queued experiments, which have workspaces of their own, share it. SQLite keeps
it in WAL mode (https://sqlite.org/wal.html): readers never wait, writers wait for each other, and what a killed process
had not committed is gone. WAL needs shared memory, so of several hosts only the main process's reads and writes it.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from mt.errors import InputError
from mt.values import check, parsed

FILE = "translations.sqlite"
BUSY_SECONDS = 300.0
"""How long a writer waits for the others; each holds the file for as long as a batch takes to be written."""
PAUSE_SECONDS = 0.05
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
PRIMARY = 0xFF
"""The bits of SQLite's extended result codes that say of which kind one is."""
KEY_BYTES = 16
MOST_AT_ONCE = 500
"""SQLite binds 999 values or more to one statement."""

TABLES = """
CREATE TABLE IF NOT EXISTS origins (
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, facts TEXT NOT NULL, used TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS translations (
    origin INTEGER NOT NULL REFERENCES origins (id), key BLOB NOT NULL,
    text TEXT NOT NULL CHECK (typeof(text) = 'text'), cut INTEGER NOT NULL,
    PRIMARY KEY (origin, key)
) WITHOUT ROWID;
"""


class Translation(NamedTuple):
    """What a model wrote; `cut` is whether the limit on tokens ended it, and not the model."""

    text: str
    cut: bool


class Origin(NamedTuple):
    """What `Memory.origins` tells of one model with one way of decoding."""

    id: int
    facts: dict[str, Any]
    used: datetime
    """The last time that a run opened it or kept something in it."""
    entries: int
    characters: int


class Memory:
    """Translations that follow from `facts` and what each is asked for.

    Args:
        path: the file; it and its folder are made where they are missing.
        facts: all that the translations follow from besides their prompts, ready for JSON.

    Raises:
        InputError: the file is no translation memory, damaged, or cannot be written.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self._path = path
        self._database = connect(path)
        self._facts = json.dumps(facts, sort_keys=True, ensure_ascii=False)
        self._digest = hashlib.sha256(self._facts.encode()).digest()
        with told(path), self._database:
            self._origin = self._use()

    def find(self, asked: Sequence[str]) -> list[Translation | None]:
        """The translation of each of `asked`, or None where there is none yet."""
        keys = [_key(one) for one in asked]
        found: dict[bytes, Translation] = {}
        with told(self._path):
            for start in range(0, len(keys), MOST_AT_ONCE):
                some = keys[start : start + MOST_AT_ONCE]
                marks = ",".join("?" * len(some))
                statement = f"SELECT key, text, cut FROM translations WHERE origin = ? AND key IN ({marks})"  # noqa: S608
                rows = self._database.execute(statement, (self._origin, *some))
                found.update((key, Translation(text, bool(cut))) for key, text, cut in rows)
        return [found.get(key) for key in keys]

    def keep(self, asked: Sequence[str], made: Sequence[Translation]) -> None:
        """Keep a translation of each of `asked`, all or none; what is there already stays."""
        rows = [(_key(one), *new) for one, new in zip(asked, made, strict=True)]
        with told(self._path), self._database as database:
            self._origin = self._use()  # somebody may have pruned it since
            database.executemany(
                "INSERT OR IGNORE INTO translations (origin, key, text, cut) VALUES (?, ?, ?, ?)",
                [(self._origin, *row) for row in rows],
            )

    def _use(self) -> int:
        """Write down that this origin is in use now; returns its id."""
        self._database.execute(
            "INSERT INTO origins (digest, facts, used) VALUES (?, ?, ?) "
            "ON CONFLICT (digest) DO UPDATE SET used = excluded.used",
            (self._digest, self._facts, now()),
        )
        found = self._database.execute("SELECT id FROM origins WHERE digest = ?", (self._digest,)).fetchone()
        return int(found[0])

    def close(self) -> None:
        """Close the file; the last one to do so folds the log into it."""
        self._database.close()


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, which is made where it is missing.

    Raises:
        InputError: it is no translation memory, damaged, or cannot be written.
    """
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=BUSY_SECONDS)
        try:
            _enter_wal(database)
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(TABLES)
        except BaseException:
            database.close()
            raise
    return database


def _enter_wal(database: sqlite3.Connection) -> None:
    """Put a new file into WAL mode; for that alone, SQLite does not wait for another process that does the same."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY not in BUSY or time.monotonic() > until:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


def origins(path: Path) -> list[Origin]:
    """What the memory holds, the longest unused first; nothing where there is no file."""
    if not path.exists():
        return []
    statement = """
        SELECT id, facts, used, count(key), coalesce(sum(length(text)), 0)
        FROM origins LEFT JOIN translations ON origin = id GROUP BY id ORDER BY used, id
    """
    with told(path), closing(connect(path)) as database:
        return [_origin(*row) for row in database.execute(statement)]


def _origin(id_: int, facts: Any, used: Any, entries: int, characters: int) -> Origin:
    check([facts, used], [str], "")
    content = parsed(facts)
    json.dumps(content, ensure_ascii=False).encode()  # half of a surrogate pair cannot be printed
    return Origin(id_, content, datetime.fromisoformat(used), entries, characters)


def prune(path: Path, days: int) -> int:
    """Forget what no run has used for `days` days, and give the room back; returns how many entries that was."""
    if not path.exists():
        return 0
    before = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    with told(path), closing(connect(path)) as database:
        with database:
            database.execute("DELETE FROM origins WHERE used < ?", (before,))
            gone = database.execute("DELETE FROM translations WHERE origin NOT IN (SELECT id FROM origins)").rowcount
        database.execute("VACUUM")
    return gone


def now() -> str:
    """This moment, as it is written."""
    return datetime.now(UTC).isoformat()


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say into an InputError."""
    try:
        yield
    except sqlite3.Error as error:
        raise InputError(
            f"{path}: {error}; where the disk is full or locked mend that, and else remove the file: what it held is "
            "then translated again"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error}); remove it: what it held is then translated again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); make it a place that can") from error


def _key(asked: str) -> bytes:
    return hashlib.blake2b(asked.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()
