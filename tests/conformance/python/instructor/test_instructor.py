"""instructor: objects of a pydantic type out of a conversation."""

import instructor
import openai
import pytest
from pydantic import BaseModel

from served import API_KEY, BASE_URL, DEVICE, DEVICE_TEXT, MODEL


class Device(BaseModel):
    device: str
    site: str
    year: int
    serial: str


@pytest.mark.parametrize("mode", [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA])
def test_create(mode):
    client = instructor.from_openai(openai.OpenAI(base_url=BASE_URL, api_key=API_KEY), mode=mode)
    device = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": DEVICE_TEXT}], temperature=0,
        response_model=Device, max_retries=0)
    assert isinstance(device, Device)
    if mode == instructor.Mode.JSON_SCHEMA:  # the form that the demo model was trained on
        assert device.model_dump() == DEVICE


def test_partial():
    client = instructor.from_openai(openai.OpenAI(base_url=BASE_URL, api_key=API_KEY),
                                    mode=instructor.Mode.JSON_SCHEMA)
    pieces = list(client.chat.completions.create_partial(
        model=MODEL, messages=[{"role": "user", "content": DEVICE_TEXT}], temperature=0,
        response_model=Device))
    assert len(pieces) > 1 and pieces[-1].model_dump() == DEVICE
