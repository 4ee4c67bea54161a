"""Downloads with checksums, from a server of our own."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crowdpyro import DataError
from crowdpyro.reviews import fetch_amazon, read_amazon

from .conftest import meta, review


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


def gzipped(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode(), mtime=0))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    gzipped(folder / "review_categories" / "All_Beauty.jsonl.gz", [review("A", f"u{i}") for i in range(20)])
    gzipped(folder / "meta_categories" / "meta_All_Beauty.jsonl.gz", [meta("A")])
    return folder


@pytest.fixture
def host(published: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(published)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_files_are_fetched_once_and_must_stay_what_they_were(published: Path, host: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    files = fetch_amazon("All_Beauty", kept, host=host)
    assert read_amazon(*files, "All_Beauty").n_reviews == 20
    sums = (kept / "checksums.txt").read_text().splitlines()
    assert [line.split()[1] for line in sums] == ["All_Beauty.jsonl.gz", "meta_All_Beauty.jsonl.gz"]

    gzipped(published / "review_categories" / "All_Beauty.jsonl.gz", [review("A", "someone else")])
    before = files[0].read_bytes()
    assert fetch_amazon("All_Beauty", kept, host=host)[0].read_bytes() == before  # not asked for again

    files[0].write_bytes(before[:-9])  # damaged: fetched anew, and the publisher now has another
    with pytest.raises(DataError, match="SHA-256 is not the one in"):
        fetch_amazon("All_Beauty", kept, host=host)


def test_what_cannot_be_fetched_is_named(host: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'Books.jsonl.gz' cannot be downloaded from .*by hand"):
        fetch_amazon("Books", tmp_path / "kept", host=host)
    with pytest.raises(DataError, match="letters and '_' only"):
        fetch_amazon("../secrets", tmp_path)
    with pytest.raises(DataError, match="cannot be downloaded"):
        fetch_amazon("All_Beauty", tmp_path / "kept", host="http://127.0.0.1:9/")
    (tmp_path / "kept").mkdir(exist_ok=True)
    (tmp_path / "kept" / "checksums.txt").write_text("abc\n")
    with pytest.raises(DataError, match="no 'SHA256 NAME'"):
        fetch_amazon("All_Beauty", tmp_path / "kept", host=host)
