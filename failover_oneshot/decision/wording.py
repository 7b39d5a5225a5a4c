"""The parts of a decision's sentence: what an operator reads in the journal. Pure."""

from collections.abc import Sequence

from failover_oneshot.config.model import Config
from failover_oneshot.model import Finding, Role
from failover_oneshot.state.model import stamp


def tally(config: Config, findings: Sequence[Finding], pool: int, dedicated: int) -> str:
    """The counts, and what was seen but did not count, in one sentence."""
    quota = config.quota
    in_pool = sum(f.role is Role.POOL for f in findings)
    parts = [f"{pool} of {in_pool} pool sessions blocked (threshold {quota.pool_threshold})"]
    named = len(findings) - in_pool
    if named:
        parts.append(f"{dedicated} of {named} dedicated (threshold {quota.dedicated_threshold})")
    text = ", ".join(parts)
    aside = [f"{f.name} {f.why_not}" for f in findings if f.blocked and not f.counted]
    aside += [f"{f.name} unreadable: {f.error}" for f in findings if f.error is not None]
    if aside:
        more = f"; {len(aside) - 3} more" if len(aside) > 3 else ""
        text += f"; not counted: {'; '.join(aside[:3])}{more}"
    return text


def shown(findings: Sequence[Finding]) -> str:
    """The best piece of evidence: the one with the latest reset."""
    if not findings:
        return "no session shows a hit any more"
    best = max(findings, key=lambda f: (f.resets_at is not None, f.resets_at.timestamp() if f.resets_at else 0.0))
    reset = f", resets {stamp(best.resets_at)}" if best.resets_at else ""
    return f"{best.name} shows “{best.snippet or best.pattern or best.kind}”{reset}"


def names(findings: Sequence[Finding]) -> str:
    """The sessions' names, at most ten of them."""
    more = f" and {len(findings) - 10} more" if len(findings) > 10 else ""
    return ", ".join(f.name for f in findings[:10]) + more
