"""Replaces secrets in text that is logged, stored or printed (law L4). Pure."""

import re
from typing import Final

# Bounded and without nested repetition, so it takes linear time on any input.
_SECRETS: Final = re.compile(
    r"sk-[A-Za-z0-9_-]{8,}"  # Anthropic, OpenAI and similar
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abpr]-|AKIA|AIza|ya29\.)[A-Za-z0-9_.-]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){1,2}"  # a JWT
    r"|\b(?<=Bearer )[A-Za-z0-9._~+/=-]{6,}"
    r"|\b(?<=Basic )[A-Za-z0-9+/=]{8,}"
    r"|(?<=://)[^\s/:@]{1,64}:[^\s/@]{1,128}(?=@)"  # credentials in a URL
    r"|\b[A-Fa-f0-9]{40,}\b"
    r"|\b(?=[A-Za-z_-]{0,64}[0-9])[A-Za-z0-9_-]{40,}\b"  # a long random word of letters and digits
)
_NAMED: Final = re.compile(
    r"(?i)\b([A-Z0-9_]{0,40}(?:token|secret|password|passwd|api[_-]?key|authorization)[\"']?\s{0,2}[=:]\s{0,2}[\"']?)"
    r"(?!bearer\b|basic\b)([^\s\"',;]{6,})"
)


def redact(text: str) -> str:
    """The text with everything that looks like a secret replaced by ``[redacted]``."""
    text = _SECRETS.sub("[redacted]", text)
    return _NAMED.sub(r"\1[redacted]", text)
