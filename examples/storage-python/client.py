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


def parts(upload_id: str, path: str):
    yield UploadPart(header=UploadHeader(upload_id=upload_id, name=os.path.basename(path), kind=KIND_BINARY))
    offset = 0
    with open(path, "rb") as file:
        while data := file.read(256 * 1024):
            yield UploadPart(offset=offset, data=data, crc32c=google_crc32c.value(data))
            offset += len(data)
    yield UploadPart(offset=offset, finish=Finish(size_bytes=offset))


pending = {str(uuid.uuid4()): path for path in sys.argv[2:]}
rejected: list[str] = []
with grpc.insecure_channel(sys.argv[1]) as channel:
    balancer = balancer_pb2_grpc.BalancerStub(channel)
    for wait_seconds in (1, 2, 4, 8, 0):
        files = list(pending.items())  # The same ids again after a break: nothing is stored twice.
        try:
            for response in balancer.UploadFile(UploadFileRequest(parts=[part]) for file in files for part in parts(*file)):
                for event in response.events:
                    if event.HasField("stored"):
                        print(f"{pending.pop(event.upload_id)}: stored on {event.stored.receipt.server}")
                    elif event.HasField("rejected") and not event.rejected.retryable:
                        rejected.append(pending.pop(event.upload_id))
                        print(f"{rejected[-1]}: {event.rejected.message}", file=sys.stderr)
        except grpc.RpcError as error:
            print(error.details(), file=sys.stderr)
        if not pending:
            break
        time.sleep(wait_seconds)
sys.exit(1 if pending or rejected else 0)
