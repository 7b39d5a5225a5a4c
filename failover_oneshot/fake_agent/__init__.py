"""A stand-in for the agent: `python -m failover_oneshot.fake_agent [PROMPT]`, for `failoverctl demo` and the tests.

It draws the real client's screen (the structure that `screen` reads) in whatever size its pane has, reads the live
credentials at each message as the real one does, and is told by a quota file which accounts are used up. It talks to
nobody.

- Account: `$FAKE_ACCOUNT`, else the ACCOUNT in the access token `fake-ACCOUNT-N` of `.credentials.json`.
- Quota file: a JSON object, account name to the time (ISO 8601, with zone) until which it is exhausted, or to
  `"unknown"`: exhausted, and the message names no reset. Read at each message.
- Log: one JSON line per message sent: `at`, `pid`, `pane`, `account`, `prompt`, `source` (`argument`, `typed`,
  `automatic`) and `result` (`reply`, `hit`, `auth`). Never a token.
- Records (`--transcript`): `sessions/<pid>.json` and `projects/<cwd>/<session>.jsonl`, as the real client leaves them;
  `--continue` and `--resume` draw a conversation again from there.

Keys: text, bracketed paste, Enter, Escape (stop waiting, interrupt), Backspace, Ctrl-U, Ctrl-J (a new line),
Ctrl-C in an empty box or Ctrl-D to leave.
"""
