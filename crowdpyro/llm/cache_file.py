"""The file of a cache: one SQLite table of what an LLM answered, shared by processes.

A key is the SHA-256 of all that decides an answer, so that an answer never changes: what is stored twice is stored
once, and a row is written by insert-or-ignore. Beside each value stands a checksum of key and value; a row that fails
it is taken out and counts as absent. A batch is one transaction of a write-ahead log, on the disk before it is handed
on: a crash loses the batch in flight. The log needs a local disk, not a network's.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from ..models.errors import DataError

T = TypeVar("T")
Mode: TypeAlias = Literal["score", "write"]

# "CPyr", in the header of the file.
APPLICATION = 0x43507972
VERSION = 1
# A batch of another process is written in milliseconds; packing a large file takes longer.
PATIENCE_SECONDS = 60.0
_TABLES = (
    "CREATE TABLE scorers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, revision TEXT NOT NULL, "
    "settings TEXT NOT NULL, UNIQUE (name, revision, settings))",
    "CREATE TABLE answers (key BLOB PRIMARY KEY, scorer INTEGER NOT NULL REFERENCES scorers, mode TEXT NOT NULL, "
    "made INTEGER NOT NULL, value BLOB NOT NULL, checksum BLOB NOT NULL) WITHOUT ROWID",
)


@dataclass(frozen=True)
class Asker:
    """Whose answers these are: the attributes of a `Scorer`."""

    name: str
    revision: str
    settings: str


@dataclass(frozen=True)
class Holding:
    """What a cache holds of one scorer in one mode.

    Attributes
    ----------
    asker, mode
        Of whom, and how asked.
    n, n_damaged
        Answers, and how many of them fail their checksum.
    n_bytes
        Of keys, values and checksums.
    oldest, newest
        Seconds since 1970.
    """

    asker: Asker
    mode: str
    n: int
    n_damaged: int
    n_bytes: int
    oldest: int
    newest: int


class CacheFile:
    """A cache on disk, made when it is first opened.

    Parameters
    ----------
    path
        The file; its folder is made.
    create
        Whether a missing file is made or refused.
    patience
        Seconds to wait for another process that writes.

    Raises
    ------
    DataError
        A file that is no cache, or of another version, or damaged beyond its rows.
    OSError
        A file that cannot be opened or written.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, create: bool = True, patience: float = PATIENCE_SECONDS
    ) -> None:
        self.path, self.create, self.patience = Path(path), create, patience
        if not create and not self.path.is_file():
            raise DataError(f"cache {str(path)!r} does not exist; check the path.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"cache {str(path)!r} cannot be made ({error.strerror}); give another place.") from error
        self._do(lambda connection: None)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the log while batches come: made and taken away for each, it makes 8 ms a batch 22."""
        # A generator that holds the file may be closed by another thread.
        with closing(sqlite3.connect(self.path, check_same_thread=False)) as connection:
            # Where another process is just taking the log away, every batch makes its own.
            with suppress(sqlite3.OperationalError):
                connection.execute("SELECT count(*) FROM scorers").fetchone()
            yield

    def find(self, keys: Iterable[bytes]) -> tuple[dict[bytes, bytes], int]:
        """Values by key, of those that are there and whole, and how many damaged ones were taken out."""
        keys = list(keys)

        def work(connection: sqlite3.Connection) -> tuple[dict[bytes, bytes], int]:
            found, damaged = {}, []
            connection.execute("BEGIN")
            for key in keys:
                row = connection.execute("SELECT value, checksum FROM answers WHERE key = ?", (key,)).fetchone()
                if row is not None and _whole(key, *row):
                    found[key] = row[0]
                elif row is not None:
                    damaged.append((key, *row))
            connection.execute("COMMIT")
            if damaged:
                connection.execute("BEGIN IMMEDIATE")
                # Unless another process has put it right meanwhile.
                connection.executemany("DELETE FROM answers WHERE key = ? AND value = ? AND checksum = ?", damaged)
                connection.execute("COMMIT")
            return found, len(damaged)

        return self._do(work)

    def keep(self, asker: Asker, mode: Mode, values: Mapping[bytes, bytes]) -> None:
        """Store values in one transaction; those that are there already stay."""

        def work(connection: sqlite3.Connection) -> None:
            who = (asker.name, asker.revision, asker.settings)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR IGNORE INTO scorers (name, revision, settings) VALUES (?, ?, ?)", who)
            (place,) = connection.execute(
                "SELECT id FROM scorers WHERE name = ? AND revision = ? AND settings = ?", who
            ).fetchone()
            now = int(time.time())
            connection.executemany(
                "INSERT OR IGNORE INTO answers (key, scorer, mode, made, value, checksum) VALUES (?, ?, ?, ?, ?, ?)",
                [(key, place, mode, now, value, _checksum(key, value)) for key, value in values.items()],
            )
            connection.execute("COMMIT")

        self._do(work)

    def holdings(self) -> list[Holding]:
        """What is in the file, by scorer and mode; every row is checked."""

        def work(connection: sqlite3.Connection) -> list[Holding]:
            connection.create_function("whole", 3, _whole, deterministic=True)
            rows = connection.execute(
                "SELECT name, revision, settings, mode, count(*), sum(NOT whole(key, value, checksum)), "
                "sum(length(key) + length(value) + length(checksum)), min(made), max(made) "
                "FROM answers JOIN scorers ON scorers.id = scorer GROUP BY scorers.id, mode "
                "ORDER BY name, revision, settings, mode"
            )
            return [Holding(Asker(*row[:3]), *row[3:]) for row in rows]

        return self._do(work)

    def prune(
        self, *, model: str | None = None, older_than: float | None = None, max_bytes: float | None = None
    ) -> int:
        """Take answers out and shrink the file; the number taken.

        Parameters
        ----------
        model
            Name of the model whose answers go; with `older_than`, only its old ones.
        older_than
            Age in seconds above which answers go.
        max_bytes
            Then the oldest go until the file is no larger.
        """
        if model is None and older_than is None and max_bytes is None:
            raise DataError("prune takes nothing out unless told what: give a model, an age or a size.")

        def some(connection: sqlite3.Connection) -> int:
            names = [name for (name,) in connection.execute("SELECT DISTINCT name FROM scorers ORDER BY name")]
            if model is not None and model not in names:
                held = ", ".join(map(repr, names)) or "no answers"
                raise DataError(f"model {model!r} is not in cache {str(self.path)!r}; it holds {held}.")
            made_by = None if older_than is None else time.time() - older_than
            connection.execute("BEGIN IMMEDIATE")
            taken = connection.execute(
                "DELETE FROM answers WHERE (:model IS NULL OR scorer IN (SELECT id FROM scorers WHERE name = :model)) "
                "AND (:made_by IS NULL OR made <= :made_by)",
                {"model": model, "made_by": made_by},
            ).rowcount
            connection.execute("DELETE FROM scorers WHERE id NOT IN (SELECT scorer FROM answers)")
            connection.execute("COMMIT")
            return taken

        taken = 0 if model is None and older_than is None else self._do(some)
        # Rows lie in the order of their keys: only a packed file shows what the rest takes.
        size = self._do(_packed)
        while max_bytes is not None and size > max_bytes:
            oldest = self._do(partial(_drop_oldest, share=1 - max_bytes / size))
            if not oldest:
                break
            taken += oldest
            size = self._do(_packed)
        return taken

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Work on a connection of its own, from the beginning again while another process is in the way."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                with closing(sqlite3.connect(self.path, timeout=self.patience, isolation_level=None)) as connection:
                    self._prepare(connection)
                    return work(connection)
            except sqlite3.Error as error:
                # SQLite itself does not wait while a log is made, recovered or taken away.
                if _code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > deadline:
                    raise self._named(error) from error
                time.sleep(0.01)
            except UnicodeDecodeError as error:  # Of a damaged layout, SQLite's own message is no text.
                raise self._damaged(error) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Lay out a new file; refuse one that is something else, untouched."""
        if self.create and _header(connection) == (0, 0, 0):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            if _header(connection) == (0, 0, 0):
                for table in _TABLES:
                    connection.execute(table)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        application, version, _ = _header(connection)
        if application != APPLICATION:
            raise DataError(f"cache {str(self.path)!r} is no cache but another SQLite file; give another path.")
        if version != VERSION:
            raise DataError(
                f"cache {str(self.path)!r} is of version {version}; this crowdpyro reads version {VERSION}: give "
                "another path, or delete the file, and it is filled anew."
            )
        laid_out = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
        if sorted(map(str, laid_out)) != sorted(_TABLES):
            # A view or a trigger of somebody else would run its own SQL, without end if it likes.
            raise DataError(f"cache {str(self.path)!r} has other tables than a cache; give another path.")
        # Of a log, NORMAL would leave the last batches to a power cut.
        connection.execute("PRAGMA synchronous = FULL")

    def _named(self, error: sqlite3.Error) -> DataError | OSError:
        """What SQLite could not do, and what to do."""
        cache = f"cache {str(self.path)!r}"
        match _code(error):
            case sqlite3.SQLITE_NOTADB:
                return DataError(f"{cache} is no cache but some other file; give another path.")
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return OSError(f"{cache} was held by another process for {self.patience:g} s; try again, or end it.")
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
                return OSError(f"{cache} cannot be opened or written ({error}); give another place, or make room.")
        return self._damaged(error)

    def _damaged(self, error: Exception) -> DataError:
        return DataError(f"cache {str(self.path)!r} is damaged ({error}); delete it, and it is filled anew.")


def _header(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Whose file it is, of which version, and how many tables it has."""
    application, version, tables = (
        connection.execute(question).fetchone()[0]
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    return application, version, tables


def _drop_oldest(connection: sqlite3.Connection, share: float) -> int:
    """Take out this share of all answers, one at least, the oldest first."""
    connection.execute("BEGIN IMMEDIATE")
    (n,) = connection.execute("SELECT count(*) FROM answers").fetchone()
    taken = connection.execute(
        "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY made, key LIMIT ?)",
        (max(1, int(n * share)),),
    ).rowcount
    connection.execute("COMMIT")
    return taken


def _packed(connection: sqlite3.Connection) -> int:
    """Pack the file and write the log back into it; its size in bytes."""
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * size)


def _checksum(key: bytes, value: bytes) -> bytes:
    return hashlib.sha256(key + value).digest()[:8]


def _whole(key: bytes, value: object, checksum: object) -> bool:
    return isinstance(value, bytes) and checksum == _checksum(key, value)


def _code(error: sqlite3.Error) -> int:
    """The primary code of an error, without its details."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
