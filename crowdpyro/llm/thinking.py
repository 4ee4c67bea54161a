"""Chat templates, and models that think before they answer: the answer is scored after an empty think block.

An option scored where a model is about to reason tells little of its answer. Reasoning is switched off where the
template has a switch for it (Qwen3); a block that the template leaves open is closed (DeepSeek-R1), and one is put in
where the template cuts thoughts out of earlier turns, so that the model thinks by itself, but has no switch
(DeepSeek-R1 as first released).
"""

from __future__ import annotations

from typing import Any

OPEN, CLOSE, SWITCH = "<think>", "</think>", "enable_thinking"
EMPTY_BLOCK = f"{OPEN}\n\n{CLOSE}\n\n"


def user_turn(tokenizer: Any, prompt: str) -> str:
    """The chat up to where the model's turn begins, reasoning switched off."""
    turn = [{"role": "user", "content": prompt}]
    return str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=False))


def closing(tokenizer: Any) -> str:
    """What must follow `user_turn` so that the answer comes next; the same for every prompt."""
    shown = user_turn(tokenizer, "a")
    opened, closed = shown.rfind(OPEN), shown.rfind(CLOSE)
    if opened > closed:
        return f"{'' if shown.endswith(chr(10)) else chr(10)}\n{CLOSE}\n\n"
    template = str(tokenizer.get_chat_template())
    thinks = closed < 0 and CLOSE in template and SWITCH not in template
    return EMPTY_BLOCK if thinks else ""
