"""`failoverctl simulate`: compare strategies, thresholds and cooldowns over a simulated month."""

import argparse
import os
import sys
from collections.abc import Callable
from itertools import product
from typing import TypeVar

from failover_oneshot.analysis.simulate import Policy, SimulatedLoad, SimulationResult, encode, simulate, work
from failover_oneshot.config.model import Config, Strategy
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.terminal import Cell, Terminal
from failover_oneshot.ctl.lib.times import duration, span
from failover_oneshot.lib.plural import plural

T = TypeVar("T")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    usual = SimulatedLoad()
    parser.add_argument("--strategy", metavar="LIST", type=_several(Strategy),
                        help="values of swap.strategy (default: all)")  # fmt: skip
    parser.add_argument("--threshold", metavar="LIST", type=_several(_count),
                        help="values of quota.pool_threshold (default: as configured)")  # fmt: skip
    parser.add_argument("--cooldown", metavar="LIST", type=_several(duration),
                        help="values of quota.reactivate_cooldown (default: as configured)")  # fmt: skip
    parser.add_argument("--accounts", metavar="N", type=_count,
                        help=f"number of accounts (default: as configured, else {usual.accounts})")  # fmt: skip
    parser.add_argument("--sessions", metavar="N", type=_count,
                        help="number of pool sessions (default: pool.autonomous.max)")  # fmt: skip
    parser.add_argument("--load", metavar="SHARE", type=_share, default=usual.busy,
                        help=f"share of time that a session works, up to 1 (default: {usual.busy:g})")  # fmt: skip
    parser.add_argument("--five-hour", metavar="HOURS", type=_hours, default=usual.five_hour,
                        help=f"session-hours in a 5-hour window (default: {usual.five_hour:g})")  # fmt: skip
    parser.add_argument("--weekly", metavar="HOURS", type=_hours, default=usual.weekly,
                        help=f"session-hours in a week (default: {usual.weekly:g})")  # fmt: skip
    parser.add_argument("--unknown", metavar="SHARE", type=_zero_to_one, default=usual.unknown,
                        help=f"share of hits without a reset time, 0 to 1 (default: {usual.unknown:g})")  # fmt: skip
    parser.add_argument("--days", metavar="N", type=_hours, default=usual.days,
                        help=f"days to simulate (default: {usual.days:g})")  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=int, default=usual.seed,
                        help=f"seed of the random workload (default: {usual.seed})")  # fmt: skip
    installation.arguments(parser)
    installation.explained(
        parser,
        """
        failoverctl simulate
        failoverctl simulate --strategy ordered --threshold 1,2,4 --cooldown 1m,30m
        failoverctl simulate --accounts 2 --sessions 10 --load 0.3 --unknown 0.2
        """,
        "LIST is one value or several, separated by commas. Simulated checks are decided by the code of real checks. A "
        "session-hour is one session working for one hour; measure how many your accounts allow. The same seed gives "
        "the same table, and every row has the same workload.",
    )


def run(options: argparse.Namespace) -> int:
    """Simulate each combination and print the results, the best first."""
    site, _ = installation.find_or_default(options, os.environ)
    config = site.config
    load = SimulatedLoad(
        accounts=options.accounts or len([a for a in config.accounts if a.enabled]) or SimulatedLoad().accounts,
        sessions=options.sessions or min(config.pool.autonomous.max, 200),
        busy=options.load,
        five_hour=options.five_hour,
        weekly=options.weekly,
        unknown=options.unknown,
        days=options.days,
        seed=options.seed,
    )
    results = _results(config, load, options)
    out = installation.paper()
    if options.json:
        out.say(encode(load, results))
    else:
        _print(load, results, out)
    return 0


def _results(config: Config, load: SimulatedLoad, options: argparse.Namespace) -> list[SimulationResult]:
    policies = [
        Policy(strategy=strategy, threshold=threshold, cooldown=cooldown)
        for strategy, threshold, cooldown in product(
            options.strategy or list(Strategy),
            options.threshold or [config.quota.pool_threshold],
            options.cooldown or [float(config.quota.reactivate_cooldown)],
        )
    ]
    masks = work(load, float(config.quota.poll_interval))
    results = []
    for number, policy in enumerate(policies, start=1):
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{number} of {len(policies)} …\x1b[K")
            sys.stderr.flush()
        results.append(simulate(config, load, policy, masks))
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    return sorted(results, key=lambda r: (r.stalled + r.restarting, r.swaps))


def _print(load: SimulatedLoad, results: list[SimulationResult], out: Terminal) -> None:
    wanted = results[0].wanted
    out.paragraph(
        f"{plural(load.accounts, 'account')}, each with {load.five_hour:g} session-hours in 5 h and {load.weekly:g} in "
        f"a week; {plural(load.sessions, 'session')}, working {load.busy:.0%} of the time: {wanted:g} session-hours in "
        f"{load.days:g} days",
        first="",
        rest="",
    )
    out.say()
    head = ("STRATEGY", "THRESHOLD", "COOLDOWN", "STALLED", "SHARE", "POOL", "WAITED", "SWAPS")
    rows: list[tuple[Cell, ...]] = [head]
    for number, result in enumerate(results):
        lost = result.stalled + result.restarting
        style = "good" if number == 0 and len(results) > 1 else ""
        rows.append(
            (
                (str(result.policy.strategy), style),
                str(result.policy.threshold),
                span(result.policy.cooldown),
                (f"{lost:.1f}h", style),
                (f"{lost / max(wanted, 0.1):.1%}", style),
                f"{result.pool_stalled:.1f}h",
                f"{result.waited:.1f}h",
                str(result.swaps),
            )
        )
    out.table(rows, indent="", cut=False)
    out.say()
    out.paragraph(
        "stalled: session-hours lost while blocked or restarting, also as a share of the work; pool: hours in which "
        "all sessions with work were blocked; waited: hours without a free account.",
        first="",
        rest="",
        style="dim",
    )


def _several(convert: Callable[[str], T]) -> Callable[[str], list[T]]:
    """An argparse type: a list, separated by commas."""

    def several(text: str) -> list[T]:
        try:
            return [convert(part.strip()) for part in text.split(",")]
        except ValueError:
            known = f" (strategies: {', '.join(Strategy)})" if convert is Strategy else ""
            raise argparse.ArgumentTypeError(f"not a valid list: {text!r}{known}") from None

    return several


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 1000: {text!r}")
    return int(text)


def _hours(text: str) -> float:
    return _between(text, 0.01, 100_000)


def _share(text: str) -> float:
    return _between(text, 0.01, 1)


def _zero_to_one(text: str) -> float:
    return _between(text, 0, 1)


def _between(text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"must be between {least:g} and {most:g}: {text!r}")
    return number
