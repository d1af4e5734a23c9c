"""Trains the byte-level BPE on generated text and writes tokenizer.json.

Merges stay within letters, within punctuation and within white space: digits stay single, which
arithmetic needs, and a name has the same tokens after a space as after a quote, so that copying
it into JSON is copying tokens. Merges of a space with a frequent word follow last; words that
are copied are left out.
"""

import argparse
import collections
import itertools
import json
import os
import re

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import corpus
from chat import CONTROL, MARKERS
from corpus import tools, words

# The pre-split of o200k, which Phi-4-mini uses.
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PRE_SPLIT = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    + CONTRACTION
    + r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    + CONTRACTION
    + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MERGE_WITHIN = r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"


def texts(samples, seed):
    for sample in itertools.islice(corpus.generate(seed), samples):
        yield from (content for _, content in sample.messages)
        if sample.tools:
            yield sample.tools


def copied_words():
    lists = (
        words.ROOMS,
        words.ITEMS,
        words.SENSORS,
        words.SITES,
        words.SEVERITIES,
        words.JOBS,
        words.TOPICS,
        words.DAYS,
        words.FIRST_NAMES,
        words.LAST_NAMES,
        words.CITIES,
        tools.VERBS,
        tools.OBJECTS,
        [argument[0] for argument in tools.ARGUMENTS],
    )
    return set(itertools.chain.from_iterable(lists)) | {
        "fault",
        "ok",
        "item",
        "customer",
        "quantity",
        "age",
        "job",
        "origin",
        "destination",
        "year",
        "device",
        "severity",
        "open",
        "closed",
        "running",
        "idle",
    }


def trained(size, samples, seed):
    """Tokens and merges of everything but the words with a space."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(MERGE_WITHIN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=3,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(samples, seed), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def add_spaced_words(vocab, merges, size, samples, seed):
    counts = collections.Counter()
    for text in texts(samples, seed):
        counts.update(re.findall(r" ([A-Za-z]+)", text))
    copied = copied_words()
    for word, count in counts.most_common():
        if len(vocab) >= size or count < 10:
            break
        if word in vocab and word not in copied and (word.islower() or count > 200):
            vocab["Ġ" + word] = len(vocab)
            merges.append(("Ġ", word))


def assembled(vocab, merges):
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRE_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    for marker in MARKERS:
        token = AddedToken(
            marker, special=marker in CONTROL, normalized=False, rstrip=marker in CONTROL[2:6]
        )
        (tokenizer.add_special_tokens if marker in CONTROL else tokenizer.add_tokens)([token])
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument(
        "--size", type=int, default=4096, help="of the vocabulary, markers included"
    )
    parser.add_argument(
        "--spaced", type=int, default=526, help="how many words may have a space in front"
    )
    parser.add_argument("--samples", type=int, default=60000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    ordinary = args.size - len(MARKERS)
    vocab, merges = trained(ordinary - args.spaced, args.samples, args.seed)
    add_spaced_words(vocab, merges, ordinary, args.samples, args.seed)
    tokenizer = assembled(vocab, merges)
    os.makedirs(os.path.dirname(args.out) or ".", exist_ok=True)
    tokenizer.save(args.out)
    print(f"{tokenizer.get_vocab_size()} tokens, {len(merges)} merges")


if __name__ == "__main__":
    main()
