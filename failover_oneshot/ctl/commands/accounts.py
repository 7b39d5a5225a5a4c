"""`failoverctl accounts`: list and check accounts, save, restore and assign credentials. Never prints a token."""

import argparse
import os

from failover_oneshot.ctl.accounts import add, restore, show, unclaimed
from failover_oneshot.ctl.lib import installation

WORDS = {
    "list": "list the accounts and their state (default)",
    "add": "save the live credentials in the store of an account, configured or new",
    "check": "show what each store contains, and the generations",
    "restore": "put a generation back into an account's store",
    "unclaimed": "list credentials whose owner is not known, and assign them to an account",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    installation.explained(
        parser,
        """
        failoverctl accounts                 list all accounts and their state
        failoverctl accounts add third       save the live credentials as third's
        failoverctl accounts check           show what each store contains
        failoverctl accounts restore main    put main's newest generation back
        failoverctl accounts unclaimed       list credentials of unknown owners
        """,
        "Whenever credentials are replaced, the old ones are kept for 30 days as a generation, in generations/ beside "
        "the state. Credentials whose owner is not known are kept in unclaimed/.",
        "exit codes: 0; 1 refused or failed, or check found a problem; 2 no such account or entry; "
        "65 the state was corrupt; 74 the state cannot be read or written; 75 a check is running; "
        "78 configuration missing or wrong",
    )
    words = parser.add_subparsers(dest="what", metavar=" | ".join(WORDS))
    made = {
        word: words.add_parser(
            word,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for word, text in WORDS.items()
    }
    parser.set_defaults(name=None)
    for word in ("list", "check"):
        made[word].add_argument("name", metavar="NAME", nargs="?", help="account to show (default: all)")
    _configure_add(made["add"])
    _configure_restore(made["restore"])
    assign = _configure_unclaimed(made["unclaimed"])
    installation.arguments_everywhere(parser, (*made.values(), assign))


def _configure_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="account that you are logged in as; a new name is added")
    installation.explained(
        parser,
        """
        claude /login
        failoverctl accounts add third
        """,
        "A new account gets a store beside the other accounts' stores, and an entry at the end of `accounts` in the "
        "configuration file, whose comments stay. The account is then the active one.",
        "It refuses live credentials that belong to another account or are older than the account's store. It accepts "
        "credentials of an unknown owner only if the store is empty. A refused command changes no file.",
    )


def _configure_restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="account whose store to change")
    parser.add_argument(
        "generation", metavar="GENERATION", nargs="?", help="id of a generation, from `failoverctl accounts check` "
        "(default: the newest whose credentials are not in the store)",
    )  # fmt: skip
    installation.explained(
        parser,
        """
        failoverctl accounts restore main
        failoverctl accounts restore main 20261126T142000Z
        failoverctl swap --to main
        """,
        "What the store holds becomes a generation first. Refresh tokens work only once, so an old generation may not "
        "work any more.",
    )


def _configure_unclaimed(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    installation.explained(
        parser,
        """
        failoverctl accounts unclaimed
        failoverctl accounts unclaimed assign 20261126T142000Z main
        """,
    )
    text = "move unclaimed credentials into an account's store"
    inner = parser.add_subparsers(dest="how", metavar="assign").add_parser(
        "assign",
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner.add_argument("file", metavar="FILE", help="id, or the beginning of one, file name or path")
    inner.add_argument("name", metavar="NAME", help="account that they belong to")
    installation.explained(
        inner,
        "failoverctl accounts unclaimed assign 20261126T142000Z main",
        "It refuses credentials that name another account. If the store has newer credentials, it stays as it is, and "
        "these become a generation.",
        "The identity beside them may be an old one that the agent wrote back. So the account that the list proposes "
        "may have them even if that identity names another one.",
    )
    return inner


def run(options: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code. Raises AccountsError for a refusal."""
    site = installation.find(options, os.environ)
    match options.what:
        case "add":
            return add.add(site, options)
        case "restore":
            return restore.restore(site, options)
        case "unclaimed":
            return unclaimed.assign(site, options) if options.how else unclaimed.show(site, options)
    return show.show(site, options, detailed=options.what == "check")
