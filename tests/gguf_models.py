"""Tiny GGUF models that the tests write themselves, each in well under a second.

`random_llama` says nonsense and is good for plumbing. `scripted` says exactly what a test asks
for, through the real engine. `rambling` begins as it is told and then says anything at all. The
rest are broken on purpose.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

Weights = dict[str, npt.NDArray[np.float16]]

CHATML = (
    "{%- for m in messages -%}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{%- for call in m.tool_calls or [] -%}"
    "<tool_call>{{ call.function | tojson }}</tool_call>"
    "{%- endfor -%}<|im_end|>\n{% endfor -%}"
)
_TOOLS = "{%- if tools -%}<|im_start|>tools\n{{ tools | tojson }}<|im_end|>\n{% endif -%}"
_SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
_SYLLABLES = "가나다라마바사아자차카타파하안녕세요오늘은이의를을에서한국어"
_CHUNK = 7


@dataclass(frozen=True)
class Loop:
    """A reply that is said again and again, until somebody stops it."""

    text: str


@dataclass(frozen=True)
class _Shape:
    layers: int
    width: int
    heads: int
    kv_heads: int
    ffn: int

    def matrices(self, vocabulary: int) -> dict[str, tuple[int, int]]:
        """Every weight matrix's size, outputs first."""
        kv = self.width // self.heads * self.kv_heads
        found = {
            "token_embd.weight": (vocabulary, self.width),
            "output.weight": (vocabulary, self.width),
        }
        for n in range(self.layers):
            found |= {
                f"blk.{n}.attn_q.weight": (self.width, self.width),
                f"blk.{n}.attn_k.weight": (kv, self.width),
                f"blk.{n}.attn_v.weight": (kv, self.width),
                f"blk.{n}.attn_output.weight": (self.width, self.width),
                f"blk.{n}.ffn_gate.weight": (self.ffn, self.width),
                f"blk.{n}.ffn_up.weight": (self.ffn, self.width),
                f"blk.{n}.ffn_down.weight": (self.width, self.ffn),
            }
        return found

    def norms(self) -> list[str]:
        blocks = [f"blk.{n}.{part}" for n in range(self.layers) for part in ("attn", "ffn")]
        return ["output_norm.weight", *(f"{block}_norm.weight" for block in blocks)]


def tool_call(name: str, /, **arguments: object) -> str:
    """What a model writes to call a tool."""
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"


def random_llama(
    path: Path,
    *,
    context: int = 2048,
    template: str | None = None,
    seed: int = 7,
    sampling: Mapping[str, float | str] | None = None,
    split: int = 0,
) -> Path:
    """A two-layer llama with random weights and a byte-level tokenizer that knows some Hangul.

    `template` "" leaves the chat template out; `sampling` is what the file recommends; `split`
    begins another file after so many tensors, each named after `path`.
    """
    tokens = [*_byte_tokens(), *_SPECIALS]
    merges = []
    for syllable in _SYLLABLES:
        a, b, c = (_spell(bytes([byte])) for byte in syllable.encode())
        for left, right in ((a, b), (a + b, c)):
            if left + right not in tokens:
                tokens.append(left + right)
                merges.append(f"{left} {right}")
    rng = np.random.default_rng(seed)
    shape = _Shape(layers=2, width=64, heads=4, kv_heads=2, ffn=128)
    weights = {
        name: rng.normal(0, 0.1, size).astype(np.float16)
        for name, size in shape.matrices(len(tokens)).items()
    }
    if template is None:
        template = _TOOLS + CHATML + "<|im_start|>assistant\n"
    file = _Writer(path, shape, context, template)
    file.gguf.split_max_tensors = split
    for name, value in (sampling or {}).items():
        add = file.gguf.add_string if isinstance(value, str) else file.gguf.add_float32
        add(f"general.sampling.{name}", value)
    file.byte_pairs(tokens, merges)
    return file.write(weights)


def scripted(
    path: Path,
    rules: Sequence[tuple[str, str | Loop]],
    default: str | Loop = "I have nothing to say.",
    *,
    context: int = 16384,
    marks: Sequence[str] = (),
    template: str | None = None,
    layers: int = 1,
) -> Path:
    """A model whose every answer is written here: the first rule that holds says its reply.

    A rule is a Jinja expression over `messages`, `last` (the last message) and `tools`, and the
    reply, Markdown, Korean or `tool_call(...)`. `marks` are spellings that become tokens of
    their own, as `<tool_call>` is in Qwen's vocabulary; each may stand in one reply only.

    The weights are a table of bigrams: attention and feed-forward add nothing, a token's
    embedding is the code of the token that follows it, and the output rows are the codes. So
    any sampler says the same. The template ends the prompt with the token that begins a reply.
    More `layers` only make it slower.
    """
    replies = [reply for _, reply in rules] + [default]
    starts = {_text(reply): f"<|reply_{n}|>" for n, reply in enumerate(replies)}
    tokens = [*_byte_tokens(), *_SPECIALS, *starts.values(), *marks]
    follows: dict[str, str] = {}
    taken: set[str] = set()
    for reply in sorted(set(replies), key=lambda reply: len(_text(reply).encode())):
        chunks = _chunks(_text(reply), marks, taken)
        taken.update(chunks)
        tokens += [chunk for chunk in chunks if chunk not in tokens]
        end = chunks[0] if isinstance(reply, Loop) else "<|im_end|>"
        follows.update(zip([starts[_text(reply)], *chunks], [*chunks, end], strict=True))
    shape = _Shape(layers, width=64, heads=2, kv_heads=2, ffn=64)
    weights = _bigrams(shape, tokens, follows, end="<|im_end|>")
    if template is None:
        template = _TOOLS + CHATML + _choice(rules, starts, default)
    file = _Writer(path, shape, context, template)
    file.byte_pairs(tokens, [], marks)
    return file.write(weights)


def rambling(
    path: Path,
    said: str = "",
    *,
    marks: Sequence[str] = (),
    words: Sequence[str] = (),
    template: str | None = None,
) -> Path:
    """A model whose every answer begins with `said` and goes on with any token, all as likely.

    `marks` are spellings that are tokens of their own, as in `scripted`; `words` are more of the
    ordinary ones.
    """
    chunks = _chunks(said, marks, set())
    start = "<|reply_0|>"
    tokens = [*_byte_tokens(), *_SPECIALS, start, *marks]
    spelt = [_spell(word.encode()) for word in words]
    tokens += [chunk for chunk in dict.fromkeys([*chunks, *spelt]) if chunk not in tokens]
    follows = dict(zip([start, *chunks], chunks, strict=False))
    shape = _Shape(layers=1, width=64, heads=2, kv_heads=2, ffn=64)
    weights = _bigrams(shape, tokens, follows, end="<|im_end|>")
    # Nothing in, nothing out: after such a token each is as good as another.
    weights["token_embd.weight"][[n for n, token in enumerate(tokens) if token not in follows]] = 0
    template = template or _TOOLS + CHATML + _choice([], {said: start}, said)
    file = _Writer(path, shape, 16384, template)
    file.byte_pairs(tokens, [], marks)
    return file.write(weights)


def windowed(path: Path, *, window: int = 256, context: int = 8192) -> Path:
    """A Gemma 3 of twelve blocks, two of which see more than a window; the weights are random."""
    tokens = [*_byte_tokens(), *_SPECIALS]
    shape = _Shape(layers=12, width=64, heads=4, kv_heads=2, ffn=128)
    rng = np.random.default_rng(5)
    weights = {
        name: rng.normal(0, 0.1, size).astype(np.float16)
        for name, size in shape.matrices(len(tokens)).items()
        if name != "output.weight"
    }
    file = _Writer(path, shape, context, "", architecture="gemma3")
    file.gguf.add_sliding_window(window)
    file.gguf.add_key_length(16)
    file.gguf.add_value_length(16)
    file.byte_pairs(tokens, [])
    for n in range(shape.layers):
        for part, size in (
            ("attn_q", 16),
            ("attn_k", 16),
            ("post_attention", 64),
            ("post_ffw", 64),
        ):
            file.gguf.add_tensor(f"blk.{n}.{part}_norm.weight", np.ones(size, np.float32))
    return file.write(weights)


def sentencepiece(path: Path, words: Sequence[str] = ("Hello", "there")) -> Path:
    """A model with Llama 2's kind of tokenizer and no chat template; it says `words`.

    Each word's token begins with the space before it, as that tokenizer has it.
    """
    spelt = [f"\u2581{word}" for word in words]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), ":", *spelt]
    shape = _Shape(layers=1, width=64, heads=2, kv_heads=2, ffn=64)
    follows = dict(zip([":", *spelt], [*spelt, "</s>"], strict=True))
    file = _Writer(path, shape, context=512, template="")
    file.sentencepieces(tokens)
    return file.write(_bigrams(shape, tokens, follows, end="</s>"))


def truncated(path: Path, source: Path, share: float = 0.5) -> Path:
    """The first `share` of the file at `source`: a download that stopped."""
    whole = source.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def garbage(path: Path, size: int = 4096, *, magic: bool = False) -> Path:
    """Random bytes, after GGUF's own magic number where `magic`."""
    noise = random.Random(size).randbytes(size)
    path.write_bytes((b"GGUF" if magic else b"") + noise)
    return path


def _choice(
    rules: Sequence[tuple[str, str | Loop]], starts: dict[str, str], default: str | Loop
) -> str:
    """The end of the template: the first rule that holds names the reply's first token."""
    branches = [f"{{%- if {rule} -%}}{starts[_text(reply)]}" for rule, reply in rules]
    otherwise = starts[_text(default)]
    chosen = "{%- else -%}".join([*branches, otherwise]) + "{%- endif -%}" * len(rules)
    return "{%- set last = messages[-1] -%}<|im_start|>assistant\n" + chosen


def _text(reply: str | Loop) -> str:
    return reply.text if isinstance(reply, Loop) else reply


def _chunks(text: str, marks: Sequence[str], taken: set[str]) -> list[str]:
    """`text` cut into tokens that no other reply has: in a bigram a token knows one successor."""
    found: list[str] = []
    rest = text
    while rest:
        mark = min((m for m in marks if m in rest), key=rest.index, default="")
        before, _, rest = rest.partition(mark) if mark else (rest, "", "")
        found += _cut(before.encode(), taken | set(found)) + ([mark] if mark else [])
    return found


def _cut(data: bytes, taken: set[str]) -> list[str]:
    # A few bytes a token, so that Korean syllables are split between tokens.
    found: list[str] = []
    start = 0
    while start < len(data):
        used = taken.union(found)
        ends = (n for n in range(start + _CHUNK, len(data)) if not _opens(data[:n]))
        end = next((n for n in ends if _spell(data[start:n]) not in used), len(data))
        found.append(_spell(data[start:end]))
        start = end
    while len(found) > 1 and found[-1] in taken.union(found[:-1]):
        found[-2:] = [found[-2] + found[-1]]
    return found


def _opens(data: bytes) -> bool:
    """Whether a call begins right after it: a token that ends there would start the grammar."""
    return data.rstrip().endswith(b"<tool_call>")


def _spell(data: bytes) -> str:
    """Bytes in the letters that a GPT-2 vocabulary writes them in."""
    return "".join(_LETTERS[byte] for byte in data)


def _byte_tokens() -> list[str]:
    return [_LETTERS[byte] for byte in range(256)]


def _letters() -> list[str]:
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte if byte in shown else next(spare)) for byte in range(256)]


_LETTERS = _letters()


def _bigrams(shape: _Shape, tokens: Sequence[str], follows: dict[str, str], end: str) -> Weights:
    ids = {token: n for n, token in enumerate(tokens)}
    codes = np.random.default_rng(len(tokens)).choice([-1.0, 1.0], (len(tokens), shape.width))
    following = [ids[follows.get(token, end)] for token in tokens]
    assert (np.argmax(codes[following] @ codes.T, axis=1) == following).all()
    weights = {
        name: np.zeros(size, np.float16) for name, size in shape.matrices(len(tokens)).items()
    }
    weights["token_embd.weight"] = codes[following].astype(np.float16)
    weights["output.weight"] = codes.astype(np.float16)
    return weights


class _Writer:
    """One GGUF file on its way to disk."""

    def __init__(
        self, path: Path, shape: _Shape, context: int, template: str, architecture: str = "llama"
    ) -> None:
        self.path = path
        self.shape = shape
        self.gguf = gguf.GGUFWriter(path, architecture)
        self.gguf.add_name(path.stem)
        self.gguf.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
        self.gguf.add_context_length(context)
        self.gguf.add_block_count(shape.layers)
        self.gguf.add_embedding_length(shape.width)
        self.gguf.add_feed_forward_length(shape.ffn)
        self.gguf.add_head_count(shape.heads)
        self.gguf.add_head_count_kv(shape.kv_heads)
        self.gguf.add_rope_dimension_count(shape.width // shape.heads)
        self.gguf.add_layer_norm_rms_eps(1e-6)
        if template:
            self.gguf.add_chat_template(template)

    def byte_pairs(
        self, tokens: Sequence[str], merges: Sequence[str], marks: Sequence[str] = ()
    ) -> None:
        first, second, *_ = tokens
        self.gguf.add_tokenizer_model("gpt2")
        self.gguf.add_tokenizer_pre("qwen2")
        self.gguf.add_token_list(list(tokens))
        self.gguf.add_token_types([_kind(token, marks) for token in tokens])
        self.gguf.add_token_merges(list(merges) or [f"{first} {second}"])
        self.gguf.add_eos_token_id(tokens.index("<|im_end|>"))
        self.gguf.add_bos_token_id(tokens.index("<|endoftext|>"))
        self.gguf.add_add_bos_token(False)

    def sentencepieces(self, tokens: Sequence[str]) -> None:
        kinds = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 2
        kinds += [gguf.TokenType.BYTE] * 256
        self.gguf.add_tokenizer_model("llama")
        self.gguf.add_token_list(list(tokens))
        self.gguf.add_token_scores([0.0] * len(tokens))
        rest = len(tokens) - len(kinds)
        self.gguf.add_token_types([*kinds, *[gguf.TokenType.NORMAL] * rest])
        self.gguf.add_unk_token_id(0)
        self.gguf.add_bos_token_id(1)
        self.gguf.add_eos_token_id(2)
        self.gguf.add_add_bos_token(True)

    def write(self, weights: Weights) -> Path:
        for name, weight in weights.items():
            self.gguf.add_tensor(name, weight)
        for name in self.shape.norms():
            self.gguf.add_tensor(name, np.ones(self.shape.width, np.float32))
        self.gguf.write_header_to_file()
        self.gguf.write_kv_data_to_file()
        self.gguf.write_tensors_to_file()
        self.gguf.close()
        return self.path


def _kind(token: str, marks: Sequence[str]) -> int:
    if token in marks:
        return gguf.TokenType.USER_DEFINED
    is_special = token.startswith("<|") and token.endswith("|>") and len(token) > 4
    return gguf.TokenType.CONTROL if is_special else gguf.TokenType.NORMAL
