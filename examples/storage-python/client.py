"""Sends files to a Bilancia balancer: client.py HOST:PORT FILE..."""

import os
import sys
import time
import uuid

import google_crc32c
import grpc

from bilancia.v1 import balancer_pb2_grpc
from bilancia.v1.balancer_pb2 import UploadFileRequest, UploadHeader, UploadPart
from bilancia.v1.storage_pb2 import KIND_BINARY, Finish


def messages(upload_id: str, file):
    name = os.path.basename(file.name)
    part = UploadPart(header=UploadHeader(upload_id=upload_id, name=name, kind=KIND_BINARY))
    while data := file.read(256 * 1024):
        part.data, part.crc32c = data, google_crc32c.value(data)
        yield UploadFileRequest(parts=[part])
        part = UploadPart(offset=file.tell())
    part.finish.CopyFrom(Finish(size_bytes=file.tell()))
    yield UploadFileRequest(parts=[part])


def upload(balancer: balancer_pb2_grpc.BalancerStub, path: str) -> str:
    """Sends a file on a stream of its own, again where that is worth it, and says where it is."""
    upload_id = str(uuid.uuid4())  # The same for every try: nothing is stored twice.
    problem = "the stream ended without an answer"
    for wait_seconds in (1, 2, 4, 8, 0):
        try:
            with open(path, "rb") as file:
                for response in balancer.UploadFile(messages(upload_id, file)):
                    for event in response.events:
                        if event.HasField("stored"):
                            return f"stored on {event.stored.receipt.server}"
                        if event.HasField("rejected"):
                            problem = event.rejected.message
                            if not event.rejected.retryable:
                                sys.exit(f"{path}: {problem}")
        except grpc.RpcError as error:
            problem = error.details()
        except OSError as error:
            sys.exit(str(error))
        time.sleep(wait_seconds)
    sys.exit(f"{path}: {problem}")


if len(sys.argv) < 3:
    sys.exit(f"usage: {sys.argv[0]} HOST:PORT FILE...")
with grpc.insecure_channel(sys.argv[1]) as channel:
    for path in sys.argv[2:]:
        print(f"{path}: {upload(balancer_pb2_grpc.BalancerStub(channel), path)}")
