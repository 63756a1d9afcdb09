"""Writes the trained starter as a GGUF file: `python training/starter/export.py --run DIR FILE`."""

import argparse
import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
import tokens
import torch
from gguf.quants import quantize
from model import Shape, Starter
from tokenizers import Tokenizer

NAMES = {
    "mixer_norm.weight": "attn_norm.weight",
    "mixer.in_proj.weight": "shortconv.in_proj.weight",
    "mixer.conv": "shortconv.conv.weight",
    "mixer.q_proj.weight": "attn_q.weight",
    "mixer.k_proj.weight": "attn_k.weight",
    "mixer.v_proj.weight": "attn_v.weight",
    "mixer.q_norm.weight": "attn_q_norm.weight",
    "mixer.k_norm.weight": "attn_k_norm.weight",
    "ffn_norm.weight": "ffn_norm.weight",
    "gate.weight": "ffn_gate.weight",
    "up.weight": "ffn_up.weight",
    "down.weight": "ffn_down.weight",
}
KINDS = {"f16": gguf.GGMLQuantizationType.F16, "q8_0": gguf.GGMLQuantizationType.Q8_0}


def write(model: Starter, tokenizer: Tokenizer, file: Path, kind: str) -> None:
    """The model as a GGUF file of the `lfm2` architecture, matrices as `kind`."""
    shape = model.shape
    writer = gguf.GGUFWriter(file, "lfm2")
    writer.add_name("starter")
    writer.add_description("A tiny model with a handful of skills; ships with localai")
    writer.add_license("Apache-2.0")
    writer.add_languages(["en", "ko"])
    is_q8 = kind == "q8_0"
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if is_q8 else gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(len(shape.layout))
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv([shape.kv_heads * (kind == "a") for kind in shape.layout])
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_rope_dimension_count(shape.rotary)
    writer.add_shortconv_l_cache(shape.kernel)
    writer.add_vocab_size(shape.vocabulary)
    # Copying is its trade: the likeliest token, always.
    writer.add_float32("general.sampling.temp", 0.0)
    _vocabulary(writer, tokenizer)
    learnt = {name: tensor for name, tensor in model.state_dict().items() if "judge" not in name}
    for name, tensor in learnt.items():
        _tensor(writer, _named(name, shape), tensor.float().numpy(), KINDS[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def load(run: Path) -> tuple[Starter, Tokenizer]:
    """The model and the tokenizer of a training run."""
    kept = torch.load(run / "checkpoint.pt", weights_only=False, map_location="cpu")
    model = Starter(Shape(**kept["shape"]))
    model.load_state_dict(kept["model"])
    return model.eval(), Tokenizer.from_file(str(run / "tokenizer.json"))


def _named(name: str, shape: Shape) -> str:
    if name == "embedding.weight":
        return "token_embd.weight"
    if name == "norm.weight":
        return "token_embd_norm.weight"  # what lfm2 calls the norm before the output
    _, layer, part = name.split(".", 2)
    is_attention = shape.layout[int(layer)] == "a"
    out = "attn_output.weight" if is_attention else "shortconv.out_proj.weight"
    return f"blk.{layer}.{out if part == 'mixer.out_proj.weight' else NAMES[part]}"


def _tensor(
    writer: gguf.GGUFWriter, name: str, value: np.ndarray, kind: gguf.GGMLQuantizationType
) -> None:
    if value.ndim == 1 or name.endswith("conv.weight"):
        writer.add_tensor(name, value.astype(np.float32))
    elif kind is gguf.GGMLQuantizationType.F16:
        writer.add_tensor(name, value.astype(np.float16))
    else:
        writer.add_tensor(name, quantize(value, kind), raw_dtype=kind)


def _vocabulary(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    described = json.loads(tokenizer.to_str())
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    spellings = [spelling for spelling, _ in by_id]
    merges = [
        pair if isinstance(pair, str) else " ".join(pair) for pair in described["model"]["merges"]
    ]
    kinds = [gguf.TokenType.NORMAL] * len(spellings)
    for spelling in tokens.CONTROL:
        kinds[spellings.index(spelling)] = gguf.TokenType.CONTROL
    for spelling in tokens.MARKS:
        kinds[spellings.index(spelling)] = gguf.TokenType.USER_DEFINED
    end = tokenizer.token_to_id(tokens.END)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(spellings)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(end)
    writer.add_eot_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokens.TEMPLATE)


def main() -> None:
    """Write the file and say its size and digest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="where train.py wrote")
    parser.add_argument("--kind", choices=sorted(KINDS), default="q8_0")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    model, tokenizer = load(options.run)
    write(model, tokenizer, options.file, options.kind)
    data = options.file.read_bytes()
    print(f"{options.file}: {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
