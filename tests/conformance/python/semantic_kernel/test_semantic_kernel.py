"""Semantic Kernel's OpenAI connector."""

import openai
from semantic_kernel import Kernel
from semantic_kernel.connectors.ai.function_choice_behavior import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import (OpenAIChatCompletion,
                                                   OpenAIChatPromptExecutionSettings)
from semantic_kernel.contents import ChatHistory
from semantic_kernel.functions import kernel_function

from served import API_KEY, BASE_URL, GREETING, MODEL, WEATHER_QUESTION


class Weather:
    def __init__(self):
        self.cities = []

    @kernel_function(name="get_weather", description="Get the current weather for a city.")
    def get_weather(self, city: str) -> str:
        self.cities.append(city)
        return '{"weather": 21.5, "unit": "C"}'


def service():
    return OpenAIChatCompletion(ai_model_id=MODEL, async_client=openai.AsyncOpenAI(
        base_url=BASE_URL, api_key=API_KEY))


def history(text):
    messages = ChatHistory()
    messages.add_user_message(text)
    return messages


async def test_chat():
    settings = OpenAIChatPromptExecutionSettings(temperature=0)
    reply = await service().get_chat_message_content(history(GREETING), settings)
    assert "Hearth" in str(reply)


async def test_stream():
    settings = OpenAIChatPromptExecutionSettings(temperature=0)
    text = ""
    async for part in service().get_streaming_chat_message_content(history(GREETING), settings):
        text += str(part)
    assert "Hearth" in text


async def test_functions_are_called():
    weather = Weather()
    kernel = Kernel()
    kernel.add_plugin(weather, plugin_name="home")
    settings = OpenAIChatPromptExecutionSettings(
        temperature=0, function_choice_behavior=FunctionChoiceBehavior.Required(
            auto_invoke=True, maximum_auto_invoke_attempts=1))
    await service().get_chat_message_content(history(WEATHER_QUESTION), settings, kernel=kernel)
    assert weather.cities
