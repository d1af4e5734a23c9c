"""Lets the model call Python functions until it has an answer.

    python3 tools_loop.py "What is 17 times 23?" [ADDRESS]
"""

from collections.abc import Callable
import sys

import hearth

FUNCTIONS: dict[str, Callable[..., object]] = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
}
NUMBERS = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
           "required": ["a", "b"], "additionalProperties": False}
TOOLS = [hearth.Tool("add", "Adds two numbers", NUMBERS),
         hearth.Tool("multiply", "Multiplies two numbers", NUMBERS)]


def answer(client: hearth.Client, question: str, most_rounds: int = 8) -> str:
    messages = [hearth.Message("user", question)]
    for _ in range(most_rounds):
        reply = client.chat(messages, tools=TOOLS, options=hearth.Options(temperature=0))
        if not reply.tool_calls:
            return reply.text
        messages.append(reply.message)
        for call in reply.tool_calls:
            result = FUNCTIONS[call.name](**call.parsed_arguments())
            print(f"{call.name}({call.arguments}) = {result}", file=sys.stderr)
            messages.append(hearth.Message("tool", str(result), tool_call_id=call.id))
    raise RuntimeError(f"no answer after {most_rounds} rounds of calls")


def main() -> None:
    with hearth.Client(*sys.argv[2:3]) as client:
        print(answer(client, sys.argv[1]))


if __name__ == "__main__":
    main()
