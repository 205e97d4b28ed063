"""What a header must be like, and what a text document is. The rules are those of storage.proto."""

import json
import re
import unicodedata

from bilancia.v1 import storage_pb2 as pb

SHA256_BYTES = 32
_ORIGIN = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE | re.DOTALL)
# Marks that reorder text on a screen (UAX #9), and the two line separators that are no control characters.
_REORDERING = frozenset("\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Refused(Exception):
    """A file is not stored, for a reason that its sender can read."""

    def __init__(self, reason: "pb.RefuseReason", message: str):
        super().__init__(message)
        self.reason = reason


def check_header(header: pb.SaveHeader) -> None:
    """Raises Refused for a header that breaks a rule."""
    problem = _header_problem(header)
    if problem:
        raise Refused(pb.REFUSE_REASON_INVALID_HEADER, problem)
    problem = _name_problem(header.name)
    if problem:
        raise Refused(pb.REFUSE_REASON_INVALID_NAME, f"the name {header.name[:60]!r} {problem}")


def check_identity(origin: str, request_number: int, upload_id: str) -> str | None:
    """Says what is wrong with the three that name a file, or None."""
    if not _ORIGIN.fullmatch(origin):
        return f"origin is {origin[:60]!r}; expected 32 lowercase hexadecimal digits"
    if request_number < 1:
        return f"request_number is {request_number}; expected a number from 1 on"
    if not _UUID.fullmatch(upload_id):
        return f"upload_id is {upload_id[:60]!r}; expected a UUID"
    return None


def _header_problem(header: pb.SaveHeader) -> str | None:
    problem = check_identity(header.origin, header.request_number, header.upload_id)
    if problem:
        return problem
    if header.attempt < 1:
        return f"attempt is {header.attempt}; expected a number from 1 on"
    if header.HasField("sha256") and len(header.sha256) != SHA256_BYTES:
        return f"sha256 has {len(header.sha256)} bytes; expected {SHA256_BYTES}"
    if len(header.content_type.encode()) > 128:
        return "content_type has more than 128 bytes"
    if header.kind not in pb.Kind.values():
        return f"kind is {header.kind}; expected KIND_TEXT_DOCUMENT (1) or KIND_BINARY (2)"
    if len(header.labels) > 16:
        return f"there are {len(header.labels)} labels; expected at most 16"
    for key, value in header.labels.items():
        if not 1 <= len(key.encode()) <= 64 or len(value.encode()) > 256:
            return f"the label {key[:60]!r} is too long; expected a key of 1 to 64 bytes and a value of at most 256"
    return None


def _name_problem(name: str) -> str | None:
    if not 1 <= len(name.encode()) <= 200:
        return f"has {len(name.encode())} bytes of UTF-8; expected 1 to 200"
    if "/" in name or "\\" in name:
        return "contains a path separator"
    if any(unicodedata.category(character) == "Cc" or character in _REORDERING for character in name):
        return "contains a control character or one that reorders text"
    if name[0] in ".-":
        return "begins with a dot or a hyphen"
    if _DEVICE.fullmatch(name):
        return "is a device name on Windows"
    if not unicodedata.is_normalized("NFC", name):
        return "is not in Unicode normal form C (NFC)"
    return None


def count_letters(data: bytes) -> pb.TextStats:
    """Counts what a text document's content has. Raises Refused when it is none."""
    try:
        document = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise _not_a_document(str(error)) from None
    if not isinstance(document, dict):
        raise _not_a_document("it is no JSON object")
    title = document.get("title", document.get("titolo"))
    content = document.get("content", document.get("contenuto"))
    if not isinstance(title, str) or not isinstance(content, str):
        raise _not_a_document("the strings 'title' and 'content' are not both there")
    return pb.TextStats(letters_a=content.count("a") + content.count("A"), characters=len(content))


def _not_a_document(why: str) -> Refused:
    return Refused(pb.REFUSE_REASON_NOT_A_TEXT_DOCUMENT, f"not a text document: {why}")
