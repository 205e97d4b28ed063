"""One `Save` stream: tells its parts apart and gives whole files to the store."""

import errno
import hashlib
import os
import threading

import google_crc32c

from bilancia.v1 import storage_pb2 as pb
from file_store import Draft, FileStore
from headers import SHA256_BYTES, Refused, check_header, count_letters
from load import Load

MAX_PART_BYTES = 256 * 1024
MAX_PARTS = 64
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024


class ProtocolViolation(Exception):
    """The sender does not keep to the contract: `results` are the last answers, then the stream ends."""

    results: list[pb.SaveResult] = []


class _Incoming:
    """A file that is arriving."""

    def __init__(self, header: pb.SaveHeader, store: FileStore):
        self.header = header
        self.received = 0
        self.hash = hashlib.sha256()
        self.path, self.fd = store.open_temp()

    def take(self, part: pb.SavePart) -> None:
        if part.HasField("crc32c") and google_crc32c.value(part.data) != part.crc32c:
            raise Refused(pb.REFUSE_REASON_CHECKSUM_MISMATCH, f"the CRC-32C at offset {part.offset} differs")
        self.hash.update(part.data)
        self.received += len(part.data)
        data = memoryview(part.data)
        while data:
            data = data[os.write(self.fd, data) :]

    def finish(self, finish: pb.Finish) -> Draft:
        header, sha256 = self.header, self.hash.digest()
        if finish.HasField("sha256") and len(finish.sha256) != SHA256_BYTES:
            raise Refused(pb.REFUSE_REASON_INVALID_HEADER, "sha256 in finish is not of 32 bytes")
        for said in (header, finish):
            if said.HasField("size_bytes") and said.size_bytes != self.received:
                message = f"{self.received} bytes came; {said.size_bytes} were announced"
                raise Refused(pb.REFUSE_REASON_SIZE_MISMATCH, message)
            if said.HasField("sha256") and said.sha256 != sha256:
                raise Refused(pb.REFUSE_REASON_DIGEST_MISMATCH, f"SHA-256 is {sha256.hex()}; {said.sha256.hex()} was announced")
        stats = None
        if header.kind == pb.KIND_TEXT_DOCUMENT:
            if self.received > MAX_DOCUMENT_BYTES:
                raise Refused(pb.REFUSE_REASON_TOO_LARGE, f"a document is at most {MAX_DOCUMENT_BYTES} bytes")
            stats = count_letters(os.pread(self.fd, self.received, 0))
        return Draft(header, self.path, self.fd, self.received, sha256, stats)

    def drop(self) -> None:
        os.close(self.fd)
        self.path.unlink()


class SaveSession:
    """`take` and `drop` may be called from different threads."""

    def __init__(self, store: FileStore, load: Load):
        self._store = store
        self._load = load
        self._lock = threading.Lock()
        self._current: _Incoming | None = None
        # The file last begun has been answered: the rest of it is not looked at.
        self._skipping = False

    def take(self, request: pb.SaveRequest) -> list[pb.SaveResult]:
        """The answers to one message. Raises ProtocolViolation."""
        results: list[pb.SaveResult] = []
        whole: list[tuple[_Incoming, Draft]] = []
        with self._lock:
            try:
                if not 1 <= len(request.parts) <= MAX_PARTS:
                    raise ProtocolViolation(f"a message has {len(request.parts)} parts; expected 1 to {MAX_PARTS}")
                for part in request.parts:
                    self._take_part(part, whole, results)
            except ProtocolViolation as violation:
                violation.results = results + self._save(whole)
                raise
            return results + self._save(whole)

    def drop(self) -> None:
        """The stream has ended: a file that is not whole is forgotten."""
        with self._lock:
            self._drop_current()

    def _take_part(self, part: pb.SavePart, whole: list, results: list) -> None:
        if len(part.data) > MAX_PART_BYTES:
            raise ProtocolViolation(f"a part has {len(part.data)} bytes of data; expected at most {MAX_PART_BYTES}")
        if not part.HasField("header") and self._current is None:
            if self._skipping:
                return
            raise ProtocolViolation("data came before a header")
        if part.HasField("header") and self._current is not None:
            raise ProtocolViolation("a header came before the finish of the file before it")
        number = part.header.request_number if self._current is None else self._current.header.request_number
        expected = 0 if self._current is None else self._current.received
        if part.offset != expected:
            raise ProtocolViolation(f"a part has offset {part.offset}; expected {expected}")
        try:
            if self._current is None and not self._begin(part, results):
                return
            self._current.take(part)
            if part.HasField("finish"):
                whole.append((self._current, self._current.finish(part.finish)))
                self._current = None
            elif part.HasField("header"):
                results.append(pb.SaveResult(request_number=number, accept=pb.SaveAccept()))
        except (Refused, OSError) as problem:
            self._skipping = True
            self._drop_current()
            results.append(_refusal(number, problem))

    def _begin(self, part: pb.SavePart, results: list) -> bool:
        header = part.header
        self._skipping = False
        if not self._load.begin():
            self._skipping = True
            results.append(pb.SaveResult(request_number=header.request_number, busy=pb.SaveBusy()))
            return False
        try:
            check_header(header)
            self._store.begin(header)
            self._current = _Incoming(header, self._store)
        except BaseException:
            self._load.end()
            raise
        return True

    def _save(self, whole: list[tuple[_Incoming, Draft]]) -> list[pb.SaveResult]:
        try:
            outcomes = self._store.save_all([draft for _, draft in whole]) if whole else []
        finally:
            for incoming, _ in whole:
                incoming.drop()
                self._load.end()
        results = []
        for (incoming, _), outcome in zip(whole, outcomes):
            number = incoming.header.request_number
            if isinstance(outcome, Refused):
                results.append(_refusal(number, outcome))
            else:
                results.append(pb.SaveResult(request_number=number, saved=outcome))
        return results

    def _drop_current(self) -> None:
        if self._current is None:
            return
        self._current.drop()
        self._load.end()
        self._current = None


def _refusal(number: int, problem: Refused | OSError) -> pb.SaveResult:
    if isinstance(problem, Refused):
        refused = pb.SaveRefused(reason=problem.reason, message=str(problem))
    elif problem.errno in (errno.ENOSPC, errno.EDQUOT):
        refused = pb.SaveRefused(reason=pb.REFUSE_REASON_NO_SPACE, message="the disk is full")
    else:
        refused = pb.SaveRefused(reason=pb.REFUSE_REASON_INTERNAL, message="the file could not be written")
    return pb.SaveResult(request_number=number, refused=refused)
