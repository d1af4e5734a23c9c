"""Sums and differences of 10 to 99 with their working, products up to 12 x 12."""

from . import words
from .sample import ask, phrasings

SUM = phrasings("""
What is {a} + {b}?
{a} + {b}
What is {a} plus {b}?
Calculate {a} + {b}.
{a} plus {b}
How much is {a} + {b}?
Add {a} and {b}.
{a}+{b}
{a} + {b} = ?
What is the sum of {a} and {b}?
Please compute {a} + {b}.
What's {a} + {b}?
""")
DIFFERENCE = phrasings("""
What is {a} - {b}?
{a} - {b}
What is {a} minus {b}?
Calculate {a} - {b}.
{a} minus {b}
How much is {a} - {b}?
Subtract {b} from {a}.
{a}-{b}
{a} - {b} = ?
Please compute {a} - {b}.
What's {a} - {b}?
""")
PRODUCT = phrasings("""
What is {a} x {b}?
{a} x {b}
What is {a} times {b}?
Calculate {a} * {b}.
{a} times {b}
How much is {a} x {b}?
Multiply {a} by {b}.
{a}*{b}
{a} * {b} = ?
Please compute {a} x {b}.
What's {a} times {b}?
""")
GAIN = phrasings("""
I have {a} {item} and get {b} more. How many {item} do I have?
{name} has {a} {item} and buys {b} more. How many {item} is that?
There are {a} {item} in one box and {b} in another. How many {item} in all?
""")
LOSS = phrasings("""
I have {a} {item} and lose {b}. How many {item} are left?
{name} had {a} {item} and sold {b}. How many {item} remain?
Of {a} {item}, {b} are broken. How many {item} are fine?
""")


def added(a, b):
    """Tens, ones, and both together: every step is one that can be known by heart."""
    tens, ones = a // 10 * 10 + b // 10 * 10, a % 10 + b % 10
    return f"{a // 10}0 + {b // 10}0 = {tens}, {a % 10} + {b % 10} = {ones}, {a} + {b} = {a + b}"


def subtracted(a, b):
    """First the tens, then the ones."""
    rest = a - b // 10 * 10
    return f"{a} - {b // 10}0 = {rest}, {rest} - {b % 10} = {a - b}, {a} - {b} = {a - b}"


def two_numbers(rng):
    """The first not less than the second."""
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    return max(a, b), min(a, b)


def sum_of_two(rng):
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    return ask("arithmetic/sum", (a, b), rng.choice(SUM).format(a=a, b=b), added(a, b))


def difference(rng):
    a, b = two_numbers(rng)
    question = rng.choice(DIFFERENCE).format(a=a, b=b)
    return ask("arithmetic/difference", (a, b), question, subtracted(a, b))


def product(rng):
    # A table of 144 facts can only be learnt by heart: held out are questions, not facts.
    a, b = rng.randint(1, 12), rng.randint(1, 12)
    question = rng.choice(PRODUCT).format(a=a, b=b)
    return ask("arithmetic/product", (question,), question, f"{a} x {b} = {a * b}")


def word_problem(rng):
    item, name = words.thing(rng, words.ITEMS, 0.1), words.first_name(rng)
    a, b = two_numbers(rng)
    gain = rng.random() < 0.5
    question = rng.choice(GAIN if gain else LOSS).format(a=a, b=b, item=item, name=name)
    answer = f"{added(a, b) if gain else subtracted(a, b)} {item}"
    return ask("arithmetic/word_problem", (gain, a, b), question, answer)


TASKS = [(sum_of_two, 2), (difference, 4), (product, 2), (word_problem, 2)]
