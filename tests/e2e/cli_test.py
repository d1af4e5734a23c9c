"""hearthd inspect, hearthd tokenize, hearthd bench, --help and --version."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import unittest

import demo_model
from daemon import HEARTHD, SHARED, SOURCE, TINY, TestCase, run


class Help(TestCase):

    def test_C15_help_and_version_everywhere(self):
        for command in ([], ["serve"], ["inspect"], ["tokenize"], ["eval"], ["bench"]):
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
                     "--isa", "--key-file", "--tls-certificate", "--tls-private-key"):
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


class Bench(TestCase):
    """What is measured and how it is told; never how fast it was."""

    SIZES = ("--prompt", "33,64", "--gen", 4, "--streams", "1,2", "--depth", "0,40", "--repeat", 2)

    def bench(self, *args):
        result = run("bench", "--model", demo_model.PATH, *self.SIZES, *args)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_json(self):
        report = json.loads(self.bench("--json", "--threads", 1))
        self.assertEqual(report["model"]["architecture"], "phi3")
        self.assertEqual(report["model"]["weight_type"], "Q8_0")
        self.assertEqual(report["model"]["kv_type"], "int8")
        self.assertEqual(report["machine"]["threads"], 1)
        rows = report["rows"]
        self.assertEqual([row["test"] for row in rows],
                         2 * ["prefill"] + 4 * ["decode"] + 8 * ["mixed"])
        for row in rows:
            self.assertEqual(row["runs"], 2)
            self.assertIn(row["limit"], ("read", "int8"))
            rates = [row[name] for name in ("prefill_tokens_per_second", "decode_tokens_per_second")
                     if name in row]
            self.assertEqual(len(rates), 2 if row["test"] == "mixed" else 1)
            for rate in [row["of_limit"], *rates]:
                self.assertLessEqual(rate["min"], rate["median"])
                self.assertLessEqual(rate["median"], rate["max"])
            self.assertEqual("prompt" in row, row["test"] != "decode")
            if row["test"] == "decode":
                self.assertEqual(row["decoded_tokens"], 2 * 4 * row["streams"])
        self.assertEqual({row["prompt"] for row in rows if "prompt" in row}, {33, 64})
        self.assertEqual({row["depth"] for row in rows if "depth" in row}, {0, 40})

    def test_table(self):
        lines = self.bench("--tests", "decode,prefill", "--kv-type", "f16").splitlines()
        self.assertIn("KV f16", lines[0])
        head = next(line for line in lines if line.startswith("TEST"))
        rows = lines[lines.index(head) + 1:]
        self.assertEqual([row.split()[0] for row in rows], 2 * ["prefill"] + 4 * ["decode"])
        for row in rows:
            self.assertRegex(row, r" \d+ % (read|int8)$")

    def test_limits(self):
        limits = json.loads(run("bench", "--limits", "--json", env={"HEARTH_ISA": "scalar"}).stdout)
        self.assertEqual(limits["isa"], "scalar")
        self.assertGreater(limits["read_bytes_per_second"], 0)
        self.assertGreater(limits["int8_ops_per_second"], 0)
        self.assertRegex(run("bench", "--limits").stdout, r"reads .* GB/s, multiplies int8 at .* TOPS")

    def test_bad_options(self):
        for wrong in ([], ["--limits", "--model", TINY], ["--model", TINY, "--streams", "0"],
                      ["--model", TINY, "--streams", "1,x"], ["--model", TINY, "--prompt", "0"],
                      ["--model", TINY, "--depth", "-1"], ["--model", TINY, "--gen", "0"],
                      ["--model", TINY, "--repeat", "0"], ["--model", TINY, "--tests", "speed"],
                      ["--model", TINY, "--kv-type", "int3"], ["--limits", "--threads", "0"]):
            self.assertEqual(run("bench", *wrong).returncode, 64, wrong)

    def test_what_cannot_be_had(self):
        self.assertEqual(run("bench", "--model", "/nowhere").returncode, 66)
        self.assertEqual(run("bench", "--model", SOURCE / "CMakeLists.txt").returncode, 65)
        deep = run("bench", "--model", TINY, "--depth", 5000)  # the model was made for 2048
        self.assertEqual(deep.returncode, 78)
        self.assertEqual(len(deep.stderr.splitlines()), 1, deep.stderr)
        wide = run("bench", "--model", TINY, "--streams", 256, "--prompt", 1 << 20, "--tests",
                   "prefill")
        self.assertEqual(wide.returncode, 78)
        self.assertEqual(run("bench", "--limits", env={"HEARTH_ISA": "abacus"}).returncode, 78)
