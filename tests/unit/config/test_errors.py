"""Every problem of a wrong file is reported at once with its place, and no text causes another exception."""

import os
import re
from pathlib import Path

import pytest
import yaml

from failover_oneshot.config import loader
from failover_oneshot.config.loader import ConfigError, load
from tests.support.config_problems import problems
from tests.support.paths import ROOT

EXAMPLE = (ROOT / "etc/failover.yaml").read_text(encoding="utf-8")
LINE = re.compile(r"f\.yaml(:[0-9]+:[0-9]+)?: [^\n]+")


ACCOUNT = "accounts: [{name: a, store: /a}]\n"
POOL = "pool: {autonomous: {start_index: 11, max: 10}, dedicated: [{name: %s}]}"

# The problem that each text has, without the name of the file. One row for each rule.
ONE_PROBLEM = [
    # keys
    ("quota:\n  pol_interval: 30s", "2:3: quota.pol_interval: unknown key; did you mean `poll_interval`?"),
    ("quota:\n  pollInterval: 30s", "2:3: quota.pollInterval: unknown key; did you mean `poll_interval`?"),
    ("pool: {autonomous: {maxx: }}", "1:21: pool.autonomous.maxx: unknown key; did you mean `max`?"),
    ("tmux:\n  zzz: 1", "2:3: tmux.zzz: unknown key (valid here: binary, socket_name, socket_path, timeout)"),
    (
        "? 'a b\tc'\n: 1",
        "1:3: ?: unknown key (valid here: accounts, swap, quota, recovery, pool, tmux, state, dispatch,",
    ),
    (
        "state: {history: 1, history: 2}",
        "1:21: state.history: duplicate key; already set on line 1",
    ),
    ("quota: {}\nquota: {}", "2:1: quota: duplicate key; already set on line 1"),
    ("quota: {1: x}", "1:9: quota: a key must be text; put it in quotes"),
    ("on: {}", "1:1: a key must be text; put it in quotes"),
    ("? [a]\n: 1", "1:3: a key must be text; put it in quotes"),
    ('quota: {"\\0": 1}', "1:9: quota: a key must be text; put it in quotes"),
    ("state: {<<: 5}", "1:9: state.<<: must be an alias (`*name`) of a mapping"),
    # missing
    ("accounts:\n  - enabled: true\n    store: /s", "2:5: accounts[0].name: is missing"),
    ("pool: {dedicated: [{}]}", "1:20: pool.dedicated[0].name: is missing"),
    ("pool: {dedicated: [{name: }]}", "1:21: pool.dedicated[0].name: has no value; must be text"),
    (
        "accounts:\n  - name: a",
        "2:5: accounts[0].store: is missing; swap.method claude keeps this account's credentials there",
    ),
    # types
    ("- quota", "1:1: must be a mapping (`key: value`)"),
    ("quota", "1:1: must be a mapping (`key: value`)"),
    ("quota: 5", "1:8: quota: must be a mapping (`key: value`)"),
    ("quota: [1]", "1:8: quota: must be a mapping (`key: value`)"),
    ("accounts: {a: b}", "1:11: accounts: must be a list (`- entry`)"),
    ("accounts: [main]", "1:12: accounts[0]: must be a mapping (`key: value`)"),
    ("accounts: [~]", "1:12: accounts[0]: has no value; must be a mapping (`key: value`)"),
    ("swap: {files: ~/.x}", "1:15: swap.files: must be a list (`- entry`)"),
    ("swap: {files: [~]}", "1:16: swap.files[0]: has no value; must be text"),
    ("pool: {autonomous: {max: '10'}}", "1:26: pool.autonomous.max: must be a whole number, without quotes"),
    ("pool: {autonomous: {max: true}}", "1:26: pool.autonomous.max: must be a whole number"),
    ("pool: {autonomous: {max: 1.5}}", "1:26: pool.autonomous.max: must be a whole number"),
    ("pool: {autonomous: {max: 10.0}}", "1:26: pool.autonomous.max: must be a whole number"),
    ("accounts: [{name: a, store: /a, enabled: 1}]", "1:42: accounts[0].enabled: must be true or false"),
    (
        "accounts: [{name: a, store: /a, enabled: 'no'}]",
        "1:42: accounts[0].enabled: must be true or false, without quotes",
    ),
    (
        "swap: {method: clade}",
        "1:16: swap.method: must be one of claude, files, env or command, not 'clade'; did you mean",
    ),
    ("swap: {strategy: [ordered]}", "1:18: swap.strategy: must be one of ordered, round_robin"),
    # text that YAML 1.1 reads as something else
    (
        "accounts: [{name: 1, store: /a}]",
        "1:19: accounts[0].name: must be text, but YAML reads 1 as a number; put it in quotes",
    ),
    (
        "pool: {autonomous: {prefix: on}}",
        "1:29: pool.autonomous.prefix: must be text, but YAML reads 'on' as true or false; put it in",
    ),
    (
        "pool: {autonomous: {nudge: 1.5}}",
        "1:28: pool.autonomous.nudge: must be text, but YAML reads 1.5 as a number; put it in quotes",
    ),
    (
        "pool: {autonomous: {nudge: 12:30}}",
        "1:28: pool.autonomous.nudge: YAML reads '12:30' as a number; write plain decimal digits, or put",
    ),
    (
        "pool: {autonomous: {max: 010}}",
        "1:26: pool.autonomous.max: YAML reads 010 as a number; write plain decimal digits, or put text",
    ),
    (
        "pool: {autonomous: {max: 0x10}}",
        "1:26: pool.autonomous.max: YAML reads 0x10 as a number; write plain decimal digits, or put text",
    ),
    (
        "swap: {timeout: 1:30}",
        "1:17: swap.timeout: YAML reads '1:30' as a number; write plain decimal digits, or put text in",
    ),
    (
        "swap: {timeout: .nan}",
        "1:17: swap.timeout: YAML reads '.nan' as a number that cannot be used; put text in quotes",
    ),
    (
        "swap: {max_per_hour: -.inf}",
        "1:22: swap.max_per_hour: YAML reads '-.inf' as a number that cannot be used; put text in quotes",
    ),
    ("state: {history: 99999999999999999999}", "1:18: state.history: number with too many digits"),
    (
        'state: {path: "a\\0b"}',
        "1:15: state.path: contains a character that is not allowed (NUL or half a surrogate pair)",
    ),
    (
        "state: {path: !secret x}",
        "1:15: state.path: tags (`!name`) are not supported; put text that begins with `!` in quotes",
    ),
    ("state: !x {history: 5}", "1:8: state: tags (`!name`) are not supported; put text that begins with `!` in quotes"),
    ("!!python/object:os.system {}", "1:1: tags (`!name`) are not supported; put text that begins with `!` in quotes"),
    (
        "state: {history: !!bool x}",
        "1:18: state.history: tags (`!name`) are not supported; put text that begins with `!` in quotes",
    ),
    ("state: !!map [a]", "1:8: state: tags (`!name`) are not supported; put text that begins with `!` in quotes"),
    ("state: !!seq {a: b}", "1:8: state: tags (`!name`) are not supported; put text that begins with `!` in quotes"),
    ("? !!str [a]\n: 1", "1:3: a key must be text; put it in quotes"),
    ("state: {<<: !!map x}", "1:9: state.<<: must be an alias (`*name`) of a mapping"),
    # numbers
    ("pool: {autonomous: {max: 0}}", "1:26: pool.autonomous.max: must be at least 1"),
    ("pool: {autonomous: {min: -1}}", "1:26: pool.autonomous.min: must be at least 0"),
    ("pool: {autonomous: {start_index: -1}}", "1:34: pool.autonomous.start_index: must be at least 0"),
    ("pool: {autonomous: {max: 1000001}}", "1:26: pool.autonomous.max: must be at most 1000000"),
    ("pool: {autonomous: {min: 11}}", "1:26: pool.autonomous.min: must be at most max (10), not 11"),
    ("quota: {pool_threshold: 0}", "1:25: quota.pool_threshold: must be at least 1"),
    ("quota: {dedicated_threshold: 0}", "1:30: quota.dedicated_threshold: must be at least 1"),
    ("quota: {tail_lines: 0}", "1:21: quota.tail_lines: must be at least 1"),
    ("swap: {max_per_hour: 0}", "1:22: swap.max_per_hour: must be at least 1"),
    ("state: {history: 0}", "1:18: state.history: must be at least 1"),
    # durations
    ("quota: {patience: soon}", "1:19: quota.patience: not a valid duration: 'soon' (try 30s, 10m, 2h)"),
    ("quota: {patience: '30'}", "1:19: quota.patience: duration without a unit: 30 (try 30s, 10m, 2h)"),
    ("quota: {patience: 1.5}", "1:19: quota.patience: not a valid duration: 1.5 (try 30s, 10m, 2h)"),
    ("quota: {patience: true}", "1:19: quota.patience: not a valid duration (try 30s, 10m, 2h)"),
    ("quota: {patience: -5s}", "1:19: quota.patience: a duration must not be negative: -5s"),
    ("quota: {patience: -5}", "1:19: quota.patience: a duration must not be negative: -5"),
    ("quota: {patience: 8761h}", "1:19: quota.patience: must be at most 8760h (a year)"),
    ("quota: {patience: 9999999999h}", "1:19: quota.patience: longer than the longest duration (292 years)"),
    ("quota: {poll_interval: 0}", "1:24: quota.poll_interval: must be greater than zero, not 0"),
    ("swap: {timeout: 0s}", "1:17: swap.timeout: must be greater than zero, not 0s"),
    ("swap: {timeout: 2h}", "1:17: swap.timeout: must be at most 1h"),
    ("tmux: {timeout: 0}", "1:17: tmux.timeout: must be greater than zero, not 0"),
    ("state: {lock_timeout: 0}", "1:23: state.lock_timeout: must be greater than zero, not 0"),
    # accounts
    (ACCOUNT + "swap: {claude_dir: /a}", "1:29: accounts[0].store: must not be the folder of the live credentials"),
    (
        "accounts: [{name: a, store: /a}, {name: a, store: /b}]",
        "1:41: accounts[1].name: duplicate name: 'a' (also accounts[0])",
    ),
    (
        "accounts: [{name: a, store: /s}, {name: b, store: /x/../s/}]",
        "1:51: accounts[1].store: must not be the store of account a; each account needs a separate",
    ),
    (
        "accounts: [{name: '', store: /a}]",
        "1:19: accounts[0].name: not a valid account name: '' (letters, digits and ._@+-; no dot or dash",
    ),
    (
        "accounts: [{name: a/b, store: /a}]",
        "1:19: accounts[0].name: not a valid account name: 'a/b' (letters, digits and ._@+-; no dot or",
    ),
    (
        "accounts: [{name: .., store: /a}]",
        "1:19: accounts[0].name: not a valid account name: '..' (letters, digits and ._@+-; no dot or",
    ),
    (
        "accounts: [{name: -x, store: /a}]",
        "1:19: accounts[0].name: not a valid account name: '-x' (letters, digits and ._@+-; no dot or",
    ),
    (
        'accounts: [{name: "a\\n", store: /a}]',
        "1:19: accounts[0].name: not a valid account name (letters, digits and ._@+-; no dot or dash",
    ),
    (
        "accounts: [{name: a, store: /a, env: {1X: v}}]",
        "1:39: accounts[0].env.?: not a valid variable name (letters, digits and _; no digit first;",
    ),
    (
        "accounts: [{name: a, store: /a, env: {X: 1}}]",
        "1:42: accounts[0].env.X: must be text, but YAML reads this as a number; put it in quotes",
    ),
    ("accounts: [{name: a, store: /a, env: {X: }}]", "1:39: accounts[0].env.X: has no value; must be text"),
    # the method and what it needs
    ("swap: {method: files, files: [/f/x]}\naccounts: [{name: a}]", "2:12: accounts[0].store: is missing"),
    (
        "swap: {method: files, files: [/f/x]}\naccounts: [{name: a, store: /f}]",
        "2:29: accounts[0].store: must not be the folder of the live credentials; use a separate folder",
    ),
    ("swap: {method: command}", "1:7: swap.command: is empty; swap.method command needs a program to run"),
    ("swap: {method: files}", "1:7: swap.files: is empty; swap.method files needs files to replace"),
    ("swap: {command: ['']}", "1:18: swap.command[0]: is empty; the first entry is the program"),
    ("swap: {command: [x, '{name}']}", "1:21: swap.command[1]: unknown placeholder {name} (valid here: {from}, {to})"),
    (
        "swap: {files: [/a/x, /b/x]}",
        "1:22: swap.files[1]: has the same file name as files[0]; a store keeps each file under its name",
    ),
    ("swap: {files: [/a/]}", "1:16: swap.files[0]: must be a file, not a folder"),
    # patterns
    ("quota: {extra_patterns: ['']}", "1:26: quota.extra_patterns[0]: is empty"),
    ("quota: {extra_patterns: [//]}", "1:26: quota.extra_patterns[0]: is empty"),
    ("quota: {extra_server_error_patterns: [x, ' ']}", "1:42: quota.extra_server_error_patterns[1]: is empty"),
    (
        "quota: {extra_patterns: ['/(/']}",
        "1:26: quota.extra_patterns[0]: not a valid regular expression: '/(/' (missing )",
    ),
    (
        "quota: {extra_patterns: ['/a{99999999999}/']}",
        "1:26: quota.extra_patterns[0]: not a valid regular expression: '/a{99999999999}/' (",
    ),
    (
        "quota: {extra_patterns: [/x*/]}",
        "1:26: quota.extra_patterns[0]: matches empty text, so it would match every text: '/x*/'",
    ),
    (
        "quota: {extra_patterns: [429]}",
        "1:26: quota.extra_patterns[0]: must be text, but YAML reads 429 as a number; put it in quotes",
    ),
    ("quota: {swap_on: []}", "1:18: quota.swap_on: is empty"),
    *(
        (
            f"quota: {{swap_on: [quota, {kind}]}}",
            f"1:26: quota.swap_on[1]: must be one of quota, billing or auth, not '{kind}'",
        )
        for kind in ("ok", "unreadable", "server_error", "warning", "quotas")
    ),
    # sessions
    *(
        (POOL % name, f"1:67: pool.dedicated[0].name: must be outside the pool (ccl-auto-11 to ccl-auto-20): '{name}'")
        for name in ("ccl-auto-11", "ccl-auto-20")
    ),
    *(
        (POOL % name, "1:67: pool.dedicated[0].name: must not contain `")
        for name in ("a.b", "'a:b'", "a\\b", "'a#b'", "'#{pid}'", "$3", "a$b", "'$(x)'", "a;")
    ),
    *((POOL % f"'{name}'", f"1:67: pool.dedicated[0].name: must not begin with `{name[0]}`") for name in ("@1", "%1")),
    (POOL % "' '", "1:67: pool.dedicated[0].name: is empty"),
    (POOL % '"a\\x1b"', "1:67: pool.dedicated[0].name: must not contain unprintable characters"),
    (
        "pool: {dedicated: [{name: a}, {name: a}]}",
        "1:38: pool.dedicated[1].name: duplicate name: 'a' (also dedicated[0])",
    ),
    ("pool: {autonomous: {prefix: ''}}", "1:29: pool.autonomous.prefix: is empty"),
    (
        "pool: {autonomous: {prefix: a.}}",
        "1:29: pool.autonomous.prefix: must not contain `.`, which tmux does not keep in a session name",
    ),
    (
        "pool: {autonomous: {command: 'x {nam}'}}",
        "1:30: pool.autonomous.command: unknown placeholder {nam} (valid here: {name}, {index},",
    ),
    (
        "pool: {autonomous: {command: '{session_id}'}}",
        "1:30: pool.autonomous.command: unknown placeholder {session_id} (valid here: {name}, {index},",
    ),
    (
        "pool: {autonomous: {resume_command: '{x}'}}",
        "1:37: pool.autonomous.resume_command: unknown placeholder {x} (valid here: {name}, {index},",
    ),
    (
        "pool: {dedicated: [{name: a, command: '{to}'}]}",
        "1:39: pool.dedicated[0].command: unknown placeholder {to} (valid here: {name}, {index},",
    ),
    ("pool: {autonomous: {after_swap: nudge, nudge: ''}}", "1:47: pool.autonomous.nudge: is empty"),
    (
        'pool: {autonomous: {nudge: "a\\nb"}}',
        "1:28: pool.autonomous.nudge: must not contain control characters; the text is typed as it is,",
    ),
    # paths and tmux
    ("state: {path: ''}", "1:15: state.path: is empty"),
    ("state: {path: $NO/x}", "1:15: state.path: environment variable $NO is not set"),
    ("state: {path: '${NO}/x'}", "1:15: state.path: environment variable $NO is not set"),
    ("state: {path: ~no.such.user/x}", "1:15: state.path: no user named 'no.such.user'"),
    ('state: {path: "a\\tb"}', "1:15: state.path: must not contain control characters"),
    ("tmux: {binary: ''}", "1:16: tmux.binary: not a valid program name: ''"),
    ("tmux: {socket_name: a/b}", "1:21: tmux.socket_name: must be a name without `/`"),
    ("tmux: {socket_name: ''}", "1:21: tmux.socket_name: must be a name without `/`"),
    (
        "tmux: {socket_name: a, socket_path: /b}",
        "1:37: tmux.socket_path: cannot be combined with socket_name; remove one of them",
    ),
    (f"tmux: {{socket_path: /{'x' * 120}}}", "1:21: tmux.socket_path: must be at most 107 bytes long"),
    # monitoring
    ("metrics: {textfile: /x/failover.txt}", "1:21: metrics.textfile: must end in NAME.prom"),
    ("metrics: {textfile: /x/.prom}", "1:21: metrics.textfile: must end in NAME.prom"),
    (
        "metrics: {labels: {a-b: x}}",
        "1:20: metrics.labels.a-b: not a valid label name (letters, digits and _; these are taken:",
    ),
    (
        "metrics: {labels: {__name__: x}}",
        "1:20: metrics.labels.__name__: not a valid label name (letters, digits and _; these are taken:",
    ),
    (
        "metrics: {labels: {account: x}}",
        "1:20: metrics.labels.account: not a valid label name (letters, digits and _; these are taken:",
    ),
    (
        "metrics: {labels: {fleet: 1}}",
        "1:27: metrics.labels.fleet: must be text, but YAML reads 1 as a number; put it in quotes",
    ),
    ("notify: {urls: [example.com/x]}", "1:17: notify.urls[0]: not a valid URL (try ntfy://HOST/…)"),
    ("notify: {urls: ['ntfy://a b']}", "1:17: notify.urls[0]: not a valid URL (try ntfy://HOST/…)"),
    (
        "notify: {events: [swap]}",
        "1:19: notify.events[0]: must be one of swapped, waiting, resumed, failed or auth, not 'swap';",
    ),
    ("notify: {urls_file: $NO/urls}", "1:21: notify.urls_file: environment variable $NO is not set"),
    ("notify: {timeout: 0s}", "1:19: notify.timeout: must be greater than zero, not 0s"),
    ("ping: {url: ftp://example.com/x}", "1:13: ping.url: not a valid URL (try https://HOST/…)"),
    ("ping: {url: https:///x}", "1:13: ping.url: not a valid URL (try https://HOST/…)"),
    ("ping: {url: ''}", "1:13: ping.url: not a valid URL (try https://HOST/…)"),
    ("ping: {timeout: 2h}", "1:17: ping.timeout: must be at most 1h"),
    ("hooks: {timeout: 0}", "1:18: hooks.timeout: must be greater than zero, not 0"),
    # not valid YAML
    ("quota: [1", "2:1: not valid YAML: did not find expected ',' or ']' (while parsing a flow sequence that"),
    ("quota:\n\tpatience: 1s", "2:1: not valid YAML: tab character; indent with spaces"),
    ("state: {path: @x}", "1:15: not valid YAML: text must not begin with `@`; put it in quotes"),
    ("state: a: b", "1:9: not valid YAML: unexpected colon; check the indentation, or put text that contains `: ` in"),
    ("state: 'x\nquota: {}\n", "1:8: not valid YAML: the quote that opens here is never closed"),
    ("state: *x", "1:8: not valid YAML: alias (`*name`) without an anchor; put text that begins with `*` in quotes"),
    (
        "state: &x [*x]",
        "1:12: not valid YAML: alias (`*name`) without an anchor; put text that begins with `*` in quotes",
    ),
    ("quota: {}\n---\nquota: {}\n", "2:1: a second YAML document begins here (`---`); only one is allowed"),
    (
        "quota: {}\n- x\n",
        "2:1: not valid YAML: did not find expected key (while parsing a block mapping that begins on",
    ),
    ("[" * 1000, "1:18: nested more than 16 levels deep"),
    ("quota: {x: \x07}", "1:12: not a text file (control character U+0007)"),
]


@pytest.mark.parametrize(("text", "line"), ONE_PROBLEM, ids=[text[:40] for text, _ in ONE_PROBLEM])
def test_each_problem_is_one_line_with_its_place(tmp_path: Path, text: str, line: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(f"f.yaml:{line}")
    assert LINE.fullmatch(found[0])


def test_all_problems_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Of YAML, types and meaning together. A rule that depends on a rejected value is not checked."""
    text = """\
accounts:
  - name: main
    store: /s/main
    store: /s/other
  - name: main
    store: $NOWHERE/x
  - store: /s/main
swap: {method: clod, command: [x, "{too}"]}
quota:
  pol_interval: 30s
  patience: 5 minutes
  swap_on: [quota, ok]
  extra_patterns: ["/(/", 429, fine]
pool:
  autonomous:
    prefix: on
    min: 12
    max: ten
    start_index: 010
  dedicated:
    - name: ccl-auto-3
    - nam: x
    - 7
tmux: !x {}
state: {history: 0}
"""
    assert [" ".join(line.removeprefix("f.yaml:").split(": ")[:2]) for line in problems(tmp_path, text)] == [
        "4:5 accounts[0].store",
        "5:11 accounts[1].name",
        "6:12 accounts[1].store",
        "7:5 accounts[2].name",
        "8:16 swap.method",
        "8:35 swap.command[1]",
        "10:3 quota.pol_interval",
        "11:13 quota.patience",
        "12:20 quota.swap_on[1]",
        "13:20 quota.extra_patterns[0]",
        "13:27 quota.extra_patterns[1]",
        "16:13 pool.autonomous.prefix",
        "18:10 pool.autonomous.max",
        "19:18 pool.autonomous.start_index",
        "22:7 pool.dedicated[1].nam",
        "22:7 pool.dedicated[1].name",
        "23:7 pool.dedicated[2]",
        "24:7 tmux",
        "25:18 state.history",
    ]


def test_a_problem_behind_an_alias_has_the_place_of_the_alias(tmp_path: Path) -> None:
    text = "pool:\n  dedicated:\n    - &a {name: ops}\n    - *a\n    - <<: *a\n      nudge: x\n"
    assert [line.partition(" duplicate name")[0] for line in problems(tmp_path, text)] == [
        "f.yaml:4:7: pool.dedicated[1].name:",
        "f.yaml:5:7: pool.dedicated[2].name:",
    ]


def test_a_problem_behind_nested_aliases_has_the_outermost_place(tmp_path: Path) -> None:
    text = "quota:\n  extra_patterns: &a [&b '']\n  extra_server_error_patterns:\n    *a\n"
    text = text.replace("[&b '']", "[&b '', *b]")
    assert [line.partition(": is empty")[0] for line in problems(tmp_path, text)] == [
        "f.yaml:2:23: quota.extra_patterns[0]",
        "f.yaml:2:30: quota.extra_patterns[1]",
        "f.yaml:4:5: quota.extra_server_error_patterns[0]",
        "f.yaml:4:5: quota.extra_server_error_patterns[1]",
    ]


def test_a_duplicate_key_does_not_hide_a_problem_of_its_first_value(tmp_path: Path) -> None:
    first, second = problems(tmp_path, "state: {history: 0, history: 5}")
    assert first == "f.yaml:1:18: state.history: must be at least 1, not 0"
    assert second.startswith("f.yaml:1:21: state.history: duplicate key")


SECRET = "sk-ant-fake-0123456789-not-a-real-token"


@pytest.mark.parametrize(
    "text",
    [
        f"accounts: [{{name: a, store: /a, env: {{{SECRET}: }}}}]",
        f"accounts: [{{name: a, store: /a, env: {{KEY={SECRET}: }}}}]",
        f"accounts: [{{name: a, store: /a, env: KEY={SECRET}}}]",
        f"accounts: [{{name: a, store: /a, env: [{SECRET}]}}]",
        f"accounts: [{{name: a, store: /a, env: {{KEY: [{SECRET}]}}}}]",
        f"accounts: [{{name: a, store: /a, env: {{KEY: !{SECRET}}}}}]",
        f"accounts: [{{name: a, store: /a, env: {{KEY: *{SECRET}}}}}]",
        f"accounts: [{{name: a, store: /a, env: {{KEY: !{SECRET}!x}}}}]",
        f"%TAG !{SECRET}! x\n%TAG !{SECRET}! x\n--- a",
        f"accounts: [{{name: a, store: /a, env: {{KEY: '{SECRET}}}}}]",
        f"accounts: [{{name: a, store: /a, env: {{KEY: {SECRET}: x}}}}",
        f"accounts: [{{name: a, store: /a, env_file: '$X{SECRET}\t'}}]",
        f"KEY={SECRET}: x",
        f"notify: {{urls: [{SECRET}]}}",
        f"notify: {{urls: 'ntfy://{SECRET}'}}",
        f"notify: {{urls: ['ntfy://host/ {SECRET}'], ntfy://host/{SECRET}: x}}",
        f"ping: {{url: 'ftp://host/{SECRET}'}}",
        f"ping: {{url: ['https://host/{SECRET}']}}",
        f"{SECRET}",
        f"state: {{history: {SECRET}}}",
        f"quota: {{patience: {SECRET}, swap_on: [{SECRET}]}}",
    ],
)
def test_no_line_repeats_what_may_be_a_secret(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both of PyYAML's parsers."""
    found = problems(tmp_path, text)
    assert found
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert SECRET not in "\n".join([*found, *problems(tmp_path, text)])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            f"tmux: {{binary: [], timeout: {'x' * 20}}}",
            f"tmux.timeout: not a valid duration: '{'x' * 20}' (try 30s, 10m, 2h)",
        ),
        (f"tmux: {{binary: [], timeout: {'x' * 21}}}", "tmux.timeout: not a valid duration (try 30s, 10m, 2h)"),
        ("tmux: {binary: [], timeout: sk-aaaaaaaa}", "tmux.timeout: not a valid duration (try 30s, 10m, 2h)"),
        ("pool: {autonomous: {command: [], max: no}}", "pool.autonomous.max: must be a whole number, not 'no'"),
        ("hooks: {timeout: 1h, on_swap: hunter2}", "hooks.on_swap: must be a list (`- entry`)"),
        ("swap: {command: hunter2}", "swap.command: must be a list (`- entry`)"),
    ],
)
def test_a_value_is_shown_if_it_is_short_and_not_private(tmp_path: Path, text: str, line: str) -> None:
    assert problems(tmp_path, text)[-1].partition(" ")[2] == line


def test_a_number_in_env_is_not_repeated(tmp_path: Path) -> None:
    assert "1234" not in problems(tmp_path, ACCOUNT.replace("/a", "/a, env: {PIN: 1234}"))[0]


def test_without_libyaml_the_same_files_are_accepted_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyYAML has two parsers. Only the text and the place of a syntax error may differ."""
    with_c = [problems(tmp_path, text) for text, _ in ONE_PROBLEM]
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    for (text, _), expected in zip(ONE_PROBLEM, with_c, strict=True):
        found = problems(tmp_path, text)
        assert len(found) == len(expected)
        if "not valid YAML" not in expected[0]:
            assert found == expected
    assert problems(tmp_path, EXAMPLE) == []


def test_a_huge_file_is_refused_without_reading_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    with file.open("wb") as sparse:
        os.truncate(sparse.fileno(), 1 << 40)
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load(file, {})
    assert loader.MAX_BYTES == 1 << 20
