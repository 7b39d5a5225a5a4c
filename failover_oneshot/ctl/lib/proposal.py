"""The configuration that `init` proposes for the running sessions and the live credentials, and its text. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from failover_oneshot.errors import EXIT_FAILED, FailoverError
from failover_oneshot.lib.plural import plural
from failover_oneshot.tmux.formats import is_shell

AUTOMATIC: Final = re.compile(r"auto|pool|bot|worker|agent|batch", re.IGNORECASE)
AGENTS: Final = frozenset({"claude", "codex", "gemini", "opencode", "aider", "goose"})
_NUMBERED: Final = re.compile(r"(.*[^0-9])(0|[1-9][0-9]{0,5})", re.DOTALL)


class RunningSession(Struct, frozen=True, kw_only=True):
    """One running session."""

    name: str
    agent: bool = False  # a coding agent runs in it
    start_known: bool = False  # tmux knows its start command


class Proposal(Struct, frozen=True, kw_only=True):
    """The proposed pool and dedicated sessions, with notes for the operator."""

    prefix: str | None = None  # None: no pool was found
    indices: tuple[int, ...] = ()
    start_known: bool = True
    dedicated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class AmbiguousError(FailoverError):
    """Several groups of numbered sessions could be the pool; the message names them."""

    exit_code = EXIT_FAILED


def propose(running: Sequence[RunningSession], prefix: str | None = None) -> Proposal:
    """Propose a pool and dedicated sessions.

    ``prefix``: the operator's choice. Without it the pool is the only group of numbered sessions with a name such as
    `auto` or `worker`, else the only group of numbered sessions. Raises AmbiguousError if there are several: a swap
    restarts the pool's sessions, and must not restart one that a person works in.
    """
    groups: dict[str, dict[int, RunningSession]] = {}
    for session in running:
        if match := _NUMBERED.fullmatch(session.name):
            groups.setdefault(match[1], {})[int(match[2])] = session
    groups = {
        name: found
        for name, found in groups.items()
        if name and (AUTOMATIC.search(name) or any(s.agent for s in found.values()))
    }
    chosen = prefix if prefix is not None else _choose(groups)
    members = groups.get(chosen or "", {})
    if prefix is not None and not members:
        members = {i: s for s in running if (i := _index(prefix, s.name)) is not None}
    rest = [s for s in running if s not in members.values()]
    dedicated = tuple(s.name for s in rest if s.agent and s.name.isprintable() and not s.name[-1].isdigit())
    notes = []
    others = sorted(name for name in groups if name != chosen)
    if others:
        left = [f"{name}N ({plural(len(groups[name]), 'session')})" for name in others]
        notes.append(f"not watched: {', '.join(left)}")
    idle = [s.name for s in members.values() if not s.agent]
    if idle:
        what = "this session" if len(idle) == 1 else "these sessions"
        notes.append(f"no agent found in {', '.join(idle)}; a swap would restart {what} anyway")
    return Proposal(
        prefix=chosen,
        indices=tuple(sorted(members)),
        start_known=all(s.start_known for s in members.values()),
        dedicated=dedicated,
        notes=tuple(notes),
    )


def _index(prefix: str, name: str) -> int | None:
    match = _NUMBERED.fullmatch(name)
    return int(match[2]) if match and match[1] == prefix else None


def _choose(groups: dict[str, dict[int, RunningSession]]) -> str | None:
    named = [name for name in groups if AUTOMATIC.search(name)]
    candidates = named or list(groups)
    if len(candidates) > 1:
        said = ", ".join(f"{name!r} ({plural(len(groups[name]), 'session')})" for name in sorted(candidates))
        raise AmbiguousError(
            f"cannot tell which sessions are the pool: {said}. A swap restarts the pool's sessions; choose the pool "
            f"with --prefix, for example --prefix {sorted(candidates)[0]!r}"
        )
    return candidates[0] if candidates else None


def restartable(start_command: str) -> bool:
    """Whether a pane's start command starts a program, not only a shell in which the agent was then typed."""
    words = start_command.removeprefix("exec ").split()
    return bool(words) and not (len(words) == 1 and is_shell(words[0].rpartition("/")[2]))


def is_agent(command: str, title: str) -> bool:
    """Whether a pane's foreground program looks like a coding agent, by its name or by the title it sets."""
    return command in AGENTS or (not is_shell(command) and title[:1] in set("✳◐◑◒◓"))


# -- the text ------------------------------------------------------------------------------------------------------


class ProposalFacts(Struct, frozen=True, kw_only=True):
    """The contents of the generated file. Paths are as they are written into it."""

    proposal: Proposal
    accounts: tuple[tuple[str, str, str], ...] = ()  # name, store, remark
    swap: dict[str, str] = {}  # the section's keys that differ from the default
    tmux: dict[str, str] = {}


def render(facts: ProposalFacts, words: Mapping[str, str]) -> str:
    """The configuration as commented YAML; ``words``: each key's path and its description."""
    found = facts.proposal
    out = [
        "# Configuration of failover-check and failoverctl, written by `failoverctl init` from the running sessions.",
        "# All keys and their defaults: docs/configuration.md and etc/failover.yaml in the project.",
        "# After a change: `failover-check --dry-run` shows what a check would do; `failoverctl doctor` finds errors.",
        "",
        f"# {words['accounts']}",
    ]
    if facts.accounts:
        out.append("accounts:")
        for number, (name, store, remark) in enumerate(facts.accounts):
            out += [f"  # {words['accounts.name']}"] if number == 0 else []
            out.append(f"  - name: {_yaml(name)}{f'  # {_one_line(remark)}' if remark else ''}")
            out += [f"    # {words['accounts.store']}"] if number == 0 else []
            out.append(f"    store: {_yaml(store)}")
    else:
        out.append("accounts: []")
    if facts.swap:
        out += ["", f"# {words['swap']}", "swap:"]
        for key, value in facts.swap.items():
            out += [f"  # {words[f'swap.{key}']}", f"  {key}: {_yaml(value)}"]
    out += ["", f"# {words['pool']}", "pool:", f"  # {words['pool.autonomous']}", "  autonomous:"]
    out += _pool(found, words)
    out += [f"  # {words['pool.dedicated']}"]
    if found.dedicated:
        out.append("  dedicated:")
        for number, name in enumerate(found.dedicated):
            out.append(f"    - name: {_yaml(name)}")
            key = "pool.dedicated.after_swap"
            out += [f"      # {words[key]}"] if number == 0 else []
            out.append("      after_swap: none")
    else:
        out.append("  dedicated: []")
    if facts.tmux:
        out += ["", f"# {words['tmux']}", "tmux:"]
        for key, value in facts.tmux.items():
            out += [f"  # {words[f'tmux.{key}']}", f"  {key}: {_yaml(value)}"]
    return "\n".join(out) + "\n"


def _pool(found: Proposal, words: Mapping[str, str]) -> list[str]:
    count = len(found.indices)
    first = min(found.indices, default=0)
    size = max(found.indices, default=9) - first + 1
    seen = f"found {count}: {found.prefix}{first} … {found.prefix}{max(found.indices)}" if found.indices else ""
    rows: list[tuple[str, Any, str]] = [
        ("prefix", "ccl-auto-" if found.prefix is None else found.prefix, seen or "none found; enter your own prefix"),
        ("start_index", first, ""),
        ("min", 0, f"{count} would keep as many sessions running as now" if found.indices else ""),
        ("max", size, ""),
    ]
    if found.start_known:
        started = "each session is recreated with its pane's start command" if found.indices else ""
        rows.append(("after_swap", "recreate", started))
    else:
        rows.append(("after_swap", "nudge", "tmux does not know the start commands, so no session is killed"))
        rows.append(("nudge", "continue", ""))
    lines = []
    for key, value, remark in rows:
        lines.append(f"    # {words[f'pool.autonomous.{key}']}")
        lines.append(f"    {key}: {_yaml(value)}{f'  # {_one_line(remark)}' if remark else ''}")
    return lines


def _yaml(value: Any) -> str:
    """A YAML scalar: plain where no parser could read it as anything else, otherwise in JSON quotes."""
    if isinstance(value, str) and not re.fullmatch(r"(?:~?/)?[A-Za-z][A-Za-z0-9_./@+-]*", value):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.lower() in {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}:
        return json.dumps(value)
    return str(value)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
