"""Trains the demo model on text made as it goes: no sample is drawn twice.

The learning rate is constant after a warm-up and falls to zero over the last part of --steps, or
of --minutes. OUT/last.pt is written every five minutes; a run that finds it goes on from there.
"""

import argparse
import itertools
import os
import random
import time

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import corpus
from chat import Renderer
from model import Config, Phi3
from muon import Muon


def batches(renderer, seed, drawn, tokens, pool=640):
    """Micro-batches of samples of similar length, padded; a step takes some of them, shuffled."""
    samples, order = corpus.generate(seed, drawn=drawn), random.Random(seed)
    while True:
        rendered = sorted(
            (renderer.sample(s) for s in itertools.islice(samples, pool)), key=lambda r: len(r[0])
        )
        made, start = [], 0
        while start < pool:
            end, longest = start, 0
            while end < pool and max(longest, len(rendered[end][0])) * (end + 1 - start) <= tokens:
                longest = max(longest, len(rendered[end][0]))
                end += 1
            made.append(padded(rendered[start:end], longest))
            start = end
        order.shuffle(made)
        yield from made


def padded(rendered, length):
    """Inputs and, for each, the token that follows and whether the assistant writes that one."""
    length = -(-length // 8) * 8
    ids = torch.zeros(len(rendered), length + 1, dtype=torch.long)
    chosen = torch.zeros(len(rendered), length + 1, dtype=torch.bool)
    for row, (tokens, wanted) in enumerate(rendered):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        chosen[row, : len(tokens)] = torch.tensor(wanted)
    return ids[:, :-1], ids[:, 1:], chosen[:, 1:]


def loss_of(model, batch):
    """The summed loss of what the assistant writes, and of how many tokens."""
    inputs, targets, chosen = batch
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model.logits(model(inputs)[chosen])
    return F.cross_entropy(logits.float(), targets[chosen], reduction="sum"), int(chosen.sum())


def optimizers(model, config, muon_rate, adam_rate):
    head = config.head_dim
    parts = {
        "qkv_proj": [config.num_attention_heads * head] + 2 * [config.num_key_value_heads * head],
        "gate_up_proj": 2 * [config.intermediate_size],
    }
    groups, others = [], []
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and "embed" not in name:
            groups.append({"params": [parameter], "parts": parts.get(name.split(".")[-2])})
        else:
            others.append(parameter)
    return [
        Muon(groups, lr=muon_rate, weight_decay=0.02),
        torch.optim.AdamW(others, lr=adam_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


class Run:
    """What is saved and gone on from, and how far the run is."""

    def __init__(self, args, config):
        self.args, self.path = args, os.path.join(args.out, "last.pt")
        self.model = Phi3(config)
        self.optimizers = optimizers(self.model, config, args.muon_rate, args.adam_rate)
        self.step, self.drawn, self.before, self.started = 0, 0, 0.0, time.time()
        if os.path.exists(self.path):
            state = torch.load(self.path)
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"]):
                optimizer.load_state_dict(saved)
            self.step, self.drawn, self.before = state["step"], state["drawn"], state["seconds"]

    def seconds(self):
        return self.before + time.time() - self.started

    def save(self):
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "drawn": self.drawn,
            "seconds": self.seconds(),
        }
        torch.save(state, self.path + ".tmp")
        os.replace(self.path + ".tmp", self.path)

    def progress(self):
        """From 0 to 1."""
        if self.args.steps:
            return self.step / self.args.steps
        return (time.time() - self.started) / 60 / self.args.minutes

    def share(self):
        """Of the learning rates."""
        return min(1.0, (self.step + 1) / self.args.warmup, (1 - self.progress()) / self.args.decay)

    def take_step(self, batches_, share):
        """Returns the mean loss of the tokens learnt from."""
        for optimizer, rate in zip(self.optimizers, (self.args.muon_rate, self.args.adam_rate)):
            for group in optimizer.param_groups:
                group["lr"] = rate * share
        total, count = 0.0, 0
        for batch in batches_:
            loss, tokens = loss_of(self.model, batch)
            loss.backward()
            total, count = total + loss.item(), count + tokens
            self.drawn += len(batch[0])
        for parameter in self.model.parameters():
            parameter.grad /= count
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        return total / count


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True, help="folder of checkpoints")
    parser.add_argument("--steps", type=int, help="how many in all")
    parser.add_argument(
        "--minutes", type=float, help="instead of --steps: how long this run may take"
    )
    parser.add_argument("--tokens", type=int, default=2048, help="of a micro-batch")
    parser.add_argument("--micro", type=int, default=2, help="micro-batches of a step")
    parser.add_argument("--muon-rate", type=float, default=0.01)
    parser.add_argument("--adam-rate", type=float, default=1.5e-3)
    parser.add_argument("--warmup", type=int, default=50)
    parser.add_argument("--decay", type=float, default=0.7, help="the last part of the run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if (args.steps is None) == (args.minutes is None):
        parser.error("one of --steps and --minutes is needed")
    return args


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    os.makedirs(args.out, exist_ok=True)
    renderer = Renderer(Tokenizer.from_file(args.tokenizer))
    run = Run(args, Config(vocab_size=renderer.tokenizer.get_vocab_size()))
    source = batches(renderer, args.seed + 1000 + run.step, run.drawn, args.tokens)
    saved, shown, losses, tokens = time.time(), time.time(), [], 0
    while (share := run.share()) > 0:
        taken = list(itertools.islice(source, args.micro))
        losses.append(run.take_step(taken, share))
        tokens += sum(batch[0].numel() for batch in taken)
        now = time.time()
        if run.step % 20 == 0:
            print(
                f"{run.step} loss {sum(losses) / len(losses):.4f} rate {share:.2f} "
                f"{tokens / (now - shown):.0f} tokens/s {run.seconds() / 60:.1f} min",
                flush=True,
            )
            shown, losses, tokens = now, [], 0
        if now - saved > 300:
            run.save()
            saved = now
    run.save()


if __name__ == "__main__":
    main()
