"""Writes held_out.jsonl: conversations of the side of the split that is never trained on."""

import argparse
import collections
import json

import corpus

COUNTS = {
    "telemetry": 150,
    "arithmetic": 120,
    "extraction": 120,
    "tools": 120,
    "hearthd": 80,
    "talk": 80,
    "turns": 30,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    made, prompts = collections.Counter(), set()
    with open(args.out, "w", encoding="utf-8") as out:
        for sample in corpus.generate(args.seed, wanted_held_out=True):
            prompt = json.dumps([sample.messages[:-1], sample.tools])
            if made[sample.category] < COUNTS[sample.category] and prompt not in prompts:
                made[sample.category] += 1
                prompts.add(prompt)
                row = {
                    "task": sample.task,
                    "tools": sample.tools,
                    "messages": sample.messages[:-1],
                    "expected": sample.messages[-1][1],
                }
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
            if made == COUNTS:
                return


if __name__ == "__main__":
    main()
