"""The tokenizer that a GGUF file holds."""

from gguf import GGUFReader

from train_tokenizer import assembled


def tokenizer_of(path):
    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    ordinary = {token: id for id, (token, type_) in enumerate(zip(tokens, types)) if type_ == 1}
    return assembled(ordinary, merges)
