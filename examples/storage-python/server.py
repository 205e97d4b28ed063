"""A storage server for Bilancia. See README.md."""

import argparse
import asyncio
import shutil
import signal
import uuid
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from bilancia.v1 import storage_pb2 as pb
from bilancia.v1 import storage_pb2_grpc
from file_store import FileStore
from headers import check_identity
from load import Load
from save_session import ProtocolViolation, SaveSession

ANY_UPLOAD = "00000000-0000-0000-0000-000000000000"
GRACE_SECONDS = 5


class StorageServicer(storage_pb2_grpc.StorageServicer):
    """`bilancia.v1.Storage` without `WatchLoad`, which the generated class answers with UNIMPLEMENTED."""

    def __init__(self, store: FileStore, load: Load, name: str):
        self._store = store
        self._load = load
        self._name = name
        self._instance_id = str(uuid.uuid4())

    async def Save(self, requests, context):
        session = SaveSession(self._store, self._load)
        try:
            async for request in requests:
                try:
                    results, violation = await asyncio.to_thread(session.take, request), None
                except ProtocolViolation as problem:
                    results, violation = problem.results, problem
                if results:
                    yield pb.SaveResponse(results=results, overloaded=self._load.overloaded)
                if violation:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(violation))
        finally:
            # Not awaited: this task may have been cancelled, while `take` is still at work in its thread.
            asyncio.get_running_loop().run_in_executor(None, session.drop)

    async def Load(self, request, context):
        disk = shutil.disk_usage(self._store.folder)
        return pb.LoadResponse(
            overloaded=self._load.overloaded,
            causes=[pb.OVERLOAD_CAUSE_IN_FLIGHT_FILES] if self._load.overloaded else [],
            in_flight_files=self._load.files,
            free_disk_bytes=disk.free,
            total_disk_bytes=disk.total,
            capabilities=[pb.CAPABILITY_STAT, pb.CAPABILITY_DISCARD],
            instance_id=self._instance_id,
            server_name=self._name,
        )

    async def Stat(self, request, context):
        problem = check_identity(request.origin, request.request_number, ANY_UPLOAD)
        if problem:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        file = await asyncio.to_thread(self._store.stat, request.origin, request.request_number)
        return pb.StatResponse(holding=pb.HOLDING_STORED if file else pb.HOLDING_NONE, file=file)

    async def Discard(self, request, context):
        problem = check_identity(request.origin, request.request_number, request.upload_id)
        if problem:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        try:
            return pb.DiscardResponse(discarded=await asyncio.to_thread(self._store.discard, request))
        except PermissionError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))


async def serve(options: argparse.Namespace) -> None:
    store = FileStore(options.dir)
    load = Load(options.overload_files, options.busy_files)
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 1024 * 1024), ("grpc.so_reuseport", 0)])
    storage_pb2_grpc.add_StorageServicer_to_server(StorageServicer(store, load, options.name), server)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    for service in ("", "bilancia.v1.Storage"):
        await health_servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    port = server.add_insecure_port(options.listen)
    await server.start()
    print(f"listening on {options.listen.rpartition(':')[0]}:{port}", flush=True)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()
    await health_servicer.enter_graceful_shutdown()
    await server.stop(GRACE_SECONDS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--listen", default="127.0.0.1:50061", help="host:port")
    parser.add_argument("--dir", type=Path, default=Path("data"), help="where files come to lie")
    parser.add_argument("--name", default="storage-python", help="its name, for people")
    parser.add_argument("--overload-files", type=int, default=1000, help="files in progress that make it overloaded")
    parser.add_argument("--busy-files", type=int, default=2000, help="files in progress from which on it answers busy")
    asyncio.run(serve(parser.parse_args()))
