"""`failoverctl completion`: what makes a shell complete the commands and their options."""

import argparse
import sys

SHELLS = ("bash", "zsh", "fish")
PROGRAMS = ("failoverctl", "failover-check")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("shell", choices=SHELLS)
    parser.add_argument("--program", choices=PROGRAMS, default=PROGRAMS[0], help="of the two, failoverctl if not said")
    parser.epilog = (
        "Put it where the shell looks, once and after each upgrade:\n"
        "  failoverctl completion bash > \\\n"
        "      ~/.local/share/bash-completion/completions/failoverctl\n"
        "  failoverctl completion zsh > ~/.zfunc/_failoverctl    # with fpath+=~/.zfunc\n"
        "  failoverctl completion fish > ~/.config/fish/completions/failoverctl.fish"
    )


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    parser = options.command_line(options.program)
    for action in actions(parser):
        if action.metavar in {"PATH", "FILE"}:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    sys.stdout.write(shtab.complete(parser, options.shell).rstrip() + "\n")
    return 0


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """All arguments of a parser and of its commands."""
    found = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found += actions(inner)
    return found
