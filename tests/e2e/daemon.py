"""A real hearthd under test: started on free ports, talked to over HTTP and gRPC."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import grpc

from hearth.v1 import inference_pb2 as pb
from hearth.v1 import inference_pb2_grpc as rpc

HEARTHD = os.environ["HEARTHD"]
HEARTH = os.environ["HEARTH_CLI"]
MODELS = pathlib.Path(os.environ["HEARTH_MODELS"])
SOURCE = pathlib.Path(os.environ["HEARTH_SOURCE"])
SHARED = pathlib.Path(os.environ["HEARTH_SHARED_DATA"])
SANITIZED = bool(os.environ["HEARTH_SANITIZE"])  # slower by far, with memory of its own
TINY = MODELS / "tiny-f32.gguf"
SLOW = MODELS / "slow-f32.gguf"  # thousands of tokens take seconds

# Long enough for a sanitizer build on a busy machine; nothing waits for it to pass.
PATIENCE = 60


def run(*args, stdin="", env=None, timeout=PATIENCE):
    """hearthd with arguments, to its end."""
    return subprocess.run([HEARTHD, *map(str, args)], input=stdin, capture_output=True, text=True,
                          env=None if env is None else {**os.environ, **env}, timeout=timeout)


def wait_until(condition, what, patience=PATIENCE):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.02)


class Daemon:
    """Use as a context manager; leaving it stops the daemon and checks that it ended well."""

    def __init__(self, *args, model=TINY, env=None, listeners=True, ready=True, command=None,
                 pass_fds=()):
        flags = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"] if listeners else []
        argv = [HEARTHD, "serve", "--model", str(model), *flags, *map(str, args)]
        self.process = subprocess.Popen(
            command(argv) if command else argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})},
            pass_fds=pass_fds)
        self.out, self.err = [], []
        self.readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in
                        ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for reader in self.readers:
            reader.start()
        self.http = self.grpc = self.port = None
        if ready:
            try:
                self.wait_ready()
            except BaseException:
                self.process.kill()
                raise

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                self.finish()
                raise AssertionError(f"hearthd ended with {self.process.returncode}: {self.err}")
            return any(line.startswith("Try: ") for line in self.out)
        wait_until(ready, "the welcome")
        self.http = [m[1] for line in self.out if (m := re.match(r"  http    (.*)", line))]
        self.grpc = [m[1] for line in self.out if (m := re.match(r"  grpc    (.*)", line))]
        tcp = [name for name in self.http if name.startswith("http://")]
        self.port = int(tcp[0].rpartition(":")[2]) if tcp else None
        self.model = json.loads(self.get("/v1/models"))["data"][0]["id"] if tcp else None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            code = self.stop()
            if kind is None and code != 0:
                raise AssertionError(f"hearthd ended with {code}: {self.err}")

    def signal(self, number):
        self.process.send_signal(number)

    def finish(self, timeout=PATIENCE):
        """The exit code, once the process has ended."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        for reader in self.readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.finish()

    # HTTP

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        headers = dict(headers or {})
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def get(self, path):
        status, _, body = self.request("GET", path)
        if status != 200:
            raise AssertionError(f"GET {path}: {status} {body}")
        return body

    def post(self, path, body):
        status, _, text = self.request("POST", path, body)
        return status, json.loads(text)

    def complete(self, prompt="", **fields):
        """The reply of /v1/completions, which must be a 200."""
        status, reply = self.post("/v1/completions",
                                  {"model": self.model, "prompt": prompt, **fields})
        if status != 200:
            raise AssertionError(f"{status}: {reply}")
        return reply

    def stream(self, path, **fields):
        """The data of the events of a streamed reply, [DONE] included."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("POST", path, json.dumps({"model": self.model, "stream": True, **fields}),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise AssertionError(f"{response.status}: {response.read()}")
        try:
            for line in response:
                if line.startswith(b"data: "):
                    yield line[len(b"data: "):].decode().rstrip("\n")
        finally:
            connection.close()

    def metrics(self):
        """Sample name with labels to value."""
        samples = {}
        for line in self.get("/metrics").splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def wait_idle(self):
        """Until no request is queued or running and every KV block is free."""
        def idle():
            m = self.metrics()
            return (m["hearth_requests_queued"] == m["hearth_requests_running"] ==
                    m["hearth_kv_blocks_used"] == 0)
        wait_until(idle, "all blocks free")

    # gRPC

    def channel(self):
        return grpc.insecure_channel(self.grpc[0])

    def generate(self, text="", channel=None, **options):
        """All events of one Generate."""
        request = pb.GenerateRequest(text=text, options=pb.Options(**options))
        if channel is not None:
            return list(rpc.InferenceStub(channel).Generate(request, timeout=PATIENCE))
        with self.channel() as own:
            return list(rpc.InferenceStub(own).Generate(request, timeout=PATIENCE))


def text_of(events, index=0):
    return "".join(e.delta.text for e in events
                   if e.HasField("delta") and e.delta.index == index)


def tokens_of(events, index=0):
    return [token for e in events if e.HasField("delta") and e.delta.index == index
            for token in e.delta.tokens]


class Certificate:
    """A certificate for localhost and its key, in files."""

    def __init__(self, folder, name):
        self.file = folder / f"{name}.crt"
        self.key = folder / f"{name}.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", self.key, "-out", self.file, "-days", "1", "-subj", "/CN=hearth",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
            check=True, capture_output=True, timeout=PATIENCE)
        self.key.chmod(0o600)

    def flags(self):
        return "--tls-certificate", self.file, "--tls-private-key", self.key

    def credentials(self):
        return grpc.ssl_channel_credentials(self.file.read_bytes())


class TestCase(unittest.TestCase):
    """With a folder of its own for sockets and files."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hearth-e2e-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
