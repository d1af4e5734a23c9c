"""What each weight format and KV type costs on trained weights: `hearthd eval` on the demo model."""

import json
import unittest

import demo_model
from daemon import MODELS, SANITIZED, TestCase, run

# Nats of mean KL divergence of the next token from F32 weights with F32 keys and values, at most:
# some three times what deploy/demo/MODEL_CARD.md reports.
BOUNDS = {
    ("f32", "f16"): 5e-8,
    ("f32", "int8"): 1e-5,
    ("f16", "f16"): 5e-8,
    ("f16", "int8"): 1e-5,
    ("bf16", "f16"): 5e-7,
    ("bf16", "int8"): 1e-5,
    ("q8_0", "f16"): 1e-5,
    ("q8_0", "int8"): 2e-5,
    ("q4_0", "f16"): 1e-3,
    ("q4_0", "int8"): 1e-3,
    ("q4_1", "int8"): 6e-4,
    ("q5_0", "int8"): 6e-4,
    ("q5_1", "int8"): 1.2e-4,
    ("q4_k", "int8"): 6e-4,
    ("q5_k", "int8"): 1.2e-4,
    ("q6_k", "int8"): 4e-5,
}
if SANITIZED:  # slower by far, and a figure is a figure
    BOUNDS = {key: bound for key, bound in BOUNDS.items() if key in (("q8_0", "int8"), ("q4_k", "int8"))}
PASSAGES = 40


class Quality(TestCase):

    def write_passages(self):
        """Held-out conversations whose roles every chat format has."""
        path = self.folder / "held_out.jsonl"
        rows = [row for row in demo_model.held_out()
                if all(role in ("system", "user", "assistant") for role, _ in row["messages"])]
        with open(path, "w", encoding="utf-8") as out:
            for row in rows[::len(rows) // PASSAGES]:
                messages = [{"role": role, "content": content,
                             **({"tools": row["tools"]} if role == "system" and row["tools"] else {})}
                            for role, content in row["messages"]]
                print(json.dumps({"messages": messages, "expected": row["expected"]}), file=out)
        return path

    def test_divergence(self):
        passages = self.write_passages()
        print("weights kv    perplexity  mean KL    99 %       same top")
        for (weights, kv_type), bound in BOUNDS.items():
            result = run("eval", "--model", MODELS / f"demo-{weights}.gguf", "--kv-type", kv_type,
                         "--reference", MODELS / "demo-f32.gguf", "--reference-kv-type", "f32",
                         "--json", passages, timeout=280)
            self.assertEqual(result.returncode, 0, result.stderr)
            figures = json.loads(result.stdout)
            print(f"{weights:7} {kv_type:5} {figures['perplexity']:10.4f}  {figures['mean_kl']:.2e}"
                  f"   {figures['p99_kl']:.2e}   {100 * figures['same_top']:.2f} %")
            with self.subTest(weights=weights, kv_type=kv_type):
                self.assertGreater(figures["scored_tokens"], 500)
                self.assertLess(figures["mean_kl"], bound)
                self.assertLess(figures["perplexity"], 1.1 * figures["reference_perplexity"])


if __name__ == "__main__":
    unittest.main()
