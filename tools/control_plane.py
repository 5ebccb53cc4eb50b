"""A real Kubernetes control plane on loopback, for tests and demos.

    with ControlPlane() as cluster:
        cluster.add_nodes(8, gpus=8)
        cluster.kubectl("get", "nodes")
        cluster.request("GET", "/api/v1/nodes")     # (status, body)

etcd, kube-apiserver, kube-scheduler and kube-controller-manager are the real ones; kwok plays the
kubelets. Data, certificates, logs and kubeconfig live in a temporary folder that goes at the end.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.processes import Program, free_port
from tools.programs import PartMissing, cluster_programs, has_cluster

ADMIN = "admin"
SCHEDULER = "system:kube-scheduler"
CONTROLLERS = "system:kube-controller-manager"
MERGE_PATCH = "application/merge-patch+json"
STARTS = 2
FAKE_NODE = "kwok.x-k8s.io/node"  # annotation: kwok plays the kubelet of such a node


class ControlPlane:
    """etcd and kube-apiserver; kube-scheduler, kube-controller-manager and kwok."""

    def __init__(self, *, apiserver_arguments: tuple[str, ...] = (), timeout: float = 120) -> None:
        self.apiserver_arguments = apiserver_arguments
        self.timeout = timeout
        self.running: dict[str, Program] = {}

    # -- life -------------------------------------------------------------

    def __enter__(self) -> ControlPlane:
        if not has_cluster():
            raise PartMissing(
                "the control plane is not there: python -m tools.realparts kubernetes"
            )
        self.programs = cluster_programs()
        for attempt in range(STARTS):
            self.folder = Path(
                tempfile.mkdtemp(prefix="kcp-")
            )  # short: a socket path is <108 bytes
            try:
                self._start()
            except RuntimeError:  # another process may have taken the port that was free just now
                self.stop()
                if attempt == STARTS - 1:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                break
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill what was started; nothing outlives it, so nothing need be flushed."""
        for program in self.running.values():
            program.process.kill()
        for program in self.running.values():
            program.stop()
        self.running.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        self.url = f"https://127.0.0.1:{free_port()}"
        self.ca_file = self.folder / "ca.crt"
        self.tokens = {user: secrets.token_hex(16) for user in (ADMIN, SCHEDULER, CONTROLLERS)}
        self.token = self.tokens[ADMIN]
        self.kubeconfig = self.write_kubeconfig("admin", self.token)
        self._start_etcd()
        self._start_apiserver()
        self._start_clients()
        account = "/api/v1/namespaces/default/serviceaccounts/default"  # pods are refused before
        controllers = self.running["kube-controller-manager"]
        controllers.wait_until(lambda: self.request("GET", account)[0] == 200, self.timeout)

    def _start_etcd(self) -> None:
        store, peer = f"unix://{self.folder}/etcd.sock", f"unix://{self.folder}/peer.sock"
        self._spawn(
            "etcd",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ).wait_until((self.folder / "etcd.sock").exists, self.timeout)

    def _start_apiserver(self) -> None:
        pki = self.folder / "pki"  # the API server makes itself a certificate and a key here
        self.key = pki / "apiserver.key"  # which also signs service account tokens
        users = self.folder / "tokens.csv"
        users.write_text(
            "".join(
                f'{token},{user},{user},"{"system:masters" if user == ADMIN else ""}"\n'
                for user, token in self.tokens.items()
            )
        )
        apiserver = self._spawn(
            "kube-apiserver",
            f"--etcd-servers=unix://{self.folder}/etcd.sock",
            f"--secure-port={self.url.rpartition(':')[2]}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # a loopback address is no valid endpoint
            f"--cert-dir={pki}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            f"--token-auth-file={users}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={self.key}",
            f"--service-account-key-file={self.key}",
            *self.apiserver_arguments,
        )
        apiserver.wait_until(self.key.exists, self.timeout)  # after the certificate and its CA
        _, _, ca = (pki / "apiserver.crt").read_text().rpartition("-----BEGIN CERTIFICATE-----")
        self.ca_file.write_text("-----BEGIN CERTIFICATE-----" + ca)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.ca_file)),
        )
        apiserver.wait_until(self._ready, self.timeout)

    def _start_clients(self) -> None:
        brisk = ("--kube-api-qps=1000", "--kube-api-burst=1000")  # the defaults start 5 s late
        quiet = ("--leader-elect=false", "--secure-port=0", *brisk)
        scheduler = self.write_kubeconfig("scheduler", self.tokens[SCHEDULER])
        controllers = self.write_kubeconfig("controllers", self.tokens[CONTROLLERS])
        self._spawn("kube-scheduler", f"--kubeconfig={scheduler}", *quiet)
        self._spawn(
            "kube-controller-manager",
            f"--kubeconfig={controllers}",
            *quiet,
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self.key}",
            f"--root-ca-file={self.ca_file}",  # the CA alone: with the leaf in it, it never starts
        )
        self._spawn(
            "kwok",
            f"--kubeconfig={self.kubeconfig}",
            f"--config={self.programs['kwok-stages.yaml']}",
            f"--manage-nodes-with-annotation-selector={FAKE_NODE}=fake",
            "--node-lease-duration-seconds=40",
            "--node-ip=127.0.0.1",
        )

    def _spawn(self, name: str, *arguments: str) -> Program:
        program = Program(
            [self.programs[name], *arguments],
            self.folder / f"{name}.log",
            environment={"HOME": str(self.folder), "CONTROL_PLANE_LIFELINE": "stdin"},
            folder=self.folder,
            lifeline=True,
        )
        self.running[name] = program
        return program

    def _ready(self) -> bool:
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:  # not listening yet
            return False

    def restart_apiserver(self) -> None:
        """Kill the API server and start it again where it was; what it stored is there."""
        with self.outage():
            pass

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """No API server inside the block; afterwards it is where it was, with what it stored."""
        self.running["kube-apiserver"].stop()
        try:
            yield
        finally:
            self._start_apiserver()

    # -- use --------------------------------------------------------------

    def write_kubeconfig(self, name: str, token: str, *, server: str | None = None) -> Path:
        """A kubeconfig for whoever holds the token (JSON, which is YAML)."""
        path = self.folder / f"{name}.kubeconfig"
        cluster: dict[str, object] = {"server": server or self.url}
        if (server or self.url).startswith("https"):
            cluster["certificate-authority"] = str(self.ca_file)
        else:  # without TLS: a client need not read every CA there is, which takes it 0.2 s
            cluster["insecure-skip-tls-verify"] = True
        body = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "current-context": "test",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(body))
        return path

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        token: str | None = None,
    ) -> tuple[int, Any]:
        """One API call: its status and its body, an error's too."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {token or self.token}",
                "Content-Type": content_type,
            },
        )
        try:
            with self._opener.open(request, timeout=30) as response:
                status, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()

    def kubectl(
        self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.programs["kubectl"]), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={"KUBECONFIG": str(kubeconfig or self.kubeconfig), "HOME": str(self.folder)},
        )

    def add_node(
        self,
        name: str,
        *,
        gpus: int = 0,
        labels: Mapping[str, str] | None = None,
        extended: Mapping[str, int] | None = None,
    ) -> None:
        """A fake node with room; kwok keeps it Ready. `extended` are other resources by name."""
        room = {"cpu": "192", "memory": "2048Gi", "pods": "110"}
        if gpus:
            room["nvidia.com/gpu"] = str(gpus)
        room |= {resource: str(amount) for resource, amount in (extended or {}).items()}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {"kubernetes.io/hostname": name, **(labels or {})},
                "annotations": {FAKE_NODE: "fake"},
            },
            "status": {"capacity": room, "allocatable": room},
        }
        self.must("POST", "/api/v1/nodes", node)

    def add_nodes(
        self,
        count: int,
        *,
        gpus: int = 0,
        labels: Mapping[str, str] | None = None,
        prefix: str = "node",
    ) -> list[str]:
        names = [f"{prefix}-{number}" for number in range(count)]
        for name in names:
            self.add_node(name, gpus=gpus, labels=labels)
        return names

    def must(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """The body of a call that has to succeed. Raises RuntimeError with the server's words."""
        status, answer = self.request(method, path, body, **options)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer}")
        return answer
