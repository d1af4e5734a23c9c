"""What a gateway asks about its sensors: limits, units, extremes, states, changes."""

from . import words
from .sample import ask, phrasings

UNITS = ["C", "bar", "kPa", "V", "A", "W", "rpm", "%"]

LIMIT = phrasings("""
The {sensor} reads {value} {unit}, the limit is {limit} {unit}. Is it too high?
{sensor} {value} {unit}, limit {limit} {unit}. Above the limit?
Is the {sensor} within its limit? It reads {value} {unit} and the limit is {limit} {unit}.
Limit {limit} {unit}, {sensor} at {value} {unit}. Is the limit exceeded?
Check the {sensor}: {value} {unit}, limit {limit} {unit}.
""")
HIGHEST = phrasings("""
Readings: {readings}. Which is the highest?
{readings}. Which one is the highest?
Which sensor is the highest? {readings}.
Find the highest of these: {readings}.
""")
LOWEST = [text.replace("highest", "lowest") for text in HIGHEST]
LOOKUP = phrasings("""
Readings: {readings}. What does the {sensor} read?
{readings}. What is the value of the {sensor}?
How much is the {sensor}? {readings}.
Give me the reading of the {sensor}: {readings}.
""")
COUNT = phrasings("""
States: {states}. How many are in fault?
{states}. How many faults are there?
How many of these are in fault? {states}.
Count the faults: {states}.
""")
SUMMARY = phrasings("""
Summarise the states: {states}.
States: {states}. Give me a short summary.
{states}. Summary?
Which ones need attention? {states}.
Summarise: {states}.
""")
CHANGE = phrasings("""
The {sensor} went from {a} to {b} {unit}. How did it change?
{sensor}: {a} {unit} before, {b} {unit} now. What is the change?
Before {a} {unit}, now {b} {unit}: how did the {sensor} change?
""")
CONVERT = phrasings("""
Convert {value} {unit} to {to}.
What is {value} {unit} in {to}?
{value} {unit} in {to}
How much is {value} {unit} in {to}?
The {sensor} reads {value} {unit}. What is that in {to}?
""")


def apart(rng, count):
    """Numbers of 10 to 99 that differ in both digits: which one is greater is clear at a glance."""
    tens, ones = rng.sample(range(1, 10), count), rng.sample(range(10), count)
    return [10 * ten + one for ten, one in zip(tens, ones)]


def limit(rng):
    value, bound = apart(rng, 2)
    if rng.random() < 0.5:
        value, bound = (value * 10 + rng.randint(0, 9)) / 10, (bound * 10 + rng.randint(0, 9)) / 10
    sensor, unit = words.thing(rng, words.SENSORS), rng.choice(UNITS)
    question = rng.choice(LIMIT).format(sensor=sensor, value=value, limit=bound, unit=unit)
    verdict = "too high" if value > bound else "fine"
    answer = f"{sensor}: {value} of {bound} {unit}, {verdict}."
    return ask("telemetry/limit", (value, bound), question, answer)


def readings(rng, made_up):
    sensors = words.things(rng, words.SENSORS, rng.randint(3, 4), made_up)
    return dict(zip(sensors, apart(rng, len(sensors))))


def listed(pairs):
    return ", ".join(f"{name} {value}" for name, value in pairs.items())


def extreme(rng):
    pairs = readings(rng, made_up=0.05)
    word, phrasing, pick = rng.choice((("highest", HIGHEST, max), ("lowest", LOWEST, min)))
    sensor = pick(pairs, key=pairs.get)
    spread = ", ".join(f"{value} {name}" for name, value in pairs.items())
    question = rng.choice(phrasing).format(readings=spread)
    answer = f"The {word}: {pairs[sensor]} {sensor}."
    return ask("telemetry/extreme", (word, *pairs.values()), question, answer)


def lookup(rng):
    pairs = readings(rng, made_up=0.1)
    sensor = rng.choice(list(pairs))
    question = rng.choice(LOOKUP).format(readings=listed(pairs), sensor=sensor)
    return ask("telemetry/lookup", (sensor, *pairs.values()), question, f"{sensor} {pairs[sensor]}")


def states(rng):
    sensors = words.things(rng, words.SENSORS, rng.randint(3, 4))
    share = rng.choice((0.0, 0.3, 0.5, 0.7))
    return {sensor: "fault" if rng.random() < share else "ok" for sensor in sensors}


def faults(pairs):
    """Which and how many; named first, they are easier to count."""
    named = [sensor for sensor, state in pairs.items() if state == "fault"]
    return f"In fault: {', '.join(named) or 'none'} ({len(named)} of {len(pairs)})."


def count(rng):
    pairs = states(rng)
    question = rng.choice(COUNT).format(states=listed(pairs))
    return ask("telemetry/count", (*pairs, *pairs.values()), question, faults(pairs))


def summary(rng):
    pairs = states(rng)
    question = rng.choice(SUMMARY).format(states=listed(pairs))
    return ask("telemetry/summary", (*pairs, *pairs.values()), question, faults(pairs))


def change(rng):
    a, b = apart(rng, 2)
    sensor, unit = words.thing(rng, words.SENSORS), rng.choice(UNITS)
    question = rng.choice(CHANGE).format(sensor=sensor, a=a, b=b, unit=unit)
    answer = f"From {a} to {b} {unit}: it {'rose' if b > a else 'fell'}."
    return ask("telemetry/change", (a, b), question, answer)


def convert(rng):
    """Powers of ten; and some Celsius, which is a table learnt by heart."""
    sensor = words.thing(rng, words.SENSORS)
    if rng.random() < 0.25:
        value, unit, to = rng.randrange(0, 101, 5), "C", "F"
        result = f"{value * 9 // 5 + 32}.0"
    else:
        unit, to = rng.choice((("mV", "V"), ("mA", "A"), ("W", "kW"), ("mbar", "bar")))
        value = 100 * rng.randint(1, 99)
        result = f"{value // 1000}.{value // 100 % 10}"
    question = rng.choice(CONVERT).format(value=value, unit=unit, to=to, sensor=sensor)
    key = (question,) if unit == "C" else (value, unit)
    return ask("telemetry/convert", key, question, f"{value} {unit} = {result} {to}")


TASKS = [(limit, 4), (extreme, 8), (lookup, 3), (count, 4), (summary, 2), (change, 1), (convert, 3)]
