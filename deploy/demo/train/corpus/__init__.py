"""The text the demo model is trained on, made by a seeded program; see generate()."""

import random

from . import arithmetic, extraction, hearthd, talk, telemetry, tools
from .sample import Sample, held_out

# Category, its tasks with their weights, and the share of samples.
CATEGORIES = {
    "talk": (talk.TASKS, 7),
    "hearthd": (hearthd.TASKS, 5),
    "telemetry": (telemetry.TASKS, 30),
    "arithmetic": (arithmetic.TASKS, 20),
    "extraction": (extraction.TASKS, 18),
    "tools": (tools.TASKS, 20),
}

# The share of copying that training begins with, and after how many samples it is gone.
COPYING, COPYING_SAMPLES = 0.7, 25000


def one(rng, category):
    tasks, _ = CATEGORIES[category]
    make = rng.choices([task for task, _ in tasks], [weight for _, weight in tasks])[0]
    sample = make(rng)
    if sample.tools is None and rng.random() < 0.2:
        sample.messages.insert(0, ("system", rng.choice(talk.SYSTEM)))
    return sample


def several_turns(rng):
    """Two or three questions of any kind in one conversation."""
    names = [name for name in CATEGORIES if name != "tools"]
    parts = [one(rng, rng.choice(names)) for _ in range(rng.choice((2, 2, 3)))]
    messages = [message for part in parts for message in part.messages if message[0] != "system"]
    return (
        Sample("turns/several", tuple(value for part in parts for value in part.key), messages),
        parts,
    )


def generate(seed, wanted_held_out=False, drawn=None):
    """Endless samples of one side of the split.

    With `drawn`, how many samples the training has seen, the first ones are copying above all:
    everything else builds on it, and it is learnt soonest where most tokens are copies.
    """
    rng = random.Random(seed)
    names, shares = zip(*((name, share) for name, (_, share) in CATEGORIES.items()))
    while True:
        copying = 0.0 if drawn is None else COPYING * max(0.0, 1 - drawn / COPYING_SAMPLES)
        drawn = None if drawn is None else drawn + 1
        if rng.random() < copying:
            sample = talk.long_echo(rng)
            parts = [sample]
        elif rng.random() < 0.06:
            sample, parts = several_turns(rng)
        else:
            sample = one(rng, rng.choices(names, shares)[0])
            parts = [sample]
        if (
            wanted_held_out
            == all(held_out(part) for part in parts)
            == any(held_out(part) for part in parts)
        ):
            yield sample
