"""`failoverctl accounts`: what its subcommands show and change. None of them prints a token."""
