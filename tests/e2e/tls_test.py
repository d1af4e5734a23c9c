"""TLS, and files read again at SIGHUP, as curl, openssl, Python and gRPC clients meet them."""

import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess

import grpc

from daemon import (HEARTH, PATIENCE, SLOW, TINY, Certificate, Daemon, TestCase, run, text_of,
                    wait_until)


class Tls(TestCase):

    def setUp(self):
        super().setUp()
        self.certificate = Certificate(self.folder, "server")

    def keys(self, text):
        path = self.folder / "keys"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def daemon(self, *args, http="tls:127.0.0.1:0", **kw):
        """Speaks TLS on both transports, and plain HTTP on a socket."""
        return Daemon("--http", http, "--http", f"unix:{self.folder / 'h'}", "--grpc",
                      "tls:127.0.0.1:0", *self.certificate.flags(), *args, listeners=False, **kw)

    def open(self, daemon, path, body=None, key=None, certificate=None):
        """The response to a request over TLS."""
        context = ssl.create_default_context(cafile=(certificate or self.certificate).file)
        connection = http.client.HTTPSConnection("127.0.0.1", int(daemon.http[0].split(":")[-1]),
                                                 context=context, timeout=PATIENCE)
        self.addCleanup(connection.close)
        self.connection = connection
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        connection.request("POST" if body else "GET", path, body, headers)
        return connection.getresponse()

    def curl(self, daemon, path, *args):
        return subprocess.run(
            ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE), *map(str, args),
             daemon.http[0] + path], capture_output=True, text=True, timeout=2 * PATIENCE)

    def running(self, daemon):
        """How many requests are computed, asked over the Unix socket."""
        text = subprocess.run(
            ["curl", "--silent", "--unix-socket", self.folder / "h", "http://localhost/metrics"],
            capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        return int(re.search(r"^hearth_requests_running (\d+)", text, re.M)[1])

    def test_curl(self):
        with self.daemon() as daemon:
            self.assertTrue(daemon.http[0].startswith("https://127.0.0.1:"))
            trusted = ("--cacert", self.certificate.file)
            self.assertEqual(self.curl(daemon, "/health", *trusted).stdout, '{"status":"ok"}')
            self.assertEqual(self.curl(daemon, "/health").returncode, 60)  # an unknown authority
            reply = self.curl(
                daemon, "/v1/completions", *trusted, "--no-buffer", "--json",
                json.dumps({"prompt": "Once", "max_tokens": 50, "stream": True}))
            self.assertEqual(reply.returncode, 0, reply.stderr)
            self.assertTrue(reply.stdout.endswith("data: [DONE]\n\n"), reply.stdout[-200:])

    def test_old_versions_are_refused(self):
        with self.daemon() as daemon:
            def client(*args):
                return subprocess.run(
                    ["openssl", "s_client", "-connect", daemon.http[0].removeprefix("https://"),
                     *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                    timeout=PATIENCE).stdout
            for version in ("-tls1_2", "-tls1_3"):
                self.assertRegex(client(version), r"Cipher is (ECDHE-|TLS_)\w+")
            for old in (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
                        ("-tls1_2", "-cipher", "AES128-SHA")):
                self.assertIn("Cipher is (NONE)", client(*old))

    def test_grpc(self):
        with self.daemon() as daemon:
            self.assertTrue(daemon.grpc[0].startswith("tls:127.0.0.1:"))
            address = daemon.grpc[0].removeprefix("tls:")
            with grpc.secure_channel(address, self.certificate.credentials()) as channel:
                over_tls = daemon.generate("Once", channel, max_tokens=50, sampling={"seed": 1})
            reply = json.load(self.open(daemon, "/v1/completions",
                                        {"prompt": "Once", "max_tokens": 50, "seed": 1}))
            self.assertEqual(text_of(over_tls), reply["choices"][0]["text"])
            with grpc.insecure_channel(address) as channel:
                with self.assertRaises(grpc.RpcError) as refused:
                    daemon.generate("Once", channel)
                self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_hearth(self):
        with self.daemon("--key-file", self.keys("sesame\n")) as daemon:
            def hearth(*args):
                return subprocess.run(
                    [HEARTH, "generate", "Once", "--max-tokens", "5", *map(str, args)],
                    stdin=subprocess.DEVNULL, capture_output=True, text=True,
                    env={**os.environ, "HEARTH_API_KEY": "sesame"}, timeout=PATIENCE)
            address = ("--address", daemon.grpc[0])
            trusted = ("--tls-ca", self.certificate.file)
            done = hearth(*address, *trusted)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertTrue(done.stdout)
            self.assertEqual(hearth(*address).returncode, 69)
            plain = hearth("--address", daemon.grpc[0].removeprefix("tls:"), *trusted)
            self.assertEqual(plain.returncode, 64)
            self.assertIn("tls:", plain.stderr)

    def test_clients_certificates(self):
        client = Certificate(self.folder, "client")
        config = self.folder / "c.json"
        config.write_text(json.dumps({"tls": {"client_ca_file": str(client.file)}}))
        # They are enough to serve the network.
        with self.daemon("--config", config, http="tls:0.0.0.0:0") as daemon:
            daemon.http[0] = daemon.http[0].replace("0.0.0.0", "127.0.0.1")
            trusted = ("--cacert", self.certificate.file)
            shown = self.curl(daemon, "/version", *trusted, "--cert", client.file, "--key",
                              client.key)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertIn("version", shown.stdout)
            self.assertNotEqual(self.curl(daemon, "/version", *trusted).returncode, 0)
            done = subprocess.run(
                [HEARTH, "models", "--address", daemon.grpc[0], "--tls-ca", self.certificate.file,
                 "--tls-certificate", client.file, "--tls-private-key", client.key],
                capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_F15_S1_a_client_that_leaves_frees_its_generation(self):
        with self.daemon(model=SLOW) as daemon:
            response = self.open(daemon, "/v1/completions",
                                 {"prompt": "go", "stream": True, "max_tokens": 4000,
                                  "temperature": 0})
            response.readline()
            self.assertEqual(self.running(daemon), 1)
            response.close()
            self.connection.close()
            wait_until(lambda: self.running(daemon) == 0, "the generation's end", 10)

    def test_F4_B15_sighup(self):
        keys = self.keys("old\n")
        with self.daemon("--key-file", keys, model=SLOW) as daemon:
            def words(text):
                wait_until(lambda: any("SIGHUP" in line and text in line for line in daemon.err),
                           text)
            stream = self.open(daemon, "/v1/completions",
                               {"prompt": "go", "stream": True, "max_tokens": 300,
                                "temperature": 0}, key="old")
            self.assertTrue(stream.readline().startswith(b"data: "))
            old = self.certificate
            self.certificate = Certificate(self.folder, "renewed")
            shutil.copy(self.certificate.file, old.file)
            shutil.copy(self.certificate.key, old.key)
            keys.write_text("new\n")
            daemon.signal(signal.SIGHUP)
            words("read keys and certificates again")
            self.assertEqual(self.open(daemon, "/v1/models", key="old").status, 401)
            self.assertEqual(self.open(daemon, "/v1/models", key="new").status, 200)
            self.assertTrue(stream.read().endswith(b"data: [DONE]\n\n"))
            # What is bad is told, and changes nothing.
            keys.write_text("# none\n")
            old.key.chmod(0o644)
            daemon.signal(signal.SIGHUP)
            words("holds no key")
            words("expected none for others")
            self.assertEqual(self.open(daemon, "/v1/models", key="new").status, 200)

    def test_C20_credentials_of_systemd(self):
        self.keys("sesame\n")
        config = self.folder / "c.json"
        config.write_text(json.dumps({
            "auth": {"key_file": "credential:keys"},
            "tls": {"certificate_file": "credential:server.crt",
                    "private_key_file": "credential:server.key"},
            "listen": {"http": ["tls:127.0.0.1:0"], "grpc": ["tls:127.0.0.1:0"]}}))
        with Daemon("--config", config, listeners=False,
                    env={"CREDENTIALS_DIRECTORY": str(self.folder)}) as daemon:
            self.assertEqual(self.open(daemon, "/v1/models", key="sesame").status, 200)
            self.assertEqual(self.open(daemon, "/v1/models").status, 401)
        result = run("serve", "--model", TINY, "--config", config)
        self.assertEqual(result.returncode, 78, result.stderr)
        self.assertIn("LoadCredential=keys:FILE", result.stderr)

    def test_keys_that_cross_the_network_unencrypted_are_warned_of(self):
        keys = self.keys("sesame\n")
        for http, warned in (("0.0.0.0:0", True), ("tls:0.0.0.0:0", False)):
            with self.daemon("--key-file", keys, http=http, ready=False) as daemon:
                wait_until(lambda: any(l.startswith("Try: ") for l in daemon.out), "the welcome")
                lines = [line for line in daemon.err if "unencrypted" in line]
                self.assertEqual(len(lines), warned, daemon.err)

    def test_what_keeps_it_from_starting(self):
        other = Certificate(self.folder, "other")
        exposed = Certificate(self.folder, "exposed")
        exposed.key.chmod(0o604)
        good = self.certificate
        for certificate, key, word in ((good.file, other.key, "is not the certificate's"),
                                       (exposed.file, exposed.key, "0604"),
                                       (good.file, self.folder / "none", "none"),
                                       (self.folder / "none", good.key, "none"),
                                       (good.key, good.key, "holds no PEM certificate")):
            for more in ((), ("--check-config",)):
                result = run("serve", "--model", TINY, "--http", "tls:127.0.0.1:0", "--grpc",
                             "127.0.0.1:0", "--tls-certificate", certificate, "--tls-private-key",
                             key, *more)
                self.assertEqual(result.returncode, 78, result.stderr)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                self.assertIn(word, result.stderr)
        result = run("serve", "--model", TINY, "--http", "tls:127.0.0.1:0")
        self.assertEqual(result.returncode, 78, result.stderr)
        self.assertIn("tls.certificate_file", result.stderr)
