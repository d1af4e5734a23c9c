"""Lets the model call a Python function until it has an answer.

    python3 tools_loop.py "What is the weather in Bremen?" [ADDRESS]
"""

from collections.abc import Callable
import json
import sys

import hearth

READINGS = {"Bremen": 11, "Oslo": 2, "Rome": 24}


def get_weather(city: str) -> dict[str, object]:
    return {"temperature": READINGS[city]} if city in READINGS else {"error": "no reading"}


FUNCTIONS: dict[str, Callable[..., object]] = {"get_weather": get_weather}
TOOLS = [hearth.Tool("get_weather", "Get the current weather for a city.",
                     {"type": "object", "properties": {"city": {"type": "string"}},
                      "required": ["city"], "additionalProperties": False})]


def answer(client: hearth.Client, question: str, most_rounds: int = 8) -> str:
    messages = [hearth.Message("user", question)]
    for _ in range(most_rounds):
        reply = client.chat(messages, tools=TOOLS, options=hearth.Options(temperature=0))
        if not reply.tool_calls:
            return reply.text
        messages.append(reply.message)
        for call in reply.tool_calls:
            result = json.dumps(FUNCTIONS[call.name](**call.parsed_arguments()))
            print(f"{call.name}({call.arguments}) = {result}", file=sys.stderr)
            messages.append(hearth.Message("tool", result, tool_call_id=call.id))
    raise RuntimeError(f"no answer after {most_rounds} rounds of calls")


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: tools_loop.py QUESTION [ADDRESS]")
    with hearth.Client(*sys.argv[2:3]) as client:
        print(answer(client, sys.argv[1]))


if __name__ == "__main__":
    main()
