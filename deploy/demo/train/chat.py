"""A conversation as token ids: the chat format of Phi-4-mini, as engine/chat renders it."""

CONTROL = [
    "<|endoftext|>",
    "<|endofprompt|>",
    "<|assistant|>",
    "<|end|>",
    "<|user|>",
    "<|system|>",
    "<|tag|>",
]
USER_DEFINED = ["<|tool|>", "<|/tool|>", "<|tool_call|>", "<|/tool_call|>", "<|tool_response|>"]
# In the order of Phi-4-mini's ids.
MARKERS = CONTROL[:6] + USER_DEFINED + CONTROL[6:]

# Equivalent to the format above, for readers of the GGUF file that run templates.
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' and message.get('tools') %}"
    "{{ '<|system|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|><|end|>' }}"
    "{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


class Renderer:
    """Markers become ids, the text between two markers is tokenized in one piece."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.marker = {text: tokenizer.token_to_id(text) for text in MARKERS}
        self.stop = (self.marker["<|end|>"], self.marker["<|endoftext|>"])

    def text(self, text):
        return self.tokenizer.encode(text.lstrip(), add_special_tokens=False).ids

    def message(self, role, content, tools=None):
        ids = [self.marker[f"<|{role}|>"], *self.text(content)]
        if role == "system" and tools is not None:
            ids += [self.marker["<|tool|>"], *self.text(tools), self.marker["<|/tool|>"]]
        return ids + [self.marker["<|end|>"]]

    def sample(self, sample):
        """Token ids, and for each whether the model has to write it."""
        ids, wanted = [], []
        for role, content in sample.messages:
            part = self.message(role, content, sample.tools)
            ids += part
            wanted += [False] + [role == "assistant"] * (len(part) - 1)
        return ids, wanted

    def prompt(self, messages, tools=None):
        """Up to where the assistant begins."""
        ids = [id for role, content in messages for id in self.message(role, content, tools)]
        return ids + [self.marker["<|assistant|>"]]
