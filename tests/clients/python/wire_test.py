"""What requests and events become on the wire and back."""

import unittest

import hearth
from hearth import _wire
from hearth.v1 import inference_pb2 as pb


class Requests(unittest.TestCase):

    def test_what_is_left_out_stays_out(self):
        request = _wire.chat("Hi")
        self.assertEqual(request, pb.ChatRequest(
            messages=[pb.Message(role=pb.ROLE_USER, content="Hi")], options=pb.Options()))
        self.assertFalse(request.HasField("tool_choice"))
        self.assertFalse(request.HasField("parallel_tool_calls"))

    def test_every_option_arrives(self):
        options = _wire.generate("x", options=hearth.Options(
            max_tokens=0, n=2, temperature=0, top_p=0.5, top_k=3, min_p=0.25,
            repetition_penalty=1.5, frequency_penalty=-1, presence_penalty=1,
            logit_bias={5: -100}, seed=2**64 - 1, stop=["END"], stop_tokens=[9], min_tokens=1,
            ignore_eos=True, top_logprobs=0, constraint=hearth.Regex("a+"), priority="high",
            cache_key="k", drop_oldest=True)).options
        self.assertEqual(options, pb.Options(
            sampling=pb.Sampling(temperature=0, top_p=0.5, top_k=3, min_p=0.25,
                                 repetition_penalty=1.5, frequency_penalty=-1, presence_penalty=1,
                                 logit_bias={5: -100}, seed=2**64 - 1),
            max_tokens=0, n=2, stop=["END"], stop_tokens=[9], min_tokens=1, ignore_eos=True,
            top_logprobs=0, constraint=pb.Constraint(regex="a+"), priority=pb.PRIORITY_HIGH,
            cache_key="k", overflow=pb.OVERFLOW_DROP_OLDEST))
        known = {field.name for field in pb.Options.DESCRIPTOR.fields}
        self.assertEqual({field.name for field, _ in options.ListFields()}, known)

    def test_constraints(self):
        def of(constraint):
            return _wire.generate("", options=hearth.Options(constraint=constraint)
                                  ).options.constraint
        self.assertEqual(of(hearth.JsonSchema({"type": "object"})).json_schema,
                         '{"type": "object"}')
        self.assertTrue(of(hearth.JsonObject()).json_object)
        self.assertEqual(of(hearth.OneOf(["a", "b"])).choice.texts, ["a", "b"])

    def test_tools(self):
        tool = hearth.Tool("f", "Does", {"type": "object"})
        request = _wire.chat(
            [hearth.Message("assistant", "", [hearth.ToolCall("c", "f", "{}")]),
             hearth.Message("tool", "1", tool_call_id="c")],
            [tool, hearth.Tool("g")], tool_choice=tool, parallel_tool_calls=False)
        self.assertEqual(request.tools[0], pb.Tool(name="f", description="Does",
                                                   parameters='{"type": "object"}'))
        self.assertEqual(request.tools[1].parameters, "")
        self.assertEqual(request.tool_choice.name, "f")
        self.assertFalse(request.parallel_tool_calls)
        self.assertEqual(request.messages[0].tool_calls[0],
                         pb.ToolCall(id="c", name="f", arguments="{}"))
        self.assertEqual(request.messages[1].tool_call_id, "c")
        self.assertEqual(_wire.chat("x", tool_choice="required").tool_choice.mode,
                         pb.ToolChoice.REQUIRED)
        allowed = _wire.chat("x", [tool, hearth.Tool("g")],
                             tool_choice=hearth.AllowedTools([tool], "required")).tool_choice
        self.assertEqual(allowed, pb.ToolChoice(mode=pb.ToolChoice.REQUIRED, allowed=["f"]))

    def test_prefixes(self):
        message = hearth.Message("user", "x")
        tool = hearth.Tool("f")
        self.assertEqual(_wire.prefix("x"), {"text": "x"})
        self.assertEqual(_wire.prefix([1, 2]), {"tokens": pb.TokenIds(ids=[1, 2])})
        self.assertEqual(_wire.prefix([message], [tool]), 
                         {"chat": pb.ChatRequest(messages=[_wire.chat("x").messages[0]],
                                                 tools=[pb.Tool(name="f")])})
        for wrong in ([message, 1], [1, "x"], ["x"]):
            with self.assertRaisesRegex(ValueError, "expected a text, token ids or messages"):
                _wire.prefix(wrong)

    def test_wrong_words_are_refused_here(self):
        for build in (lambda: _wire.generate("x", options=hearth.Options(stop="end")),
                      lambda: _wire.score("x", "yes", (), "", ""),
                      lambda: _wire.generate("x", options=hearth.Options(
                          constraint=hearth.OneOf("yes"))),
                      lambda: _wire.generate("x", options=hearth.Options(constraint={})),
                      lambda: _wire.chat([{"role": "user", "content": "x"}]),
                      lambda: _wire.embed([1, 2], "mean", "")):
            with self.assertRaisesRegex(TypeError, "expected"):
                build()
        for build in (lambda: _wire.chat([hearth.Message("judge", "x")]),
                      lambda: _wire.chat("x", tool_choice="any"),
                      lambda: _wire.chat("x", tool_choice=hearth.AllowedTools([], "any")),
                      lambda: _wire.embed("x", "max", ""),
                      lambda: _wire.generate("x", options=hearth.Options(priority="urgent"))):
            with self.assertRaisesRegex(ValueError, "expected one of"):
                build()


class Events(unittest.TestCase):

    def test_logprobs(self):
        one = pb.TokenLogprob(token=5, logprob=-0.5, text=b"\xff")
        delta = _wire.event(pb.GenerateEvent(delta=pb.Delta(tokens=[4, 5], logprobs=[
            pb.TokenLogprobs(), pb.TokenLogprobs(token=one, top=[one])])))
        same = hearth.TokenLogprob(5, -0.5, b"\xff")
        self.assertEqual(delta.logprobs,
                         (hearth.TokenLogprobs(None, ()), hearth.TokenLogprobs(same, (same,))))

    def test_ends(self):
        end = _wire.event(pb.GenerateEvent(finish=pb.Finish(
            index=1, reason=pb.FINISH_REASON_STOP, stop="END")))
        self.assertEqual(end, hearth.Finish(1, "stop", "END"))
        reply = hearth.Reply()
        reply.add(end)
        self.assertEqual((reply.choices[1].finish_reason, reply.choices[1].stop), ("stop", "END"))

    def test_unknown_kinds_are_left_out(self):
        self.assertIsNone(_wire.event(pb.GenerateEvent()))

    def test_every_kind_is_known(self):
        for field in pb.GenerateEvent.DESCRIPTOR.fields:
            event = pb.GenerateEvent()
            getattr(event, field.name).SetInParent()
            self.assertIsNotNone(_wire.event(event), field.name)

    def test_every_field_of_a_response_has_its_place(self):
        for kind, message in [(hearth.Model, pb.GetModelResponse),
                              (hearth.Load, pb.GetLoadResponse),
                              (hearth.Estimate, pb.EstimateResponse), (hearth.Usage, pb.Usage),
                              (hearth.Accepted, pb.Accepted), (hearth.Progress, pb.Progress),
                              (hearth.ToolCallDelta, pb.ToolCallDelta)]:
            self.assertEqual(list(kind.__annotations__),
                             [field.name for field in message.DESCRIPTOR.fields])


class Replies(unittest.TestCase):

    def test_choices_come_in_any_order(self):
        reply = hearth.Reply()
        for index in (1, 0, 1):
            reply.add(hearth.Delta(index, str(index), (), ()))
        self.assertEqual([choice.text for choice in reply.choices], ["0", "11"])

    def test_what_cannot_be_is_refused(self):
        for event in (hearth.Delta(-1, "", (), ()), hearth.Delta(2**31 - 1, "", (), ()),
                      hearth.ToolCallDelta(0, 1, "", "", ""),
                      hearth.ToolCallDelta(0, -1, "", "", "")):
            with self.assertRaises(ValueError):
                hearth.Reply().add(event)

    def test_calls_that_were_cut_off(self):
        with self.assertRaises(ValueError):
            hearth.ToolCall("c", "f", '{"a":').parsed_arguments()
        with self.assertRaises(ValueError):
            hearth.ToolCall("c", "f", "[]").parsed_arguments()


if __name__ == "__main__":
    unittest.main()
