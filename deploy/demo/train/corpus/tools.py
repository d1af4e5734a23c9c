"""Tool calls in the form of Phi-4-mini, and answers made of what tools returned.

The tools are put together at random, so that name and arguments have to be read from the prompt.
"""

import json

from . import words
from .sample import Sample, phrasings
from .talk import TALK, loosely

VERBS = """
get set read open close start stop check find list send book reset update delete create order move
lock measure
""".split()
OBJECTS = """
temperature pressure humidity valve door window lamp report ticket message meeting alarm schedule
level speed backup camera invoice parcel status weather battery volume price table
""".split()

# What a value is called, how it is asked for, its type and where it comes from.
ARGUMENTS = [
    ("city", "in {}", "str", words.city),
    ("location", "at {}", "str", words.city),
    ("name", "for {}", "str", words.first_name),
    ("room", "in the {}", "str", lambda rng: words.thing(rng, words.ROOMS)),
    ("sensor", "of the {}", "str", lambda rng: words.thing(rng, words.SENSORS)),
    ("site", "on site {}", "str", lambda rng: words.thing(rng, words.SITES)),
    ("day", "on {}", "str", lambda rng: rng.choice(words.DAYS)),
    ("time", "at {}", "str", words.clock),
    ("serial", "with serial {}", "str", words.serial),
    ("topic", "about {}", "str", lambda rng: words.thing(rng, words.TOPICS)),
    ("value", "to {}", "int", lambda rng: rng.randint(0, 999)),
    ("limit", "with limit {}", "int", lambda rng: rng.randint(1, 99)),
    ("minutes", "for {} minutes", "int", lambda rng: rng.randint(1, 90)),
    ("priority", "with priority {}", "int", lambda rng: rng.randint(1, 9)),
    ("target", "up to {}", "float", lambda rng: rng.randint(10, 999) / 10),
    ("id", "number {}", "int", lambda rng: rng.randint(10, 9999)),
]
# Tools as people write them: name, description, parameters as kinds of ARGUMENTS, and what people
# say instead of the tool's name.
NATURAL = [
    (
        "get_weather",
        "Get the current weather for a city.",
        {"city": "city"},
        """
What is the weather in {0}?
How is the weather in {0}?
Is it raining in {0}?
Weather in {0}?
Do I need an umbrella in {0}?
What's the weather like in {0}?
""",
    ),
    (
        "get_temperature",
        "Read the temperature of a room.",
        {"room": "room"},
        """
How warm is it in the {0}?
What is the temperature in the {0}?
Is it cold in the {0}?
How hot is the {0}?
""",
    ),
    (
        "set_timer",
        "Start a timer.",
        {"minutes": "minutes"},
        """
Set a timer for {0} minutes.
Wake me in {0} minutes.
Remind me in {0} minutes.
Timer, {0} minutes
""",
    ),
    (
        "turn_on_light",
        "Turn on the light in a room.",
        {"room": "room"},
        """
Turn on the light in the {0}.
It is dark in the {0}.
Light on in the {0}, please.
I need light in the {0}.
""",
    ),
    (
        "send_message",
        "Send a message to a person.",
        {"name": "name", "topic": "topic"},
        """
Tell {0} about {1}.
Write to {0} about {1}.
Send {0} a message about {1}.
Let {0} know about {1}.
""",
    ),
    (
        "read_sensor",
        "Read the value of a sensor.",
        {"sensor": "sensor"},
        """
What does the {0} read?
What is the value of the {0}?
How is the {0} doing?
Give me the reading of the {0}.
""",
    ),
    (
        "set_temperature",
        "Set the temperature of a room.",
        {"room": "room", "value": "priority"},
        """
Heat the {0} to {1} degrees.
Make the {0} {1} degrees warm.
Set the {0} to {1} degrees.
I want {1} degrees in the {0}.
""",
    ),
    (
        "restart_device",
        "Restart a device.",
        {"device": "sensor", "site": "site"},
        """
Restart the {0} at {1}.
The {0} at {1} hangs, restart it.
Reboot the {0} at {1}.
Turn the {0} at {1} off and on again.
""",
    ),
    (
        "book_train",
        "Book a train ticket.",
        {"origin": "city", "destination": "city", "day": "day"},
        """
Book a train from {0} to {1} on {2}.
I need to go from {0} to {1} on {2}.
A ticket from {0} to {1} for {2}, please.
On {2} I travel from {0} to {1}.
""",
    ),
    (
        "find_contact",
        "Find the phone number of a person.",
        {"name": "name"},
        """
What is the number of {0}?
How can I call {0}?
Find the number of {0}.
Do you have the phone number of {0}?
""",
    ),
    (
        "create_ticket",
        "Open a maintenance ticket.",
        {"sensor": "sensor", "priority": "priority"},
        """
The {0} is broken, priority {1}.
Open a ticket for the {0} with priority {1}.
Please have the {0} repaired, priority {1}.
Maintenance for the {0}, priority {1}.
""",
    ),
]
DESCRIPTIONS = ["The {}.", "The {}.", "{}", "Which {}.", "The {} to use.", "Name of the {}."]
POLITE = ["{}", "{}", "Please {}", "Can you {}?", "I want you to {}", "Could you {}?", "{}, please"]


class Tool:
    """A function a client offers, and how people ask for it."""

    def __init__(self, rng, verb, noun):
        self.verb, self.noun = verb, noun
        self.name = f"{verb}_{noun}"
        self.arguments = rng.sample(ARGUMENTS, rng.choice((1, 1, 1, 2, 2)))
        self.names = [argument[0] for argument in self.arguments]

    def description(self, rng):
        return f"{self.verb.capitalize()} {rng.choice(('', 'the ', 'a '))}{self.noun}."

    def definition(self, rng):
        wording = rng.choice(DESCRIPTIONS)
        parameters = {
            name: {"description": wording.format(argument[0]), "type": argument[2]}
            for name, argument in zip(self.names, self.arguments)
        }
        return {"name": self.name, "description": self.description(rng), "parameters": parameters}

    def values(self, rng):
        return {name: argument[3](rng) for name, argument in zip(self.names, self.arguments)}

    def request(self, rng, values):
        parts = [
            argument[1].format(value) for argument, value in zip(self.arguments, values.values())
        ]
        if rng.random() < 0.3:
            rng.shuffle(parts)
        return f"{self.verb} {rng.choice(('the ', 'the ', '', 'a '))}{self.noun} {' '.join(parts)}"

    def with_one_argument(self):
        self.arguments, self.names = self.arguments[:1], self.names[:1]
        return self


class NaturalTool(Tool):
    """One of NATURAL."""

    def __init__(self, rng, row):
        self.name, self.text, arguments, self.phrasings = row
        self.verb, self.noun = self.name.split("_", 1)
        self.names = list(arguments)
        self.arguments = [
            argument for kind in arguments.values() for argument in ARGUMENTS if argument[0] == kind
        ]

    def description(self, rng):
        return self.text

    def request(self, rng, values):
        return rng.choice(phrasings(self.phrasings)).format(*values.values())


def natural(rng):
    """A tool of NATURAL, now and then beside another."""
    rows = rng.sample(NATURAL, rng.choice((1, 1, 2, 2, 3)))
    tools = [NaturalTool(rng, row) for row in rows]
    tool = tools[0]
    rng.shuffle(tools)
    values = tool.values(rng)
    return conversation(
        rng,
        "tools/natural",
        (tool.name, *values.values()),
        tools,
        ("user", loosely(rng, tool.request(rng, values))),
        ("assistant", call([(tool, values)])),
    )


def offer(rng, most, least=1):
    """Some tools, of which no two share verb and noun."""
    count = max(least, min(most, rng.choice((1, 1, 2, 2, 3))))
    pairs = []
    while len(pairs) < count:
        noun = words.pseudo_word(rng) if rng.random() < 0.1 else rng.choice(OBJECTS)
        pair = (rng.choice(VERBS), noun)
        if pair not in pairs:
            pairs.append(pair)
    return [Tool(rng, *pair) for pair in pairs]


def written(rng, tools):
    """The JSON as servers write it: compact or not, the name first or sorted."""
    definitions = [tool.definition(rng) for tool in tools]
    if rng.random() < 0.25:
        definitions = [dict(sorted(definition.items())) for definition in definitions]
    return json.dumps(definitions, separators=(",", ":") if rng.random() < 0.6 else None)


def call(calls):
    listed = [{"name": tool.name, "arguments": values} for tool, values in calls]
    return "functools" + json.dumps(listed)


def opening(rng):
    return rng.choice(
        (
            "You are a helpful assistant with some tools.",
            "You are a helpful assistant.",
            "",
            "Use the tools.",
            "You are Hearth, an assistant on a gateway.",
            "Answer briefly.",
        )
    )


def conversation(rng, task, key, tools, *messages):
    return Sample(task, key, [("system", opening(rng)), *messages], tools=written(rng, tools))


def polite(rng, request):
    text = rng.choice(POLITE).format(request)
    return loosely(rng, text[0].upper() + text[1:])


def one_call(rng):
    tools = offer(rng, 3)
    tool = rng.choice(tools)
    values = tool.values(rng)
    return conversation(
        rng,
        "tools/one_call",
        (tool.name, *values.values()),
        tools,
        ("user", polite(rng, tool.request(rng, values))),
        ("assistant", call([(tool, values)])),
    )


def several_calls(rng):
    tools = [tool.with_one_argument() for tool in offer(rng, 2, least=2)]
    chosen = rng.sample(tools, 2)
    calls = [(tool, tool.values(rng)) for tool in chosen]
    request = " and ".join(tool.request(rng, values) for tool, values in calls)
    key = [value for tool, values in calls for value in (tool.name, *values.values())]
    return conversation(
        rng,
        "tools/several_calls",
        key,
        tools,
        ("user", polite(rng, request)),
        ("assistant", call(calls)),
    )


def same_tool_twice(rng):
    """ "get the weather in Oslo and in Rome": the values differ in one argument."""
    tool = offer(rng, 1)[0].with_one_argument()
    first, second = tool.values(rng), tool.values(rng)
    more = tool.arguments[0][1].format(second[tool.names[0]])
    return conversation(
        rng,
        "tools/same_tool_twice",
        (tool.name, *first.values(), *second.values()),
        [tool],
        ("user", polite(rng, f"{tool.request(rng, first)} and {more}")),
        ("assistant", call([(tool, first), (tool, second)])),
    )


def no_tool_needed(rng):
    questions, answer = rng.choice(TALK)
    question = loosely(rng, rng.choice(questions))
    return conversation(
        rng,
        "tools/no_tool_needed",
        (question,),
        offer(rng, 2),
        ("user", question),
        ("assistant", answer),
    )


def result(rng):
    """The whole round: request, call, what the tool returned, and the answer made of it."""
    tools = offer(rng, 2)
    tool = rng.choice(tools)
    values = tool.values(rng)
    returned, answer = rng.choice(
        (
            lambda v: ({tool.noun: v}, f"The {tool.noun} is {v}."),
            lambda v: ({"result": v}, f"The result is {v}."),
            lambda v: ({tool.noun: v / 10, "unit": "C"}, f"The {tool.noun} is {v / 10} C."),
            lambda v: ({"status": "ok"}, "Done."),
            lambda v: ({"ok": True}, "Done."),
            lambda v: ({"error": "not found"}, "That failed: not found."),
            lambda v: ({"error": "timeout"}, "That failed: timeout."),
            lambda v: (
                {"state": words.thing(rng, ("open", "closed", "on", "off", "running", "idle"))},
                None,
            ),
        )
    )(rng.randint(10, 999))
    answer = answer or f"The state is {returned['state']}."
    text = json.dumps(returned, separators=(",", ":") if rng.random() < 0.5 else None)
    return conversation(
        rng,
        "tools/result",
        (tool.name, *values.values(), text),
        tools,
        ("user", polite(rng, tool.request(rng, values))),
        ("assistant", call([(tool, values)])),
        (rng.choice(("tool", "tool_response")), text),
        ("assistant", answer),
    )


TASKS = [
    (natural, 5),
    (one_call, 8),
    (several_calls, 3),
    (same_tool_twice, 2),
    (no_tool_needed, 1),
    (result, 4),
]
