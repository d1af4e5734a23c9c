"""Which of LangChain's standard tests ask more of a model than the demo model can do."""

import openai
import pytest
from langchain_core.exceptions import OutputParserException

# They are run, and may fail by what the model says: its calls and JSON meet their schemas, yet it
# takes 30 for 3, adds an argument that the schema leaves open, or never ends a joke. Errors of the
# protocol are none of these, and fail. test_known.py does the same with what the model was trained
# to answer.
BEYOND_5_MILLION_PARAMETERS = {
    "test_agent_loop", "test_json_mode", "test_structured_output", "test_structured_output_async",
    "test_structured_output_pydantic_2_v1", "test_tool_calling", "test_tool_calling_async",
    "test_tool_calling_with_no_arguments", "test_unicode_tool_call_integration",
}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.originalname in BEYOND_5_MILLION_PARAMETERS:
            item.add_marker(pytest.mark.xfail(
                reason="asks more than the demo model of 5.8 million parameters can answer",
                raises=(AssertionError, openai.LengthFinishReasonError, OutputParserException),
                strict=False))
