"""The starter's network: LFM2, gated short convolutions between a few attention layers.

The convolutions put the last three tokens beside each one, so that attention can look for "what
followed these words before" in a single step: copying, which is most of what this model does,
is then learnt in minutes. llama.cpp runs the architecture as `lfm2`.

Liquid AI, LFM2 Technical Report, 2025, arXiv:2511.23404; Arora et al., Zoology: Measuring and
Improving Recall in Efficient Language Models, 2023, arXiv:2312.04927.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes; `layout` has a letter a layer, c for convolution, a for attention."""

    vocabulary: int
    layout: str = "cacaca"
    width: int = 256
    heads: int = 4
    kv_heads: int = 4
    ffn: int = 512
    kernel: int = 4
    rotary: int = 16
    rope_base: float = 10_000.0
    context: int = 2048
    eps: float = 1e-5
    topics: int = 0

    @property
    def head(self) -> int:
        """The width of one head."""
        return self.width // self.heads

    def asdict(self) -> dict[str, object]:
        """As plain values, for a checkpoint."""
        return asdict(self)


class Norm(nn.Module):
    """RMSNorm over the last axis."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Norm it."""
        return functional.rms_norm(x, x.shape[-1:], self.weight.to(x.dtype), self.eps)


class ShortConvolution(nn.Module):
    """`C * conv(B * x)`, causal, a kernel of its own for every channel."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, self.kernel = shape.width, shape.kernel
        self.in_proj = nn.Linear(width, 3 * width, bias=False)
        self.out_proj = nn.Linear(width, width, bias=False)
        # Each channel begins as a delay of 0 to kernel - 1 tokens; tap -1 is the token itself.
        taps = torch.randn(width, self.kernel) * 0.05
        taps[torch.arange(width), torch.arange(width) % self.kernel] += 1.0
        self.conv = nn.Parameter(taps)

    def forward(self, x: Tensor, _: Tensor) -> Tensor:
        """Mix each token with the ones before it."""
        b, c, x = self.in_proj(x).chunk(3, dim=-1)
        bx = b * x
        length = bx.shape[1]
        padded = functional.pad(bx, (0, 0, self.kernel - 1, 0))
        taps = self.conv.to(bx.dtype)
        y = sum(padded[:, k : k + length] * taps[:, k] for k in range(self.kernel))
        return self.out_proj(c * y)


class Attention(nn.Module):
    """Grouped-query attention with normed queries and keys, rotary on the first dimensions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv = shape.head * shape.kv_heads
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, kv, bias=False)
        self.v_proj = nn.Linear(shape.width, kv, bias=False)
        self.out_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.q_norm = Norm(shape.head, shape.eps)
        self.k_norm = Norm(shape.head, shape.eps)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """Look at all tokens up to each one."""
        batch, length, _ = x.shape
        shape = self.shape
        q = self.q_proj(x).view(batch, length, shape.heads, shape.head)
        k = self.k_proj(x).view(batch, length, shape.kv_heads, shape.head)
        v = self.v_proj(x).view(batch, length, shape.kv_heads, shape.head)
        q = rotate(self.q_norm(q), angles, shape.rotary).transpose(1, 2)
        k = rotate(self.k_norm(k), angles, shape.rotary).transpose(1, 2)
        v = v.transpose(1, 2)
        group = shape.heads // shape.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(y.transpose(1, 2).reshape(batch, length, shape.width))


class Layer(nn.Module):
    """A mixer of tokens and a SwiGLU, each behind a norm and beside a residual."""

    def __init__(self, shape: Shape, kind: str) -> None:
        super().__init__()
        self.mixer_norm = Norm(shape.width, shape.eps)
        self.mixer = Attention(shape) if kind == "a" else ShortConvolution(shape)
        self.ffn_norm = Norm(shape.width, shape.eps)
        self.gate = nn.Linear(shape.width, shape.ffn, bias=False)
        self.up = nn.Linear(shape.width, shape.ffn, bias=False)
        self.down = nn.Linear(shape.ffn, shape.width, bias=False)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """One layer further."""
        x = x + self.mixer(self.mixer_norm(x), angles)
        h = self.ffn_norm(x)
        return x + self.down(functional.silu(self.gate(h)) * self.up(h))


class Starter(nn.Module):
    """Token ids [batch, length] to hidden states; the embedding is also the output matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape, kind) for kind in shape.layout)
        self.norm = Norm(shape.width, shape.eps)
        # For training alone: what a sentence or a question is about, and whether it is the answer.
        self.judge = nn.Linear(shape.width, shape.topics + 1)
        self._initialise()

    def _initialise(self) -> None:
        for name, weight in self.named_parameters():
            if weight.ndim != 2 or name.endswith("conv"):
                continue
            is_last = name.endswith(("out_proj.weight", "down.weight"))
            std = weight.shape[1] ** -0.5 * (0.2 if is_last else 1.0)
            nn.init.normal_(weight, std=std)
        nn.init.constant_(self.norm.weight, 0.25)  # tied logits begin modest
        if self.shape.layout.startswith("ca"):
            teach_copying(self)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states [batch, length, width]: normed for `logits`, and as the last layer sees."""
        angles = self._angles(ids.shape[1], ids.device)
        x = self.embedding(ids)
        for layer in self.layers[:-1]:
            x = layer(x, angles)
        return self.norm(self.layers[-1](x, angles)), x

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of every token."""
        return functional.linear(hidden, self.embedding.weight)

    def judgements(self, x: Tensor) -> Tensor:
        """Scores [..., topics + 1] of what the last layer sees: its topic, and being the answer."""
        return self.judge(functional.rms_norm(x, x.shape[-1:]))

    def _angles(self, length: int, device: torch.device) -> Tensor:
        half = self.shape.rotary // 2
        steps = torch.arange(half, device=device, dtype=torch.float32) / half
        rates = self.shape.rope_base**-steps
        return torch.outer(torch.arange(length, device=device, dtype=torch.float32), rates)


def rotate(x: Tensor, angles: Tensor, rotary: int) -> Tensor:
    """Rotary positions in NeoX order on the first `rotary` dimensions of each head."""
    turned, rest = x[..., :rotary], x[..., rotary:]
    a, b = turned.chunk(2, dim=-1)
    cos = angles.cos()[:, None].to(x.dtype)
    sin = angles.sin()[:, None].to(x.dtype)
    return torch.cat((a * cos - b * sin, a * sin + b * cos, rest), dim=-1)


@torch.no_grad()
def teach_copying(model: Starter) -> None:
    """Begin with induction heads in place, so that the model copies before it has learnt anything.

    A token's embedding fills the lower half of the width, its first dimension a constant for the
    gates of the first convolution to open on. That convolution writes the three tokens before
    into the upper half. The first attention compares the last three tokens with the three before
    each place, and hands on what stood there (Olsson et al., In-context Learning and Induction
    Heads, 2022, arXiv:2209.11895, found ready-made). Half of the heads of the later attentions
    write down whatever token they look at: where to look is theirs to learn.
    """
    shape = model.shape
    half, delays = shape.width // 2, shape.kernel - 1
    slot = half // delays
    embedding = model.embedding.weight
    embedding.normal_(std=0.5)
    embedding[:, half:] *= 0.04
    embedding[:, 0] = 2.0

    convolution: ShortConvolution = model.layers[0].mixer
    b, c, x = convolution.in_proj.weight.chunk(3)
    view = torch.randn(slot, half) * half**-0.5
    view[:, 0] = 0
    used = slot * delays
    for gate in (b, c):
        gate[:used] *= 0.05
        gate[:used, 0] = 0.25
    convolution.conv[:used] = torch.randn(used, shape.kernel) * 0.02
    for delay in range(1, delays + 1):
        rows = slice((delay - 1) * slot, delay * slot)
        x[rows] = 0
        x[rows, :half] = view
        convolution.conv[rows, -1 - delay] = 1.0
        convolution.out_proj.weight[:, rows] *= 0.05
        for n in range(slot):
            convolution.out_proj.weight[half + rows.start + n, rows.start + n] = 1.0

    attention: Attention = model.layers[1].mixer
    heads = shape.heads // 2  # the others are free to look for something else
    wide = (shape.head - shape.rotary) // delays
    for weight in (attention.q_proj.weight, attention.k_proj.weight):
        weight[: heads * shape.head] *= 0.05
    past = [half + n * slot for n in range(delays)]
    for head in range(heads):
        for n in range(delays):
            probe = torch.randn(wide, slot) * slot**-0.5 * (1.0, 0.8, 0.6)[n]
            start = head * shape.head + shape.rotary + n * wide
            rows = slice(start, start + wide)
            attention.k_proj.weight[rows, past[n] : past[n] + slot] = probe
            if n == 0:
                attention.q_proj.weight[rows, :half] = probe @ view
            else:
                attention.q_proj.weight[rows, past[n - 1] : past[n - 1] + slot] = probe
    for layer in model.layers[1:]:
        if isinstance(layer.mixer, Attention):
            _hand_on(layer.mixer, half, 2.5 if layer.mixer is attention else 1.0)
    nn.init.constant_(attention.q_norm.weight, 2.2)
    nn.init.constant_(attention.k_norm.weight, 2.2)


def _hand_on(attention: Attention, half: int, strength: float) -> None:
    shape = attention.shape
    heads = shape.heads // 2
    wide = half // heads
    rows = slice(0, heads * shape.head)
    attention.v_proj.weight[rows] *= 0.05
    attention.out_proj.weight[:, rows] *= 0.2
    for head in range(heads):
        for n in range(wide):
            place = head * wide + n
            if place:  # the constant is nobody's to copy
                attention.v_proj.weight[head * shape.head + n, place] = 1.0
                attention.out_proj.weight[place, head * shape.head + n] = strength
