"""The daemon under test, and what its demo model is known to answer."""

import os

URL = os.environ["HEARTH_URL"]
BASE_URL = URL + "/v1"
MODEL = os.environ["HEARTH_MODEL"]
API_KEY = os.environ["HEARTH_API_KEY"]

# The demo model was trained on questions like these: greedy answers are sensible.
GREETING = "Who are you?"
WEATHER_QUESTION = "What is the weather in Oslo?"

WEATHER_PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Name of the city."}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city.",
        "parameters": WEATHER_PARAMETERS,
    },
}
TIMER_TOOL = {
    "type": "function",
    "function": {
        "name": "set_timer",
        "description": "Start a timer.",
        "parameters": {
            "type": "object",
            "properties": {"minutes": {"type": "integer"}},
            "required": ["minutes"],
            "additionalProperties": False,
        },
    },
}
DEVICE_TEXT = "Return device, site, year and serial as JSON. Text: harbor: radiator UP-693, " \
              "built in 2026."
DEVICE = {"device": "radiator", "site": "harbor", "year": 2026, "serial": "UP-693"}
