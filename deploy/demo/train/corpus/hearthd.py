"""Questions about hearthd; the answers say what README.md and config.proto say."""

from .sample import ask, questions_and_answers
from .talk import loosely

FACTS = questions_and_answers("hearthd.txt")
OPENINGS = [
    "Hi, ",
    "Hello, ",
    "Please tell me: ",
    "Quick question: ",
    "Hey, ",
    "One more thing: ",
    "So, ",
    "And ",
]


def fact(rng):
    questions, answer = rng.choice(FACTS)
    question = loosely(rng, rng.choice(questions))
    if rng.random() < 0.3:
        question = f"{rng.choice(OPENINGS)}{question[0].lower()}{question[1:]}"
    return ask("hearthd/fact", (question,), question, answer)


TASKS = [(fact, 1)]
