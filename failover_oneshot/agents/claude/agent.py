"""Claude Code behind the protocol of `agents.base`. Each method calls the module that answers it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from failover_oneshot.agents.base import Explanation, Prompt, PromptState
from failover_oneshot.agents.claude import processes, records, transcript
from failover_oneshot.agents.claude.classify import classify
from failover_oneshot.config.model import Quota
from failover_oneshot.model import AgentProcess, Reading


class Claude:
    """Claude Code with its folder (`~/.claude`); "" if only screens are read."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def classify(self, text: str, title: str, quota: Quota) -> Reading:
        return classify(text, title, quota)

    def explain(self, text: str, title: str, quota: Quota) -> Explanation:
        from failover_oneshot.agents.claude.explain import explain

        return explain(text, title, quota)

    def prompt(self, text: str, title: str) -> Prompt:
        from failover_oneshot.agents.claude.prompt import ClaudePrompt

        return ClaudePrompt(text, title)

    def processes(self, panes: Mapping[str, int]) -> dict[str, AgentProcess]:
        owners = processes.clients_of(panes.values(), processes.find_clients(self._folder))
        return {pane_id: owners[pid] for pane_id, pid in panes.items() if pid in owners}

    def record(self, process: AgentProcess) -> Reading | None:
        return transcript.read_tail(self._folder, process)

    def conversation(self, process: AgentProcess) -> str:
        return records.conversation(self._folder, process)

    def conversation_size(self, conversation: str) -> int:
        return records.size(conversation)

    def prompt_state(self, conversation: str, offset: int, text: str) -> PromptState:
        from failover_oneshot.agents.claude import prompts

        return prompts.prompt_state(conversation, offset, text)

    def own_login(self, pids: Iterable[int]) -> str | None:
        from failover_oneshot.agents.claude.own_login import own_login

        return own_login(pids)

    def version(self, texts: Iterable[str]) -> str | None:
        from failover_oneshot.agents.claude.version import version

        return version(texts)
