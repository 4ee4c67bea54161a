"""Control tokens in a person's text: read as the characters that they are, not as the turns of a chat.

A comment that holds "<|im_end|>" would end the user's turn, and go on as the model's own. Each such word is cut after
its first character, and the parts are tokenized one by one: none of them is a token that steers. Texts without are
tokenized as ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

from .thinking import CLOSE, OPEN

# Marks a cut: Unicode keeps it free of any meaning, for use within programs.
CUT = "\ufdd0"


@dataclass(frozen=True)
class ControlTokens:
    """Those of one tokenizer.

    Parameters
    ----------
    pattern
        Finds the longest of them at a place.
    """

    pattern: re.Pattern[str]

    @classmethod
    def of(cls, tokenizer: Any) -> Self:
        """The tokenizer's special tokens, those that its chat template writes, and the marks of a think block."""
        template = str(getattr(tokenizer, "chat_template", None) or "")
        words = {OPEN, CLOSE}
        for token in tokenizer.added_tokens_decoder.values():
            # White space may be an added token as well, and stands in every text.
            if len(token.content) > 1 and not token.content.isspace() and (token.special or token.content in template):
                words.add(token.content)
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        return cls(re.compile("|".join(map(re.escape, longest_first))))

    def cut(self, text: str) -> str:
        """The text with a cut in every control token."""
        parts, at = [], 0
        while (match := self.pattern.search(text, at)) is not None:
            # What a cut leaves may begin with another such word: the search goes on right behind it.
            parts.append(text[at : match.start() + 1])
            at = match.start() + 1
        return CUT.join([*parts, text[at:]])
