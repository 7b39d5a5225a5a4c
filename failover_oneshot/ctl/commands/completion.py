"""`failoverctl completion`: print a completion script for a shell."""

import argparse
import sys

SHELLS = ("bash", "zsh", "fish")
PROGRAMS = ("failoverctl", "failover-check")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    parser.add_argument("shell", choices=SHELLS, help="shell to write the script for")
    parser.add_argument("--program", choices=PROGRAMS, default=PROGRAMS[0],
                        help="program to complete (default: failoverctl)")  # fmt: skip
    parser.epilog = (
        "Install the script where the shell looks for it. Repeat this after each upgrade.\n\n"
        "examples:\n"
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
    """All arguments of a parser and of its sub-commands, at any depth."""
    found = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found += actions(inner)
    return found
