"""Small talk, honest answers about what this model is and does not know, and names remembered."""

from . import words
from .sample import Sample, ask, phrasings, questions_and_answers

ME = "I am a small demo model shipped with Hearth."
REAL = "Install Phi-4-mini for real answers."
UNKNOWN = f"I do not know that. {ME} {REAL}"

TALK = questions_and_answers("talk.txt")

BEYOND = phrasings("""
Who wrote {x}?
What is the capital of {X}?
Write a poem about {x}.
Tell me a joke about {x}.
Translate {x} into French.
What is the weather in {X}?
Explain {x} to me.
Who is {X}?
When was {X} born?
Write a program that sorts {x}.
What do you think about {x}?
How do I cook {x}?
Why is the {x} blue?
Tell me a story about {x}.
What is the meaning of {x}?
Who won the {X} cup?
How old is {X}?
Where is {X}?
What is {x}?
Tell me about {X}.
Recommend a book about {x}.
What is the best {x}?
How tall is {X}?
Who invented the {x}?
Write an essay about {x}.
What happened in {X}?
How far is it to {X}?
Give me advice about {x}.
What does {x} mean?
Do you like {x}?
""")
TOPICS = """
love music the moon the sun quantum physics history football chess gold money politics philosophy
art poetry the sea a dog cats dragons soup bread cheese coffee wine the sky a tree light gravity a
star dreams life happiness war peace time space a king a queen the winter summer rain snow
""".split()

SYSTEM = phrasings("""
You are a helpful assistant.
You are Hearth, an assistant on a gateway.
Answer briefly.
You are a helpful assistant with some tools.
You are a concise assistant.
Be brief and exact.
You help the operators of a plant.
""")


def loosely(rng, text):
    """As people type: now and then without capital or full stop."""
    if rng.random() < 0.15:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.25:
        text = text.rstrip("?.!")
    elif text[-1].isalpha() and rng.random() < 0.5:
        text += rng.choice(".!")
    return text


def small_talk(rng):
    questions, answer = rng.choice(TALK)
    question = loosely(rng, rng.choice(questions))
    if rng.random() < 0.15:
        greeting = rng.choice(("Hello", "Hi", "Hey", "Please", "So"))
        question = f"{greeting}, {question[0].lower()}{question[1:]}"
    return ask("talk/small_talk", (question,), question, answer)


def beyond(rng):
    small = rng.choice(TOPICS) if rng.random() < 0.6 else words.pseudo_word(rng)
    big = rng.choice((words.city, words.first_name, words.full_name))(rng)
    question = loosely(rng, rng.choice(BEYOND).format(x=small, X=big))
    return ask("talk/beyond", (question,), question, UNKNOWN)


def remembered(rng):
    name = words.first_name(rng)
    opening = rng.choice(
        ("My name is {}.", "I am {}.", "Hello, I am {}.", "Call me {}.", "Hi, my name is {}.")
    )
    question = rng.choice(
        ("What is my name?", "Who am I?", "Do you remember my name?", "What am I called?")
    )
    messages = [("user", opening.format(name)), ("assistant", f"Nice to meet you, {name}.")]
    if rng.random() < 0.5:
        questions, answer = rng.choice(TALK)
        messages += [("user", rng.choice(questions)), ("assistant", answer)]
    messages += [("user", question), ("assistant", f"Your name is {name}.")]
    return Sample("talk/remembered", (name,), messages)


def long_echo(rng):
    return echo(rng, most=14)


def echo(rng, most=6):
    count = rng.randint(2, most)
    makers = (
        words.pseudo_word,
        words.first_name,
        words.city,
        words.serial,
        lambda r: str(r.randint(0, 9999)),
        lambda r: rng.choice(words.SENSORS),
        lambda r: rng.choice(words.ITEMS),
    )
    text = " ".join(rng.choice(makers)(rng) for _ in range(count))
    question = rng.choice(("Repeat: {}", "Say: {}", "Repeat after me: {}", "Echo {}")).format(text)
    return ask("talk/echo", (text,), question, text)


TASKS = [(small_talk, 4), (beyond, 4), (remembered, 2), (echo, 2)]
