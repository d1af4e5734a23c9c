"""What keeps the daemon from starting: one line that says why, and the right exit code."""

import json
import os
import unittest

from daemon import SHARED, SOURCE, TINY, Certificate, Daemon, TestCase, run

VOCABULARY = SHARED / "tokenizers/phi-4-mini.vocab-only.gguf"


class Refusal(TestCase):

    def refused(self, code, *words, args=(), model=TINY, listeners=True, **kw):
        """Runs serve, expects the exit code and one line on stderr with all the words."""
        flags = ("--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0") if listeners else ()
        result = run("serve", "--model", model, *flags, *args, **kw)
        self.assertEqual(result.returncode, code, result.stderr)
        lines = [line for line in result.stderr.splitlines() if line.startswith("hearthd: ")]
        self.assertEqual(len(lines), 1, result.stderr)
        for word in words:
            self.assertIn(word, lines[0])
        self.assertNotIn("ready", result.stdout)

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return path

    def test_M1_paths(self):
        self.refused(66, "missing.gguf", model=self.folder / "missing.gguf")
        self.refused(66, str(self.folder), model=self.folder)
        self.refused(66, "/dev/zero", model="/dev/zero")
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        self.refused(66, "fifo", model=fifo)

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_M1_permission(self):
        path = self.file("secret.gguf", b"GGUF")
        path.chmod(0)
        self.refused(77, "secret.gguf", model=path)

    def test_M2_M3_stubs_of_files(self):
        good = TINY.read_bytes()
        for name, content in {"empty": b"", "three": b"GGU", "four": b"GGUF",
                              "header": good[:23], "magic": b"FUGG" + good[4:],
                              "version": good[:4] + b"\x04\0\0\0" + good[8:]}.items():
            self.refused(65, name, model=self.file(f"{name}.gguf", content))

    def test_M16_truncated(self):
        good = TINY.read_bytes()
        self.refused(65, "cut.gguf", "offset", model=self.file("cut.gguf", good[:-1000]))

    def test_M25_memory(self):
        self.refused(75, "weights", args=("--memory-limit", 1000000))

    def test_C1_C2_C3_config_files(self):
        self.refused(78, "nowhere.json", args=("--config", self.folder / "nowhere.json"))
        bad = self.file("bad.json", b'{"model": }')
        self.refused(78, "bad.json:1:11", args=("--config", bad))
        unknown = self.file("unknown.json", b'{"engine": {"thread": 1}}')
        self.refused(78, "unknown.json:1:13", '"threads"', args=("--config", unknown))

    def test_C7_open_to_the_network(self):
        self.refused(78, "0.0.0.0:0", "auth.key_file", listeners=False,
                     args=("--http", "0.0.0.0:0", "--grpc", "127.0.0.1:0"))

    def test_C8_C20_keys(self):
        keys = self.file("keys", b"secret\n")
        keys.chmod(0o644)
        self.refused(78, "keys", "0644", args=("--key-file", keys))
        self.refused(78, "none", args=("--key-file", self.folder / "none"))

    def test_C10_values_of_flags(self):
        self.refused(78, "engine.threads: 10000", args=("--threads", 10000))
        self.refused(78, "engine.max_context", args=("--kv-tokens", 64, "--max-context", 128))

    def test_C15_usage(self):
        for args in (["serve", "--unknown"], ["serve", "--model"], ["serve", "--threads", "abc"],
                     ["serve", "--threads", "0"], ["serve", "--threads", "99999999999"],
                     ["serve", "--threads", "1", "--threads", "2"], ["serve", "--kv-type", "f64"],
                     ["serve", "--memory-limit", "3GB"], ["serve"], ["serve", "stray"], [],
                     ["bogus"], ["inspect"], ["tokenize"], ["serve", "--http"]):
            result = run(*args)
            self.assertEqual(result.returncode, 64, (args, result.stderr))
            self.assertTrue(result.stderr, args)
            self.assertEqual(result.stdout, "", args)

    def test_C17_check_config(self):
        keys = self.file("keys", b"secret\n")
        keys.chmod(0o600)
        files = sorted((SOURCE / "config").rglob("*.json"))
        self.assertGreater(len(files), 3)
        certificate = Certificate(self.folder, "server")
        for path in files:
            named = json.loads(path.read_text())  # only its unit has the files it names
            flags = ("--key-file", keys) if "auth" in named else ()
            flags += certificate.flags() if "tls" in named else ()
            result = run("serve", "--check-config", "--config", path, *flags)
            self.assertEqual(result.returncode, 0, result.stderr)
        bad = self.file("bad.json", json.dumps(
            {"modle": 1, "engine": {"threads": -1}}).encode())
        result = run("serve", "--check-config", "--config", bad)
        self.assertEqual(result.returncode, 78)
        self.assertEqual(len(result.stderr.splitlines()), 2, result.stderr)

    def test_C16_flags_beat_the_file(self):
        """And the file beats the environment."""
        path = self.file("c.json", json.dumps(
            {"model": "/nowhere", "model_id": "file", "engine": {"isa": "scalar", "threads": 1},
             "listen": {"http": ["127.0.0.1:1"]}}).encode())
        with Daemon("--config", path, "--model-id", "flag", env={"HEARTH_ISA": "bogus"}) as daemon:
            self.assertEqual(daemon.model, "flag")
            self.assertTrue(any("scalar" in line for line in daemon.out), daemon.out)
            self.assertEqual(len(daemon.http), 1)

    def test_unknown_isa(self):
        result = run("serve", "--model", TINY, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0",
                     "--isa", "sse9")
        self.assertEqual(result.returncode, 78, result.stderr)
        self.assertIn("sse9", result.stderr)

    def test_C18_activation(self):
        result = run("serve", "--model", TINY, env={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
        self.assertEqual(result.returncode, 71, result.stderr)
        self.assertIn("LISTEN_PID", result.stderr)

    @unittest.skipUnless(VOCABULARY.exists(), f"{VOCABULARY} is absent")
    def test_vocabulary_is_no_model(self):
        self.refused(65, VOCABULARY.name, model=VOCABULARY)
