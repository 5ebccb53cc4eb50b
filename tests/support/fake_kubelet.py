"""A kubelet's pod-resources socket, served by grpcio, and unix sockets that misbehave."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# k8s.io/kubelet v0.37.2, pkg/apis/podresources/v1/api.proto: message → field → (number, type),
# where a type that ends in [] is repeated.
_PROTO: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "ListPodResourcesRequest": {},
    "ListPodResourcesResponse": {"pod_resources": (1, "PodResources[]")},
    "PodResources": {
        "name": (1, "string"),
        "namespace": (2, "string"),
        "containers": (3, "ContainerResources[]"),
        "cpu_ids": (4, "int64[]"),
        "memory": (5, "ContainerMemory[]"),
    },
    "ContainerResources": {
        "name": (1, "string"),
        "devices": (2, "ContainerDevices[]"),
        "cpu_ids": (3, "int64[]"),
        "memory": (4, "ContainerMemory[]"),
        "dynamic_resources": (5, "DynamicResource[]"),
    },
    "ContainerMemory": {
        "memory_type": (1, "string"),
        "size": (2, "uint64"),
        "topology": (3, "TopologyInfo"),
    },
    "ContainerDevices": {
        "resource_name": (1, "string"),
        "device_ids": (2, "string[]"),
        "topology": (3, "TopologyInfo"),
    },
    "TopologyInfo": {"nodes": (1, "NUMANode[]")},
    "NUMANode": {"ID": (1, "int64")},
    "DynamicResource": {
        "claim_name": (2, "string"),
        "claim_namespace": (3, "string"),
        "claim_resources": (4, "ClaimResource[]"),
    },
    "ClaimResource": {
        "cdi_devices": (1, "CDIDevice[]"),
        "driver_name": (2, "string"),
        "pool_name": (3, "string"),
        "device_name": (4, "string"),
        "share_id": (5, "string"),
    },
    "CDIDevice": {"name": (1, "string")},
}
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "int64": _Field.TYPE_INT64,
    "uint64": _Field.TYPE_UINT64,
}


def _messages() -> Mapping[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="api.proto", package="v1", syntax="proto3")
    for name, fields in _PROTO.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            base = kind.removesuffix("[]")
            declared = message.field.add(name=field, number=number)
            declared.label = _Field.LABEL_REPEATED if base != kind else _Field.LABEL_OPTIONAL
            declared.type = _SCALARS.get(base, _Field.TYPE_MESSAGE)
            if base not in _SCALARS:
                declared.type_name = f".v1.{base}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1.{name}"))
        for name in _PROTO
    }


MESSAGES = _messages()
Answer = MESSAGES["ListPodResourcesResponse"]


def pod(
    name: str,
    *device_ids: str,
    resource: str = "nvidia.com/gpu",
    namespace: str = "research",
    container: str = "main",
    claims: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A pod with one container: the fields of a PodResources."""
    devices = [{"resource_name": resource, "device_ids": device_ids}] if device_ids else []
    dynamic = [{"claim_name": "gpu", "claim_namespace": namespace, "claim_resources": claims}]
    return {
        "name": name,
        "namespace": namespace,
        "containers": [
            {
                "name": container,
                "devices": devices,
                "cpu_ids": [0, 1, 2**40],
                "memory": [{"memory_type": "memory", "size": 2**33}],
                "dynamic_resources": dynamic if claims else [],
            }
        ],
    }


class FakeKubelet:
    """Answers List with `pods`; refuses with `refusal` if it is set; waits for `may_answer`."""

    def __init__(self, path: Path, *pods: Mapping[str, Any]) -> None:
        self.pods: Sequence[Mapping[str, Any]] = pods
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = 0
        self._path = path
        self._server: Any = None

    def __enter__(self) -> FakeKubelet:
        """The socket appears in place of what was there, as the kubelet's does."""
        part = self._path.with_suffix(".part")
        methods = {
            "List": grpc.unary_unary_rpc_method_handler(
                self._list,
                request_deserializer=MESSAGES["ListPodResourcesRequest"].FromString,
                response_serializer=Answer.SerializeToString,
            )
        }
        handler = grpc.method_handlers_generic_handler("v1.PodResourcesLister", methods)
        unlimited = [("grpc.max_send_message_length", -1)]
        self._server = grpc.server(ThreadPoolExecutor(2), [handler], options=unlimited)
        self._server.add_insecure_port(f"unix:{part}")
        self._server.start()
        part.rename(self._path)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.may_answer.set()
        self._server.stop(0).wait()

    def _list(self, _: Any, context: Any) -> Any:
        self.asked += 1
        self.may_answer.wait()
        if self.refusal is not None:
            context.abort(*self.refusal)
        return Answer(pod_resources=self.pods)


@contextmanager
def short_folder() -> Iterator[Path]:
    """The path of a unix socket has at most 107 bytes: pytest's folders can be too deep."""
    with tempfile.TemporaryDirectory(prefix="kubelet-") as folder:
        yield Path(folder)


@contextmanager
def unix_server(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """A thread that gives every connection to `serve`, one after another, and then closes it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    serve(connection)
                except OSError:
                    continue  # the client went away

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        path.unlink()
