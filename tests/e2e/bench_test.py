"""tests/bench/serve_load and tests/bench/against: that they count right. Never how fast it was."""

import json
import os
import subprocess
import sys

import demo_model
from daemon import HEARTHD, PATIENCE, SOURCE, TINY, Daemon, TestCase

FOLDER = SOURCE / "tests/bench"


def call(script, *args, code=0):
    result = subprocess.run([sys.executable, str(FOLDER / script), *map(str, args)],
                            capture_output=True, text=True, timeout=5 * PATIENCE, check=False)
    if result.returncode != code:
        raise AssertionError(f"{script}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def load(*args, code=0):
    return json.loads(call("serve_load", "--json", *args, code=code).stdout)


class ServeLoad(TestCase):

    def check_quantiles(self, found):
        for name in ("first_token_ms", "inter_token_ms"):
            self.assertLessEqual(found[name]["p50"], found[name]["p95"])
            self.assertLessEqual(found[name]["p95"], found[name]["p99"])

    def test_starts_the_daemon_itself(self):
        found = load("--model", demo_model.PATH, "--hearthd", HEARTHD, "--clients", 3,
                     "--requests", 2, "--prompt", 40, "--gen", 5)
        self.assertEqual((found["requests"], found["errors"]), (6, {}))
        self.assertEqual(found["prompt_tokens"], 6 * 40)
        self.assertLessEqual(found["completion_tokens"], 6 * 5)
        self.assertEqual(sum(found["finish_reasons"].values()), 6)

    def test_closed_loop_and_arrivals_over_tcp_and_unix(self):
        socket = self.folder / "http.sock"
        with Daemon("--http", f"unix:{socket}", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0",
                    listeners=False) as daemon:
            url = next(name for name in daemon.http if name.startswith("http:"))
            for where in (("--url", url), ("--unix", socket)):
                for how in ((), ("--rate", 100)):
                    found = load(*where, *how, "--clients", 2, "--requests", 3, "--prompt", 10,
                                 "--gen", 20, "--path", "/v1/chat/completions")
                    self.assertEqual((found["requests"], found["errors"]), (6, {}))
                    self.assertGreater(found["prompt_tokens"], 6 * 10)  # the template's besides
                    self.assertGreater(found["completion_tokens"], 0)
                    self.check_quantiles(found)

    def test_same_seed_same_prompts_and_shared_prefixes(self):
        with Daemon() as daemon:
            flags = ("--url", daemon.http[0], "--clients", 1, "--requests", 2, "--prompt", 100,
                     "--gen", 1, "--shared-prefix", 64)
            self.assertEqual(load(*flags)["cached_tokens"], 64)  # the second one's
            self.assertEqual(load(*flags)["cached_tokens"], 2 * 96)  # both, in whole blocks
            self.assertEqual(load(*flags, "--seed", 2)["cached_tokens"], 64)

    def test_errors_are_counted_and_told(self):
        with Daemon() as daemon:
            found = load("--url", daemon.http[0], "--clients", 2, "--field", 'top_p=7', code=1)
        self.assertEqual(found["completion_tokens"], 0)
        (message, count), = found["errors"].items()
        self.assertEqual(count, 2)
        self.assertIn("top_p", message)
        found = load("--url", "http://127.0.0.1:1", "--clients", 1, code=1)
        self.assertEqual(sum(found["errors"].values()), 1)
        self.assertIn("66", call("serve_load", "--model", "/nowhere", "--hearthd", HEARTHD,
                                 code=1).stderr)


BENCH = """
depth = [int(d) for d in args.get("-d", "0").split(",")]
print(json.dumps([{"n_depth": d, "samples_ts": [1000.0 / (1 + d)]} for d in depth]))
"""
BATCHED = """
for n in args["-npl"].split(","):
    print(json.dumps({"pl": int(n), "speed_tg": 1e9}))
"""


class Against(TestCase):
    """With a peer of known speed: 1000 tok/s alone, halved by a depth of 1; a billion together."""

    def setUp(self):
        super().setUp()
        for name, body in (("llama-bench", BENCH), ("llama-batched-bench", BATCHED)):
            path = self.folder / name
            path.write_text(f"#!{sys.executable}\nimport json, sys\n"
                            f"args = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n{body}")
            os.chmod(path, 0o755)

    def table(self, *args, code=0):
        shown = call("against", "--theirs", self.folder, "--ours", HEARTHD, "--model", TINY,
                     "--gen", 3, "--markdown", *args, code=code)
        rows = [[cell.strip() for cell in line.split("|")[1:-1]]
                for line in shown.stdout.splitlines()]
        return rows[2:]

    def test_ratios(self):
        rows = self.table("--rows", "decode,prefill", "--streams", "1,2", "--prompts", 20,
                          "--repeat", 3)
        self.assertEqual([row[0] for row in rows], ["decode, 1 stream, tok/s",
                                                    "decode, 2 streams, tok/s", "prefill 20, tok/s"])
        for what, theirs, ours, ratio, goal, met in rows:
            speed = 1e9 if "2 streams" in what else 1e3
            self.assertEqual(float(theirs.split()[0]), speed)
            self.assertIn("-", ours.split()[1])  # three runs, so from-to
            self.assertAlmostEqual(float(ours.split()[0]) / speed, float(ratio), delta=0.02)
            self.assertEqual(met, "yes" if float(ratio) >= float(goal.removesuffix(" x")) else "NO")

    def test_depth_is_told_over_depth_0(self):
        (_, theirs, ours, ratio, goal, met), = self.table("--rows", "depth", "--depths", 1,
                                                          "--repeat", 1)
        self.assertEqual(theirs, "0.50")
        self.assertEqual(goal, ">= 0.90")  # of our own value
        self.assertEqual(met, "yes" if float(ours) >= 0.9 else "NO")
        self.assertAlmostEqual(float(ours) / 0.5, float(ratio), delta=0.03)

    def test_what_cannot_be_compared(self):
        self.table("--rows", "decoding", code=2)
        self.table("--rows", "avx2-decode", code=2)
        call("against", "--theirs", self.folder / "nowhere", "--ours", HEARTHD, "--model", TINY,
             "--rows", "decode", code=1)
