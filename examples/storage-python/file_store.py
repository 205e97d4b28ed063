"""Files in a folder, with an index beside them (SQLite) that remembers whose they are.

The order of the steps is what makes `saved` true after a crash: the bytes are flushed first, then the index entry, then the
file gets its final name by link(2), which never overwrites, then the folder is flushed. An index entry without its file counts
for nothing, so a crash between any two steps leaves a file whole or not there.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bilancia.v1 import storage_pb2 as pb
from headers import Refused

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
  origin TEXT, number TEXT, upload_id TEXT NOT NULL,
  stored_name TEXT UNIQUE, size_bytes INTEGER, sha256 BLOB, stored_at REAL, stats BLOB,
  term TEXT, attempt INTEGER,                          -- the attempt that stored it
  fence_term TEXT NOT NULL, fence_attempt INTEGER NOT NULL, -- the highest attempt that was answered
  discarded INTEGER NOT NULL,
  PRIMARY KEY (origin, number))
"""
# Attempts of files that are not stored are remembered in memory, the last so many of them.
_SEEN_LIMIT = 65_536

Fence = tuple[int, int]


@dataclass
class Draft:
    """A file that has arrived in a temp file and has been checked."""

    header: pb.SaveHeader
    path: Path
    fd: int
    size_bytes: int
    sha256: bytes
    stats: pb.TextStats | None


class FileStore:
    """Thread-safe. One process at a time uses a folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._temp = folder / ".temp"
        self._temp.mkdir(parents=True, exist_ok=True)
        self._lock_fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # SQLite uses its own locks; ours makes a decision and what follows from it one step.
        self._lock = threading.Lock()
        self._flushers = ThreadPoolExecutor(16)
        self._seen: OrderedDict[tuple[str, int], Fence] = OrderedDict()
        self._index = sqlite3.connect(folder / ".index.sqlite", check_same_thread=False, isolation_level=None)
        self._index.row_factory = sqlite3.Row
        self._index.execute("PRAGMA journal_mode = WAL")
        self._index.execute("PRAGMA synchronous = FULL")
        self._index.execute(_SCHEMA)
        for leftover in self._temp.iterdir():
            leftover.unlink()
        self._finish_discards()
        _flush_folder(folder)

    def open_temp(self) -> tuple[Path, int]:
        path = self._temp / os.urandom(16).hex()
        return path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)

    def begin(self, header: pb.SaveHeader) -> None:
        """Notes an attempt. Raises Refused when the number is another upload's, or a later attempt has been seen."""
        with self._lock:
            self._admit(header, self._row(header.origin, header.request_number))

    def save_all(self, drafts: list[Draft]) -> list[pb.SaveSaved | Refused]:
        """Stores files, and returns once all of them survive a crash. One flush of index and folder serves them all."""
        # Together, so that the file system can write them in one go.
        list(self._flushers.map(lambda draft: _flush(draft.fd), drafts))
        outcomes: list[pb.SaveSaved | Refused] = []
        links: list[tuple[Path, str]] = []
        with self._lock:
            self._index.execute("BEGIN")
            try:
                taken: set[str] = set()
                for draft in drafts:
                    try:
                        saved = self._decide(draft, taken)
                        if not saved.duplicate:
                            links.append((draft.path, saved.stored_name))
                        outcomes.append(saved)
                    except Refused as refused:
                        outcomes.append(refused)
                self._index.execute("COMMIT")
            except BaseException:
                if self._index.in_transaction:
                    self._index.execute("ROLLBACK")
                raise
            for path, name in links:
                os.link(path, self.folder / name)
            if links:
                _flush_folder(self.folder)
        return outcomes

    def stat(self, origin: str, number: int) -> pb.StoredFile | None:
        with self._lock:
            row = self._row(origin, number)
            if not row or not self._is_held(row):
                return None
            stats = pb.TextStats.FromString(row["stats"]) if row["stats"] is not None else None
            file = pb.StoredFile(
                upload_id=row["upload_id"],
                stored_name=row["stored_name"],
                size_bytes=row["size_bytes"],
                sha256=row["sha256"],
                term=int(row["term"]),
                attempt=row["attempt"],
                text_stats=stats,
            )
            file.stored_at.FromNanoseconds(int(row["stored_at"] * 1e9))
            return file

    def discard(self, request: pb.DiscardRequest) -> bool:
        """Removes a file, durably. Raises PermissionError when it belongs to another upload or a later attempt."""
        with self._lock:
            row = self._row(request.origin, request.request_number)
            fence = (request.term, request.attempt)
            if row and row["upload_id"] != request.upload_id.lower():
                raise PermissionError("the request number belongs to another upload")
            if row and _fence(row) > fence:
                if row["discarded"]:
                    return False
                raise PermissionError("the file belongs to a later attempt")
            held = row is not None and self._is_held(row)
            self._index.execute(
                "INSERT INTO files (origin, number, upload_id, fence_term, fence_attempt, discarded) VALUES (?,?,?,?,?,1) "
                "ON CONFLICT DO UPDATE SET fence_term = excluded.fence_term, fence_attempt = excluded.fence_attempt, discarded = 1",
                (request.origin, str(request.request_number), request.upload_id.lower(), str(fence[0]), fence[1]),
            )
            self._finish_discards()
            return held

    def count(self) -> int:
        with self._lock:
            return self._index.execute("SELECT COUNT(*) FROM files WHERE NOT discarded").fetchone()[0]

    def _admit(self, header: pb.SaveHeader, row: sqlite3.Row | None) -> None:
        key = (header.origin, header.request_number)
        fence = (header.term, header.attempt)
        if row and not row["discarded"] and row["upload_id"] != header.upload_id.lower() and self._is_held(row):
            raise Refused(pb.REFUSE_REASON_NUMBER_TAKEN, "the request number belongs to another upload")
        seen = max(_fence(row) if row else (0, 0), self._seen.get(key, (0, 0)))
        if fence < seen or (row and row["discarded"] and fence <= _fence(row)):
            raise Refused(pb.REFUSE_REASON_STALE_ATTEMPT, f"(term, attempt) {seen} has been seen; {fence} came")
        self._seen[key] = fence
        self._seen.move_to_end(key)
        if len(self._seen) > _SEEN_LIMIT:
            self._seen.popitem(last=False)

    def _decide(self, draft: Draft, taken: set[str]) -> pb.SaveSaved:
        """Enters a file into the index, or finds it there. `taken`: names that files of the same batch get."""
        header = draft.header
        row = self._row(header.origin, header.request_number)
        self._admit(header, row)
        identity = (header.origin, str(header.request_number))
        if row and not row["discarded"] and (row["stored_name"] in taken or self._is_held(row)):
            if row["sha256"] != draft.sha256:
                raise Refused(pb.REFUSE_REASON_DIGEST_MISMATCH, "other bytes are stored for this upload")
            self._index.execute(
                "UPDATE files SET fence_term = ?, fence_attempt = ? WHERE origin = ? AND number = ?",
                (str(header.term), header.attempt, *identity),
            )
            name, duplicate = row["stored_name"], True
        else:
            name, duplicate = self._free_name(header), False
            taken.add(name)
            self._index.execute(
                "INSERT OR REPLACE INTO files VALUES (?,?,?,?,?,?,?,?,?,?,?,?,0)",
                (*identity, header.upload_id.lower(), name, draft.size_bytes, draft.sha256, time.time(),
                 draft.stats.SerializeToString() if draft.stats else None,
                 str(header.term), header.attempt, str(header.term), header.attempt),
            )  # fmt: skip
        self._seen.pop((header.origin, header.request_number), None)
        return pb.SaveSaved(
            stored_name=name,
            size_bytes=draft.size_bytes,
            sha256=draft.sha256,
            duplicate=duplicate,
            text_stats=draft.stats,
        )

    def _free_name(self, header: pb.SaveHeader) -> str:
        plain = f"{header.request_number}_{header.name}"
        stem, extension = os.path.splitext(plain)
        for name in (plain, f"{stem}~{header.origin[:8]}{extension}"):
            other = self._index.execute(
                "SELECT 1 FROM files WHERE stored_name = ? AND NOT (origin = ? AND number = ?)",
                (name, header.origin, str(header.request_number)),
            ).fetchone()
            if not other and not os.path.lexists(self.folder / name):
                return name
        raise Refused(pb.REFUSE_REASON_INTERNAL, "both names for this file are taken")

    def _is_held(self, row: sqlite3.Row) -> bool:
        if row["discarded"]:
            return False
        try:
            return os.lstat(self.folder / row["stored_name"]).st_size == row["size_bytes"]
        except FileNotFoundError:
            return False

    def _row(self, origin: str, number: int) -> sqlite3.Row | None:
        query = "SELECT * FROM files WHERE origin = ? AND number = ?"
        return self._index.execute(query, (origin, str(number))).fetchone()

    def _finish_discards(self) -> None:
        """Removes the files of discarded entries, also those that a crash left; only then their names are free again."""
        query = "SELECT stored_name FROM files WHERE discarded AND stored_name IS NOT NULL"
        names = [row["stored_name"] for row in self._index.execute(query)]
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
        if names:
            _flush_folder(self.folder)
            self._index.execute("UPDATE files SET stored_name = NULL WHERE discarded AND stored_name IS NOT NULL")


def _fence(row: sqlite3.Row) -> Fence:
    return int(row["fence_term"]), row["fence_attempt"]


def _flush(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        # After a failed flush nobody knows what is on the disk: only a new process may go on.
        print(f"flush failed: {error}", flush=True)
        os._exit(1)


def _flush_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _flush(fd)
    finally:
        os.close(fd)
