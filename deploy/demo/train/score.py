"""Scores a checkpoint, or a running hearthd, on the held-out conversations: exact greedy answers.

A checkpoint is scored with one forward pass a sample: greedy decoding gives the expected answer
exactly when every token of it is the most likely one after those before. hearthd is asked over
HTTP with temperature 0; conversations with tools go as token ids to /v1/completions.
"""

import argparse
import collections
import json
import sys
import urllib.request

from chat import Renderer


def held_out(path):
    with open(path, encoding="utf-8") as rows:
        return [json.loads(row) for row in rows]


def tool_calls(text):
    """Calls as values, so that white space does not count; other text as it is."""
    if text.startswith("functools["):
        try:
            return json.loads(text[len("functools") :])
        except ValueError:
            pass
    return text


class Checkpoint:
    """Answers whether the expected text is what the checkpoint would write."""

    def __init__(self, path, tokenizer):
        import torch
        from tokenizers import Tokenizer

        from model import Config, Phi3

        self.torch = torch
        self.renderer = Renderer(Tokenizer.from_file(tokenizer))
        self.model = Phi3(Config(vocab_size=self.renderer.tokenizer.get_vocab_size()))
        self.model.load_state_dict(torch.load(path)["model"])

    def answers(self, row):
        prompt = self.renderer.prompt(row["messages"], row["tools"])
        answer = self.renderer.text(row["expected"]) + [self.renderer.marker["<|end|>"]]
        with self.torch.no_grad():
            hidden = self.model(self.torch.tensor([prompt + answer[:-1]]))[0, len(prompt) - 1 :]
            best = self.model.logits(hidden).argmax(-1).tolist()
        return best == answer, self.renderer.tokenizer.decode(best)


class Daemon:
    """Asks hearthd."""

    def __init__(self, url, gguf):
        from vocabulary import tokenizer_of

        self.url = url
        self.renderer = Renderer(tokenizer_of(gguf))

    def post(self, path, body):
        request = urllib.request.Request(
            self.url + path,
            json.dumps({**body, "temperature": 0}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)["choices"][0]

    def answers(self, row):
        roles = {role for role, _ in row["messages"]}
        if row["tools"] or roles - {"system", "user", "assistant"}:
            ids = self.renderer.prompt(row["messages"], row["tools"])
            text = self.post("/v1/completions", {"prompt": ids, "max_tokens": 200})["text"]
        else:
            messages = [{"role": role, "content": content} for role, content in row["messages"]]
            text = self.post("/v1/chat/completions", {"messages": messages, "max_tokens": 200})[
                "message"
            ]["content"]
        return tool_calls(text) == tool_calls(row["expected"]), text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--checkpoint")
    parser.add_argument("--tokenizer")
    parser.add_argument("--url", help="of hearthd, such as http://127.0.0.1:8080")
    parser.add_argument("--gguf", help="the model it serves")
    parser.add_argument(
        "--wrong", type=int, default=0, help="how many wrong answers a task to show"
    )
    args = parser.parse_args()
    model = (
        Checkpoint(args.checkpoint, args.tokenizer)
        if args.checkpoint
        else Daemon(args.url, args.gguf)
    )
    right, asked = collections.Counter(), collections.Counter()
    for row in held_out(args.held_out):
        fits, text = model.answers(row)
        for name in (row["task"], row["task"].split("/")[0]):
            asked[name] += 1
            right[name] += fits
        if not fits and asked[row["task"]] - right[row["task"]] <= args.wrong:
            print(
                row["messages"][-1][1],
                "\n  expected",
                row["expected"],
                "\n  answered",
                text,
                file=sys.stderr,
            )
    for name in sorted(asked):
        share = 100 * right[name] / asked[name]
        print(f"{name:24} {right[name]:4} of {asked[name]:4}  {share:5.1f} %")


if __name__ == "__main__":
    main()
