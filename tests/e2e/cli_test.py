"""hearthd inspect, hearthd tokenize, --help and --version."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import unittest

from daemon import HEARTHD, SHARED, SOURCE, TINY, TestCase, run


class Help(TestCase):

    def test_C15_help_and_version_everywhere(self):
        for command in ([], ["serve"], ["inspect"], ["tokenize"]):
            shown = run(*command, "--help")
            self.assertEqual((shown.returncode, shown.stderr), (0, ""), command)
            self.assertIn("--version", shown.stdout)
            version = run(*command, "--version")
            self.assertEqual((version.returncode, version.stderr), (0, ""), command)
            self.assertRegex(version.stdout, r"^hearthd \d+\.\d+\.\d+\n$")

    def test_help_names_every_flag_of_the_manual(self):
        text = run("serve", "--help").stdout
        for flag in ("--model", "--config", "--http", "--grpc", "--threads", "--kv-tokens",
                     "--kv-type", "--max-context", "--memory-limit", "--check-config", "--model-id",
                     "--isa", "--key-file"):
            self.assertIn(flag, text)


class Inspect(TestCase):

    def test_json(self):
        result = run("inspect", TINY, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        listing = json.loads(result.stdout)
        self.assertIn("GGUF", listing["format"])
        keys = {entry["key"]: entry for entry in listing["metadata"]}
        self.assertEqual(keys["general.architecture"]["value"].strip('"'), "phi3")
        names = [tensor["name"] for tensor in listing["tensors"]]
        self.assertIn("token_embd.weight", names)
        size = TINY.stat().st_size
        for tensor in listing["tensors"]:
            self.assertLessEqual(tensor["offset"] + tensor["bytes"], size)

    def test_table(self):
        result = run("inspect", TINY)
        self.assertEqual(result.returncode, 0)
        lines = result.stdout.splitlines()
        head = next(line for line in lines if line.startswith("TENSOR"))
        rows = lines[lines.index(head) + 1:]
        column = head.index("TYPE")
        self.assertGreater(len(rows), 3)
        for row in rows:
            self.assertEqual(row[column - 1], " ", row)
            self.assertNotEqual(row[column], " ", row)

    def test_terminal_lines_fit(self):
        primary, secondary = pty.openpty()
        fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        process = subprocess.Popen([HEARTHD, "inspect", str(TINY)], stdout=secondary,
                                   stdin=subprocess.DEVNULL)
        os.close(secondary)
        shown = b""
        try:
            while chunk := os.read(primary, 65536):
                shown += chunk
        except OSError:
            pass  # the other end has closed
        self.assertEqual(process.wait(), 0)
        os.close(primary)
        lines = shown.decode().splitlines()
        self.assertGreater(len(lines), 10)
        self.assertLessEqual(max(map(len, lines)), 60)

    def test_hostile_names_do_not_reach_the_terminal(self):
        data = TINY.read_bytes().replace(b"general.name", b"general.\x1b[1m", 1)
        path = self.folder / "hostile.gguf"
        path.write_bytes(data)
        self.assertNotIn("\x1b", run("inspect", path).stdout)

    def test_bad_files(self):
        self.assertEqual(run("inspect", "/nowhere").returncode, 66)
        self.assertEqual(run("inspect", "/dev/zero").returncode, 66)
        text = run("inspect", SOURCE / "CMakeLists.txt")
        self.assertEqual(text.returncode, 65)
        self.assertEqual(len(text.stderr.splitlines()), 1, text.stderr)

    def test_nobody_reads(self):
        with open("/dev/full", "w") as full:
            process = subprocess.run([HEARTHD, "inspect", str(TINY)], stdout=full,
                                     stderr=subprocess.DEVNULL, timeout=60, check=False)
        self.assertEqual(process.returncode, 71)


class Tokenize(TestCase):

    def test_plain_and_json_agree(self):
        text = "Hello, world!\n  Zwölf Boxkämpfer 世界 😀"
        plain = run("tokenize", "--model", TINY, stdin=text)
        self.assertEqual(plain.returncode, 0, plain.stderr)
        ids = json.loads(run("tokenize", "--model", TINY, "--json", stdin=text).stdout)["ids"]
        self.assertEqual([int(word) for word in plain.stdout.split()], ids)
        self.assertTrue(ids)

    def test_empty(self):
        result = run("tokenize", "--model", TINY, "--json")
        self.assertEqual(json.loads(result.stdout), {"ids": []})

    def test_bad_model(self):
        self.assertEqual(run("tokenize", "--model", "/nowhere").returncode, 66)
        self.assertEqual(run("tokenize", "--model", SOURCE / "CMakeLists.txt").returncode, 65)

    @unittest.skipUnless((SHARED / "tokenizers").exists(), f"{SHARED} is absent")
    def test_vocabulary_only_file(self):
        vocabulary = SHARED / "tokenizers/phi-4-mini.vocab-only.gguf"
        cases = (SHARED / "golden/phi4mini_tokens.jsonl").read_text(encoding="utf-8")
        checked = 0
        for line in cases.splitlines():
            case = json.loads(line)
            if not isinstance(case.get("text"), str) or "ids_no_special" not in case:
                continue
            result = run("tokenize", "--model", vocabulary, "--json", stdin=case["text"])
            self.assertEqual(json.loads(result.stdout)["ids"], case["ids_no_special"], case["text"])
            checked += 1
            if checked == 5:
                break
        self.assertGreater(checked, 0)

