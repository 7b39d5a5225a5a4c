"""tmux on a real server: what is read from it, and what must never be done to it."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from failover_oneshot.config.loader import load
from failover_oneshot.config.model import Autonomous, Dedicated, Pool
from failover_oneshot.model import Pane, Role
from failover_oneshot.state.store import LockLostError
from failover_oneshot.tmux import formats
from failover_oneshot.tmux.client import TmuxControl, TmuxError, TmuxMissingError, TmuxReader, TmuxTimeoutError
from tests.support.polling import poll
from tests.support.tmux_server import Server

POOL = Pool(autonomous=Autonomous(start_index=1, max=1), dedicated=(Dedicated(name="ops"), Dedicated(name="my $(x)")))

HOSTILE = [
    "it's",
    'say "x"',
    "$(touch pwned)",
    "`id`",
    "a b",
    "#{pid}",
    "%1",
    "日本 é",
    "-x",
    "a'b\"c",
    "{x}",
    "~",
    "*?",
]


@pytest.fixture
def tmux(server: Server) -> TmuxReader:
    return TmuxReader(server.config(), server.environ)


def only_pane(tmux: TmuxReader, name: str = "ops") -> Pane:
    (session,) = [s for s in tmux.observe(POOL).sessions if s.name == name]
    (pane,) = session.panes
    return pane


# --- what is read --------------------------------------------------------------------------------------------------


def test_neighbors_with_the_same_prefix_are_not_read(server: Server, tmux: TmuxReader) -> None:
    """Law L1 for reading: with only ccl-auto-1 in the range, no observation has its neighbors."""
    for name in ("ccl-auto-110", "ccl-auto-11", "ccl-0", "ccl-auto-1", "ops", "ops2", "ccl-auto0"):
        server.start(name)
    seen = tmux.observe(POOL)
    assert [(s.name, s.role, s.index) for s in seen.sessions] == [
        ("ccl-auto-1", Role.POOL, 1),
        ("ops", Role.DEDICATED, None),
    ]
    assert seen.server_running


def test_order_is_by_index_then_as_configured(server: Server, tmux: TmuxReader) -> None:
    pool = Pool(autonomous=Autonomous(start_index=8, max=5), dedicated=(Dedicated(name="z"), Dedicated(name="a")))
    for name in ("a", "ccl-auto-10", "z", "ccl-auto-9", "ccl-auto-12"):
        server.start(name)
    assert [s.name for s in tmux.observe(pool).sessions] == ["ccl-auto-9", "ccl-auto-10", "ccl-auto-12", "z", "a"]


def test_all_panes_of_all_windows_are_read(server: Server, tmux: TmuxReader) -> None:
    server.show("ops", "first pane")
    server.tmux("split-window", "-d", "-t", "=ops:", server.screen_command("second pane"))
    server.tmux("new-window", "-d", "-t", "=ops:", server.screen_command("other window"))

    def texts() -> list[str]:
        (session,) = tmux.observe(POOL).sessions
        return [(pane.text or "").strip() for pane in session.panes]

    poll(lambda: texts() == ["first pane", "second pane", "other window"])
    (session,) = tmux.observe(POOL).sessions
    assert [pane.active for pane in session.panes] == [True, False, False]


def test_a_linked_window_is_read_in_both_sessions(server: Server, tmux: TmuxReader) -> None:
    server.show("ops", "shared")
    server.start("ccl-auto-1")
    server.tmux("link-window", "-s", "=ops:0", "-t", "=ccl-auto-1:5")
    texts = {s.name: [(p.text or "").strip() for p in s.panes] for s in tmux.observe(POOL).sessions}
    assert texts == {"ccl-auto-1": ["", "shared"], "ops": ["shared"]}


@pytest.mark.parametrize("name", [*HOSTILE, "naïve ∙ name", "my $1 $(x)", "=eq", "@1", "a,b", "x;y", "#[fg=red]"])
def test_session_names_with_anything_in_them(server: Server, name: str) -> None:
    server.start("other")
    server.tmux(
        "rename-session", "-t", "=other", "--", name.replace("#", "##") if "#[" not in name else "#{l:" + name + "}"
    )
    given_name = server.row(server.names().pop()).session_name
    assert given_name == name
    seen = TmuxReader(server.config(), server.environ).observe(Pool(dedicated=(Dedicated(name=name),)))
    assert [s.name for s in seen.sessions] == [name]


ODD_NAMES = [
    "a b",
    "é",
    "日本",
    "a'b",
    'a"b',
    "=x",
    "{x}",
    "-x",
    "~",
    "+",
    "!",
    " a",
    "a ",
    "a*",
    "[a]",
    "(a)",
    "a&b",
    "`a`",
]


def test_tmux_keeps_and_finds_every_name_that_is_accepted(server: Server, tmp_path: Path) -> None:
    """A name that tmux rewrites or misreads is refused (see the tests of config.errors)."""
    file = tmp_path / "failover.yaml"
    file.write_text(json.dumps({"pool": {"dedicated": [{"name": name} for name in ODD_NAMES]}}), encoding="utf-8")
    names = [dedicated.name for dedicated in load(file, {"HOME": str(tmp_path)}).pool.dedicated]
    assert names == ODD_NAMES
    for name in names:
        server.start(name)
    for name in names:
        assert server.tmux("list-panes", "-s", "-t", f"={name}", "-F", "#{session_name}") == name


def test_titles_and_folders_with_anything_in_them(server: Server, tmux: TmuxReader) -> None:
    title = '✳ it\'s "$HOME" ${x} #{pid} %H | ;'
    folder = server.folder / "a b\tc\nd 'q' #{pid} $(x) é"
    folder.mkdir()
    shown = server.folder / "title"
    shown.write_text(f"\033]2;{title}\033\\ready")
    server.start("ops", f"cat {shown}; exec sleep 600")
    server.start("ccl-auto-1", f"cd {server.folder}/a*; exec sleep 600")
    poll(lambda: only_pane(tmux).title == title)
    poll(lambda: Path(only_pane(tmux, "ccl-auto-1").current_path).name.startswith("a b"))
    if tmux_version(server) not in {"3.4", "3.5", "3.5a"}:  # these versions print a line break as \n
        assert only_pane(tmux, "ccl-auto-1").current_path == str(folder)


def tmux_version(server: Server) -> str:
    return server.tmux("display-message", "-p", "#{version}")


def test_invalid_utf8_on_the_screen_and_in_a_folder(server: Server, tmux: TmuxReader) -> None:
    raw = server.folder / "raw"
    raw.write_bytes(b"start \xff\xfe\x80 \xc3( \033[31mred\033[0m \x01\x02 end")
    server.start("ops", f"cd {server.folder}; mkdir b$(printf '\\377'); cd b*; cat {raw}; exec sleep 600")
    text = poll(lambda: "end" in (only_pane(tmux).text or "") and only_pane(tmux).text) or ""
    assert text.startswith("start ")
    assert "red" in text
    assert "\033" not in text
    assert only_pane(tmux).current_path.endswith(("/b\ufffd", "/b\\377"))  # tmux 3.4 and 3.5 print the byte in octal


def test_lines_that_tmux_wrapped_are_whole(server: Server, tmux: TmuxReader) -> None:
    """In a pane of 40 columns, the daemon's phrase is found although it is wrapped."""
    line = "Claude usage limit reached. Your limit will reset at 3pm (America/Santiago)."
    server.show("ops", f"before\n{line}\nafter", width=40, height=10)
    assert (only_pane(tmux).text or "").split("\n")[:3] == ["before", line, "after"]


def test_rows_that_only_seem_wrapped_are_separated(server: Server, tmux: TmuxReader) -> None:
    """A program overwrites a long line row by row; tmux keeps its wrap mark, and -J joins the new rows."""
    drawing = "\033[2J\033[H" + "x" * 200 + "\033[H● You’ve hit\033[K\r\n❯ 日本\033[K\r\nthird\033[K\r\nlast"
    server.show("ops", drawing)
    assert (only_pane(tmux).text or "").split("\n")[:4] == ["● You’ve hit", "❯ 日本", "third", "last"]


def test_full_width_rules_are_separate_rows(server: Server, tmux: TmuxReader) -> None:
    rule = "─" * 80
    server.show("ops", f"\033[5;1H{rule}\033[6;1H❯ \033[7;1H{rule}\r\n status")
    assert (only_pane(tmux).text or "").split("\n")[4:8] == [rule, "❯", rule, " status"]


def test_a_line_of_ten_thousand_columns(server: Server, tmux: TmuxReader) -> None:
    server.show("ops", "y" * 10_000 + " end")
    (line,) = (only_pane(tmux).text or "").strip().split("\n")
    assert line.startswith("y" * 1000)
    assert line.endswith("y end")


# --- what cannot be read ---------------------------------------------------------------------------------------------


def test_dead_panes_are_part_of_the_observation(server: Server, tmux: TmuxReader) -> None:
    server.start("ops")
    server.tmux("set-option", "-t", "=ops:", "remain-on-exit", "on")
    server.tmux("respawn-pane", "-k", "-t", "=ops:", "echo over")
    poll(lambda: only_pane(tmux).dead)
    pane = only_pane(tmux)
    assert (pane.text, pane.error) == (None, "dead")
    assert "ops" in tmux.observe(POOL).notes[0]


def test_a_pane_that_vanishes_after_the_listing_affects_no_other(server: Server) -> None:
    for name in ("ccl-auto-1", "ops"):
        server.show(name, f"screen of {name}")
    kill = f'"$tmux" -S {server.socket} kill-session -t =ccl-auto-1 2>/dev/null'
    wrapper = server.write_wrapper(f'case "$*" in *capture-pane*) {kill};; esac; exec "$tmux" "$@"')
    seen = server.control(binary=wrapper).observe(POOL)
    assert {s.name: (s.panes[0].text or "").strip() for s in seen.sessions} == {
        "ccl-auto-1": "",
        "ops": "screen of ops",
    }
    assert seen.sessions[0].panes[0].error == "gone"


def test_no_server(server: Server, tmux: TmuxReader) -> None:
    """Reading starts no server and leaves no socket behind."""
    seen = tmux.observe(POOL)
    assert (seen.server_running, seen.sessions) == (False, ())
    assert not server.socket.exists()


def test_reading_starts_no_server_on_a_stale_socket(server: Server, tmux: TmuxReader) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(server.socket))
    assert not tmux.observe(POOL).server_running
    assert not tmux.observe(POOL).server_running


def test_a_server_that_dies_during_a_capture_counts_as_no_server(server: Server) -> None:
    server.start("ops")
    kill = f"kill -9 {server.server_pid()}"
    wrapper = server.write_wrapper(f'case "$*" in *capture-pane*) {kill};; esac; exec "$tmux" "$@"')
    assert not server.control(binary=wrapper).observe(POOL).server_running


def test_a_stopped_server_is_a_timeout(server: Server) -> None:
    server.start("ops")
    tmux = server.control(timeout=0.3)
    pid = server.server_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TmuxTimeoutError) as caught:
            tmux.observe(POOL)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert caught.value.exit_code == 75
    assert server.control().observe(POOL).sessions


def test_a_wrapper_whose_child_hangs_is_a_timeout(server: Server) -> None:
    """The child process does not stay behind."""
    child = server.folder / "child"
    tmux = server.control(binary=server.write_wrapper(f"sleep 600 & echo $! > {child}; wait"), timeout=1)

    def started() -> str:  # may take more than a second on a busy machine
        with pytest.raises(TmuxTimeoutError):
            tmux.observe(POOL)
        return child.read_text().strip() if child.exists() else ""

    command_line = Path(f"/proc/{poll(started)}/cmdline")
    poll(lambda: not command_line.exists() or not command_line.read_bytes())


@pytest.mark.parametrize("binary", ["no-such-tmux", "/nonexistent/tmux", "/tmp"])
def test_an_absent_binary(server: Server, binary: str) -> None:
    with pytest.raises(TmuxMissingError) as caught:
        server.control(binary=binary).observe(POOL)
    assert caught.value.exit_code == 69


def test_a_file_that_is_not_a_program(server: Server) -> None:
    wrapper = Path(server.write_wrapper(""))
    wrapper.write_bytes(b"\x7fELF nonsense")
    with pytest.raises(TmuxError):
        server.control(binary=str(wrapper)).observe(POOL)


def test_an_error_of_tmux_is_reported(server: Server) -> None:
    wrapper = server.write_wrapper('echo "protocol version mismatch" >&2; exit 1')
    with pytest.raises(TmuxError, match="protocol version mismatch"):
        server.control(binary=wrapper).observe(POOL)


def test_an_invalid_listing_is_an_error(server: Server) -> None:
    with pytest.raises(TmuxError):
        server.control(binary=server.write_wrapper("echo hello")).observe(POOL)


# --- how tmux is called ----------------------------------------------------------------------------------------------


def test_120_panes_take_four_processes(server: Server) -> None:
    """At most 2 + panes/50 (docs/behavior.md, "Observation"); panes outside the observation cost nothing."""
    server.start("ops", width=200, height=200)
    server.start("other")
    for _ in range(119):
        server.tmux("new-window", "-d", "-t", "=ops:", "exec sleep 600")
    count = server.folder / "count"
    wrapper = server.write_wrapper(f'echo x >> {count}; exec "$tmux" "$@"')
    (session,) = server.control(binary=wrapper).observe(POOL).sessions
    assert len([pane for pane in session.panes if pane.text is not None]) == 120
    assert len(count.read_text().split()) == 4


def test_the_surrounding_tmux_is_not_used(server: Server) -> None:
    """A check may run inside another tmux, which TMUX and TMUX_PANE name."""
    server.start("ops")
    socket_folder = server.folder / "sockets"
    socket_folder.mkdir(mode=0o700)
    environ = {**server.environ, "TMUX": f"{server.socket},1,0", "TMUX_PANE": "%0", "TMUX_TMPDIR": str(socket_folder)}
    assert (
        not TmuxReader(server.config().__class__(binary=server.config().binary), environ).observe(POOL).server_running
    )
    assert TmuxReader(server.config(), environ).observe(POOL).sessions


def test_the_socket_name_chooses_the_server(server: Server) -> None:
    argv = [server.config().binary, "-L", "mine", "-f", "/dev/null", "new-session", "-d", "-s", "ops", "exec sleep 600"]
    environ = {**server.environ, "TMUX_TMPDIR": str(server.folder)}
    subprocess.run(argv, env=environ, check=True, timeout=30)
    config = server.config().__class__(binary=server.config().binary, socket_name="mine")
    assert [s.name for s in TmuxReader(config, environ).observe(POOL).sessions] == ["ops"]


# --- the start command and quoting, by round trip on the real server -------------------------------------------------

NASTY = st.text(
    st.one_of(st.sampled_from("abn01 \t\n\\\"'$~#;{}%()[]*?!&|<>=-`^,:éł日😀\x1b\x7f\r"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=40,
).filter(lambda text: "\0" not in text)


@pytest.mark.parametrize(
    "words", [["x"], HOSTILE, ["~"], ["'"], ['"'], ["$"], ["a\nb\tc\\n"], ["$HOME", "${X}", "\\$HOME"]]
)
def test_start_command_runs_the_same_program_again(server: Server, words: list[str]) -> None:
    """With an argv and with a shell command, the second start gets the same arguments as the first."""
    recorder = server.folder / "recorder"
    recorder.write_text(
        '#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done > "$0.tmp"; mv "$0.tmp" "$0.out"; exec sleep 600\n'
    )
    recorder.chmod(0o755)
    out = Path(f"{recorder}.out")
    expected = "".join(f"{word}\0" for word in words).encode()

    server.tmux("new-session", "-d", "-s", "ops", "--", str(recorder), *words)
    for _ in range(2):
        poll(out.exists)
        assert out.read_bytes() == expected
        out.unlink()
        again = server.row("ops").pane.start_command
        server.tmux("kill-session", "-t", "=ops", ";", "new-session", "-d", "-s", "ops", "--", again)


@given(NASTY)
@hypothesis_settings(max_examples=40)
def test_start_command_gives_back_any_shell_command(shared_server: Server, command: str) -> None:
    """A single argument is shell text and comes back unchanged, even if it is not valid shell."""
    shared_server.start("hold")
    shared_server.tmux("set-option", "-t", "=hold:", "remain-on-exit", "on")
    answer = shared_server.control().run(formats.script(["respawn-pane", "-k", "-t", "=hold:", f"exit; {command}"]))
    assert answer.ok, answer.error
    got = shared_server.row("hold").pane.start_command
    shared_server.tmux("kill-session", "-t", "=hold")
    assert got == f"exit; {command}"


@given(NASTY)
@hypothesis_settings(max_examples=60)
def test_quote_is_one_word_to_tmux(shared_server: Server, text: str) -> None:
    answer = shared_server.control().run(formats.script(["set-environment", "-g", "ROUND_TRIP", text]))
    assert answer.ok, answer.error
    shared_server.control().run(
        formats.script(["run-shell", f'printf "%s." "$ROUND_TRIP" > {shared_server.folder}/round'])
    )
    assert (shared_server.folder / "round").read_bytes().decode() == text + "."


def test_a_guard_stops_what_changes_and_nothing_else(server: Server) -> None:
    def refuse() -> None:
        raise LockLostError("the lock is lost")

    server.start("ccl-auto-11")
    tmux = TmuxControl(server.config(), server.environ, refuse)
    with pytest.raises(LockLostError):
        tmux.run(formats.script(["kill-session", "-t", "=ccl-auto-11"]))
    assert [row.session_name for row in tmux.rows() or ()] == ["ccl-auto-11"]
