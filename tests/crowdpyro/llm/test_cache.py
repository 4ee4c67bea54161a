"""A cache gives back what was computed, asks what it lacks, and survives crashes, damage and company."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from crowdpyro.errors import DataError
from crowdpyro.llm.backbone import FloatArray, Query, Scorer
from crowdpyro.llm.cache import CachedScorer, key_of
from crowdpyro.llm.cache_file import APPLICATION, Asker, CacheFile

OPTIONS = ("1", "2", "3")


class Arithmetic:
    """A scorer in closed form, in batches of `size`; it notes what it was asked, and may fail after some batches."""

    name, revision, settings = "arithmetic", "1", "float64"

    def __init__(self, size: int = 4, fail_after: int | None = None, **attributes: str) -> None:
        self.size, self.fail_after = size, fail_after
        self.asked: list[str] = []
        vars(self).update(attributes)

    def _batches(self, queries: Sequence[Query], known: Collection[int]) -> Iterator[list[int]]:
        left = [row for row in range(len(queries)) if row not in known]
        for number, start in enumerate(range(0, len(left), self.size)):
            if number == self.fail_after:
                raise KeyboardInterrupt
            rows = left[start : start + self.size]
            self.asked += [queries[row].prompt for row in rows]
            yield rows

    def score(
        self, queries: Sequence[Query], *, known: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[FloatArray]]]:
        for rows in self._batches(queries, known):
            yield rows, [logs_of(queries[row]) for row in rows]

    def write(
        self,
        queries: Sequence[Query],
        *,
        n: int,
        temperature: float,
        max_tokens: int,
        seed: int,
        known: Collection[int] = (),
    ) -> Iterator[tuple[list[int], list[list[str]]]]:
        for rows in self._batches(queries, known):
            yield rows, [[f"{queries[row].prompt} {seed} \u05d0\n" * max_tokens] * n for row in rows]


def logs_of(query: Query) -> FloatArray:
    digests = [hashlib.sha256(f"{query.prompt!a} {option}".encode()).digest() for option in query.options]
    return np.log([int.from_bytes(each[:6], "big") / 2**49 for each in digests])


def queries_of(prompts: Sequence[str], options: tuple[str, ...] = OPTIONS) -> list[Query]:
    return [Query(prompt, options, f"prompt {place}") for place, prompt in enumerate(prompts)]


def scored(scorer: Scorer, queries: Sequence[Query]) -> FloatArray:
    values: dict[int, FloatArray] = {}
    for rows, logs in scorer.score(queries):
        assert not values.keys() & set(rows)
        values |= dict(zip(rows, logs, strict=True))
    return np.array([values[row] for row in range(len(queries))])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "answers.sqlite"


def test_what_was_computed_comes_back_to_the_bit_and_is_not_asked_again(path: Path) -> None:
    queries = queries_of([f"p{n}" for n in range(10)])
    first, second = CachedScorer(Arithmetic(), path), CachedScorer(Arithmetic(), path)
    assert isinstance(first, Scorer)
    expected = np.array([logs_of(query) for query in queries])
    np.testing.assert_array_equal(scored(first, queries[:6]), expected[:6])
    np.testing.assert_array_equal(scored(second, queries), expected)
    assert second.scorer.asked == ["p6", "p7", "p8", "p9"]
    assert (first.hits, first.misses, second.hits, second.misses) == (0, 6, 6, 4)
    assert second.report() == f"cache {path}: 6 of 10 prompts found, 4 asked."


def test_equal_queries_are_asked_once(path: Path) -> None:
    queries = queries_of(["a", "b", "a", "a", "b", "c"])
    cached = CachedScorer(Arithmetic(size=2), path)
    np.testing.assert_array_equal(scored(cached, queries), [logs_of(query) for query in queries])
    assert cached.scorer.asked == ["a", "b", "c"]
    assert (cached.hits, cached.misses) == (3, 3)


def test_texts_are_kept_by_how_they_were_asked_for(path: Path) -> None:
    asked = {"n": 2, "temperature": 0.5, "max_tokens": 3, "seed": 0}
    queries = queries_of(["a", "b"], ())
    (first,) = CachedScorer(Arithmetic(), path).write(queries, **asked)
    assert first == ([0, 1], [["a 0 \u05d0\n" * 3] * 2, ["b 0 \u05d0\n" * 3] * 2])
    again = CachedScorer(Arithmetic(), path)
    assert list(again.write(queries, **asked)) == [first]
    for change in ({"n": 3}, {"temperature": 0.25}, {"max_tokens": 4}, {"seed": 1}):
        list(again.write(queries, **asked | change))
    assert (again.hits, again.misses) == (2, 8)
    assert scored(again, queries_of(["a"])).shape == (1, 3)
    assert again.misses == 9


def test_everything_that_decides_the_numbers_is_in_the_key() -> None:
    asker, query = Asker("m", "r", "s"), Query("p", ("1", "2"), "")
    key = key_of(asker, "score", query)
    assert key == key_of(asker, "score", Query("p", ("1", "2"), "another name"))
    others = [
        key_of(Asker("mr", "", "s"), "score", query),
        key_of(Asker("m", "r2", "s"), "score", query),
        key_of(Asker("m", "r", "s2"), "score", query),
        key_of(asker, "write n=1", query),
        key_of(asker, "score", Query("p ", ("1", "2"), "")),
        key_of(asker, "score", Query("p", ("2", "1"), "")),
        key_of(asker, "score", Query("p", ("12",), "")),
        key_of(asker, "score", Query("p1", ("2",), "")),
        key_of(asker, "score", Query("\ud83d\ude00", ("1", "2"), "")),
        key_of(asker, "score", Query("\U0001f600", ("1", "2"), "")),
        key_of(asker, "score", Query("p\0", ("1", "2"), "")),
    ]
    assert len({key, *others}) == 1 + len(others)


def test_a_crash_loses_the_batch_in_flight_alone(path: Path) -> None:
    queries = queries_of([f"p{n}" for n in range(20)])
    with pytest.raises(KeyboardInterrupt):
        scored(CachedScorer(Arithmetic(fail_after=3), path), queries)
    again = CachedScorer(Arithmetic(), path)
    np.testing.assert_array_equal(scored(again, queries), [logs_of(query) for query in queries])
    assert again.scorer.asked == [f"p{n}" for n in range(12, 20)]


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_damaged_entry_is_asked_anew_and_mended(path: Path, column: int) -> None:
    queries = queries_of([f"p{n}" for n in range(5)])
    scored(CachedScorer(Arithmetic(), path), queries)
    key = key_of(Asker("arithmetic", "1", "float64"), "score", queries[2])
    with sqlite3.connect(path) as connection:
        row = list(connection.execute("SELECT key, value, checksum FROM answers WHERE key = ?", (key,)).fetchone())
        row[column] = bytes([row[column][0] ^ 1]) + row[column][1:]
        if column == 0:
            row[0] = key_of(Asker("arithmetic", "1", "float64"), "score", Query("p7", OPTIONS, ""))
        connection.execute("UPDATE answers SET key = ?, value = ?, checksum = ? WHERE key = ?", (*row, key))
    connection.close()
    assert sum(each.n_damaged for each in CacheFile(path).holdings()) == 1
    wanted = [*queries, Query("p7", OPTIONS, "")]
    again = CachedScorer(Arithmetic(), path)
    np.testing.assert_array_equal(scored(again, wanted), [logs_of(query) for query in wanted])
    assert (again.hits, again.misses, again.damaged) == (4, 2, 1)
    assert again.report().endswith("4 of 6 prompts found, 2 asked; 1 damaged entries asked anew.")
    last = CachedScorer(Arithmetic(), path)
    scored(last, wanted)
    assert (last.hits, last.misses, last.damaged) == (6, 0, 0)


def test_another_file_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    text, database, empty = tmp_path / "a.csv", tmp_path / "b.db", tmp_path / "c"
    text.write_text("problem,text\n" * 200)
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = database.read_bytes(), text.read_bytes()
    with pytest.raises(DataError, match=r"a\.csv.*no cache but some other file; give another path"):
        CacheFile(text)
    with pytest.raises(DataError, match=r"b\.db.*no cache but another SQLite file"):
        CacheFile(database)
    assert (database.read_bytes(), text.read_bytes()) == before
    with pytest.raises(DataError, match="does not exist"):
        CacheFile(tmp_path / "none", create=False)
    empty.touch()
    with pytest.raises(DataError, match="no cache"):
        CacheFile(empty, create=False)
    with pytest.raises(OSError, match=r"cannot be opened.*give another place"):
        CacheFile(tmp_path)
    with pytest.raises(OSError, match="cannot be made"):
        CacheFile(text / "cache")
    assert {each.name for each in tmp_path.iterdir()} == {"a.csv", "b.db", "c"}


def test_another_version_is_named(path: Path) -> None:
    CacheFile(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(DataError, match="is of version 7; this crowdpyro reads version 1: .*delete the file"):
        CacheFile(path)


def test_a_file_damaged_beyond_its_rows_is_named(path: Path) -> None:
    scored(CachedScorer(Arithmetic(), path), queries_of([f"p{n}" for n in range(400)]))
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xa5" * (len(raw) - 4096)
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"is damaged .*; delete it, and it is filled anew"):
        scored(CachedScorer(Arithmetic(), path), queries_of(["p1"]))


def test_flipped_bits_never_become_answers(path: Path, tmp_path: Path) -> None:
    """Of a file with one byte changed anywhere, every answer is right, or the file is refused by name."""
    queries = queries_of([f"p{n}" for n in range(60)])
    expected = scored(CachedScorer(Arithmetic(size=60), path), queries)
    raw, rng, refused, mended = path.read_bytes(), np.random.default_rng(0), [], 0
    for place in [*range(100), *rng.integers(100, len(raw), 200)]:
        copy = tmp_path / f"{place}"
        copy.write_bytes(raw[:place] + bytes([raw[place] ^ int(rng.integers(1, 256))]) + raw[place + 1 :])
        try:
            cached = CachedScorer(Arithmetic(size=60), copy)
            np.testing.assert_array_equal(scored(cached, queries), expected)
            mended += cached.damaged
        except (DataError, OSError) as error:
            refused.append(str(error).startswith(f"cache {str(copy)!r} "))
        copy.unlink()
    assert all(refused)
    assert len(refused) > 10
    assert mended > 10


def test_another_process_is_waited_for_and_named_in_the_end(path: Path) -> None:
    file = CacheFile(path, patience=0.2)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(OSError, match=r"held by another process for 0\.2 s"):
        file.keep(Asker("m", "", ""), "score", {b"k": b"v"})
    assert file.find([b"k"]) == ({}, 0)
    holder.close()
    file.keep(Asker("m", "", ""), "score", {b"k": b"v"})
    assert file.find([b"k"]) == ({b"k": b"v"}, 0)


def test_a_full_disk_is_named_and_what_was_there_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = CacheFile(path)
    file.keep(Asker("m", "", ""), "score", {b"k": b"v"})
    prepare = CacheFile._prepare

    def small(self: CacheFile, connection: sqlite3.Connection) -> None:
        prepare(self, connection)
        connection.execute("PRAGMA max_page_count = 8")

    monkeypatch.setattr(CacheFile, "_prepare", small)
    with pytest.raises(OSError, match=r"cannot be opened or written .*full.*make room"):
        file.keep(Asker("m", "", ""), "score", {bytes([n]): bytes(4096) for n in range(20)})
    assert file.find([b"k", b"\x01"]) == ({b"k": b"v"}, 0)


def filled(path: Path) -> CacheFile:
    """A cache of two models: 600 scores of `old` from long ago, 300 of `new` and 10 texts of `new` from now."""
    scored(CachedScorer(Arithmetic(size=100, name="old"), path), queries_of([f"p{n}" for n in range(600)]))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE answers SET made = made - 1000")
    connection.close()
    new = CachedScorer(Arithmetic(size=100, name="new"), path)
    scored(new, queries_of([f"p{n}" for n in range(300)]))
    list(new.write(queries_of([f"p{n}" for n in range(10)], ()), n=1, temperature=1.0, max_tokens=1, seed=0))
    return new.file


def numbers(file: CacheFile) -> dict[tuple[str, str], int]:
    return {(each.asker.name, each.mode): each.n for each in file.holdings()}


def test_the_contents_are_listed_and_pruned(path: Path, tmp_path: Path) -> None:
    file = filled(path)
    assert numbers(file) == {("new", "score"): 300, ("new", "write"): 10, ("old", "score"): 600}
    old = file.holdings()[2]
    assert old.newest <= time.time() - 1000
    assert (old.asker.revision, old.n_damaged, old.n_bytes) == ("1", 0, 600 * (32 + 24 + 8))
    copies = [tmp_path / name for name in "abcde"]
    for copy in copies:
        shutil.copy(path, copy)
    by_model, by_age, by_size, both, everything = (CacheFile(copy) for copy in copies)
    assert by_model.prune(model="new") == 310
    assert numbers(by_model) == {("old", "score"): 600}
    assert by_age.prune(older_than=500) == 600
    assert by_age.path.stat().st_size < path.stat().st_size / 2
    assert both.prune(model="new", older_than=500) == 0
    limit = path.stat().st_size / 2
    taken = by_size.prune(max_bytes=limit)
    assert by_size.path.stat().st_size <= limit
    assert numbers(by_size).get(("old", "score"), 0) == 600 - taken > 0
    assert numbers(by_size)["new", "score"] == 300
    assert everything.prune(max_bytes=0) == 910
    assert numbers(everything) == {}
    with pytest.raises(DataError, match=r"model 'none' is not in cache .*; it holds 'new', 'old'"):
        file.prune(model="none")
    with pytest.raises(DataError, match="a model, an age or a size"):
        file.prune()


WRITER = """
import sys, time, itertools
from pathlib import Path
from crowdpyro.llm.cache_file import Asker, CacheFile
me, path, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
path.with_name(f"{me} is here").touch()
while len(list(path.parent.glob("* is here"))) < 2:
    time.sleep(0.01)
end, asker = time.monotonic() + seconds, Asker("m", "", "")
for n in itertools.count():
    if time.monotonic() > end:
        break
    file = CacheFile(path)
    rows = {f"{who}-{n}-{k}".encode(): f"value {n}-{k}".encode() * 9 for k in range(5) for who in (me, "both")}
    file.keep(asker, "score", rows)
    found, damaged = file.find(rows)
    assert (found, damaged) == (rows, 0), n
    if n % 50 == 49:
        assert file.prune(older_than=3600) == 0
    # Somewhat of a forward pass: SQLite does not queue those who wait.
    time.sleep(0.01)
print(n)
"""


def two_processes(path: Path, seconds: float) -> list[int]:
    """Two processes that write rows of their own and rows of both for a while; how many batches each wrote."""
    path.parent.mkdir(exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, who, str(path), str(seconds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for who in ("one", "two")
    ]
    said = [each.communicate(timeout=seconds + 120) for each in running]
    assert [each.returncode for each in running] == [0, 0], said
    counts = [int(out) for out, _ in said]
    keys = {f"{who}-{n}-{k}".encode() for who, m in zip(("one", "two"), counts, strict=True)
            for n in range(m) for k in range(5)}  # fmt: skip
    keys |= {f"both-{n}-{k}".encode() for n in range(max(counts)) for k in range(5)}
    file = CacheFile(path)
    found, damaged = file.find(keys)
    assert (found.keys(), damaged) == (keys, 0)
    assert sum(each.n for each in file.holdings()) == len(keys)
    return counts


def test_two_processes_lose_no_row(path: Path) -> None:
    assert min(two_processes(path, 3)) > 0


@pytest.mark.slow
def test_two_processes_lose_no_row_in_a_minute(path: Path) -> None:
    assert min(two_processes(path, 60)) > 20
