"""Fields of a sentence as JSON: the keys, their order and which of them are asked for vary."""

import json

from . import words
from .sample import ask, phrasings


def person(rng):
    fields = {
        "name": words.full_name(rng),
        "age": rng.randint(18, 90),
        "city": words.city(rng),
        "job": words.thing(rng, words.JOBS),
    }
    return (
        fields,
        """
{name}, {age}, lives in {city} and works as a {job}.
{name} is a {job} from {city} and is {age} years old.
The {job} {name} from {city} turned {age}.
My neighbour {name} is {age}, comes from {city} and is a {job}.
""",
    )


def meeting(rng):
    fields = {
        "topic": words.thing(rng, words.TOPICS),
        "day": rng.choice(words.DAYS),
        "time": words.clock(rng),
        "room": words.thing(rng, words.ROOMS),
    }
    return (
        fields,
        """
We meet on {day} at {time} in the {room} about {topic}.
The {topic} meeting is in the {room} on {day} at {time}.
{day}, {time}, {room}: meeting on {topic}.
Please come to the {room} at {time} on {day}, the topic is {topic}.
""",
    )


def order(rng):
    fields = {
        "customer": words.full_name(rng),
        "item": words.thing(rng, words.ITEMS),
        "quantity": rng.randint(2, 99),
        "city": words.city(rng),
    }
    return (
        fields,
        """
{customer} orders {quantity} {item} to be sent to {city}.
Please send {quantity} {item} to {customer} in {city}.
{customer} from {city} would like {quantity} {item}.
{quantity} {item} for {customer}, delivery to {city}.
""",
    )


def device(rng):
    fields = {
        "device": words.thing(rng, words.SENSORS),
        "serial": words.serial(rng),
        "site": words.thing(rng, words.SITES),
        "year": rng.randint(1990, 2029),
    }
    return (
        fields,
        """
The {device} with serial {serial} was installed at {site} in {year}.
{site}: {device} {serial}, built in {year}.
In {year} the {site} site got the {device} {serial}.
Device {device}, serial {serial}, site {site}, year {year}.
""",
    )


def alarm(rng):
    fields = {
        "sensor": words.thing(rng, words.SENSORS),
        "value": rng.randint(10, 999),
        "room": words.thing(rng, words.ROOMS),
        "severity": rng.choice(words.SEVERITIES),
    }
    return (
        fields,
        """
A {severity} alarm: the {sensor} in the {room} reached {value}.
The {sensor} in the {room} reports {value}, severity {severity}.
{severity} severity, {room}, {sensor} at {value}.
Alarm from the {room}: {sensor} is at {value}, which is {severity}.
""",
    )


def trip(rng):
    fields = {
        "name": words.first_name(rng),
        "origin": words.city(rng),
        "destination": words.city(rng),
        "day": rng.choice(words.DAYS),
    }
    return (
        fields,
        """
{name} travels from {origin} to {destination} on {day}.
On {day} {name} goes to {destination} from {origin}.
{name} leaves {origin} on {day} and arrives in {destination}.
A ticket for {name}: {origin} to {destination}, {day}.
""",
    )


SCHEMAS = (person, meeting, order, device, alarm, trip)
REQUEST = phrasings("""
Extract {keys} as JSON: {text}
Return {keys} as JSON. Text: {text}
Give me JSON with {keys}. {text}
JSON with the keys {keys} from this text: {text}
{text} Extract {keys} as JSON.
{text} Answer as JSON with {keys}.
""")


def extract(rng):
    make = rng.choice(SCHEMAS)
    fields, texts = make(rng)
    keys = rng.sample(list(fields), rng.randint(2, 4))
    text = rng.choice(phrasings(texts)).format(**fields)
    question = rng.choice(REQUEST).format(keys=words.join(keys), text=text)
    answer = json.dumps({key: fields[key] for key in keys}, ensure_ascii=False)
    return ask(f"extraction/{make.__name__}", (*fields.values(),), question, answer)


TASKS = [(extract, 1)]
