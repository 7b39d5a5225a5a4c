"""The fake agent for `failoverctl demo` and the tests: `python -m failover_oneshot.fake_agent [PROMPT]`.

It draws the screen of Claude Code (the structure that `agents.claude.screen` reads) at the size of its pane. Like the
real one, it reads the live credentials for each message. A quota file lists the exhausted accounts. It uses no network.

- Account: `$FAKE_ACCOUNT`, else the ACCOUNT in the access token `fake-ACCOUNT-N` of `.credentials.json`.
- Quota file: a JSON object. It maps an account to the time (ISO 8601, with zone) until which it is exhausted, or to
  `"unknown"`: exhausted, with a message that names no reset. Read for each message.
- Log: one JSON line per message: `at`, `pid`, `pane`, `account`, `prompt`, `source` (`argument`, `typed`,
  `automatic`) and `result` (`reply`, `hit`, `auth`). Never a token.
- Records (`--transcript`): `sessions/<pid>.json` and `projects/<cwd>/<session>.jsonl`, as Claude Code writes them.
  `--continue` and `--resume` restore a conversation from them.

Keys: text, bracketed paste, Enter, Escape (stop waiting, interrupt), Backspace, Ctrl-U, Ctrl-J (new line). Ctrl-D
exits, as does Ctrl-C in an empty box.
"""
