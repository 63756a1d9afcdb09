"""What answers cost, as figures by model."""

from collections.abc import Callable

from localai.core import metrics
from localai.core.measure import Measures
from localai.infer.engine import Usage


def counted(measures: Measures, model: str, context: int) -> Callable[[Usage], None]:
    """What hears the cost of each answer of a model, also of one that was closed midway.

    One that was given up before its first token counts as nothing. `context` is 0 where nobody
    knows how many tokens the model takes.
    """

    def spent(usage: Usage) -> None:
        if not usage.ttft_ms:
            return
        prefill = usage.ttft_ms / 1000
        measures.observe(metrics.FIRST_TOKEN, prefill, model)
        measures.count(metrics.ENGINE_SECONDS, model, "prefill", by=prefill)
        _tokens(measures, model, usage)
        if usage.tokens_per_second > 0:
            between = 1 / usage.tokens_per_second
            measures.observe(metrics.INTER_TOKEN, between, model)
            decode = (usage.completion_tokens - 1) * between
            measures.count(metrics.ENGINE_SECONDS, model, "decode", by=decode)
        if context:
            filled = usage.prompt_tokens + usage.completion_tokens
            measures.observe(metrics.CONTEXT_USED, filled / context, model)

    return spent


def _tokens(measures: Measures, model: str, usage: Usage) -> None:
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    kinds = {
        "prompt": usage.prompt_tokens - cached,
        "cached": cached,
        "generated": usage.completion_tokens,
    }
    for kind, tokens in kinds.items():
        measures.count(metrics.TOKENS, model, kind, by=tokens)
