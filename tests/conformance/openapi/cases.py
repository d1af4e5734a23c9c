"""Runs schemathesis on a hearthd of its own; ends with 0 when nothing was found in 2,000 cases."""

import json
import os
import pathlib
import re
import secrets
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SCHEMATHESIS = pathlib.Path(sys.executable).parent / "schemathesis"
MODEL = pathlib.Path(os.environ["HEARTH_SOURCE"]) / "deploy" / "demo" / "hearth-demo-q8_0.gguf"
CASES = 2000
# Chat, completions, responses and messages have the largest schemas, so the most is asked of all.
CASES_PER_OPERATION = 100
SEED = 20


def serve(folder):
    """The process and its address. Short replies and no full queue, so that cases are many."""
    key = secrets.token_hex(16)
    keys = folder / "keys"
    keys.touch(mode=0o600)
    keys.write_text(key + "\n")
    config = folder / "hearth.json"
    config.write_text(json.dumps({"model_id": "demo", "engine": {"default_max_tokens": 4},
                                  "auth": {"key_file": str(keys)}}))
    process = subprocess.Popen(
        [os.environ["HEARTHD"], "serve", "--config", config, "--model", MODEL,
         "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=(folder / "log").open("w"),
        text=True)
    url = None
    for line in process.stdout:
        if found := re.match(r"  http    (\S+)", line):
            url = found[1]
        if line.startswith("Try: "):
            return process, url, key
    sys.exit(f"hearthd ended with {process.wait()}:\n{(folder / 'log').read_text()}")


def run(folder, url, key):
    """(exit code, cases) of schemathesis."""
    report = folder / "report.json"
    done = subprocess.run(
        [SCHEMATHESIS, "--config-file", HERE / "schemathesis.toml", "run", f"{url}/openapi.json",
         "--header", f"Authorization: Bearer {key}", "--max-examples", str(CASES_PER_OPERATION),
         "--seed", str(SEED), "--report-json-path", report],
        cwd=folder, check=False,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)})
    return done.returncode, json.loads(report.read_text())


def main():
    with tempfile.TemporaryDirectory(prefix="hearth-openapi-") as name:
        folder = pathlib.Path(name)
        process, url, key = serve(folder)
        try:
            code, report = run(folder, url, key)
        finally:
            process.terminate()
            process.stdout.close()
            ended = process.wait(60)
        if ended != 0:
            sys.exit(f"hearthd ended with {ended}:\n{(folder / 'log').read_text()}")
        print(json.dumps(report, indent=1)[:2000])
        return code


if __name__ == "__main__":
    sys.exit(main())
