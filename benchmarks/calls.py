"""Times secured calls against one CXF server, beside plain zeep and CXF's own client, and prints one table."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import zeep

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import floor, parts
from benchmarks.cxf import (
    PLAIN,
    SECURED,
    Figures,
    Peers,
    conversation,
    grid,
    machine,
    measured,
    peers,
    text_of,
)
from benchmarks.gate import Rounds
from tests.peers.peer import PeerError

_UNITS = {"K": 1024, "M": 1024 * 1024}
#: A call of this size counts as two: larger ones are measured less often.
_DOUBLE = 64 * 1024


@dataclass(frozen=True)
class _Side:
    """Whole calls of one client, and the server's share of them."""

    whole: Figures
    server: Figures


@dataclass(frozen=True)
class _Result:
    """What was measured at one size."""

    size: int
    calls: int
    plain: _Side
    ours: _Side
    cxf: _Side
    floor: floor.Floor


class _Sizes(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    name = "sizes"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[int] | None:
        try:
            return [int(item.rstrip("KM")) * _UNITS.get(item[-1:], 1) for item in str(value).split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a list of sizes like 20,10K,1M", param, ctx)


@click.command(help=__doc__)
@click.option("--calls", default=300, show_default=True, help="Calls per round at 20 B; fewer of large ones.")
@click.option("--rounds", default=5, show_default=True, help="Rounds per size, ours and CXF's in turn.")
@click.option("--sizes", default="20,10K,1M", show_default=True, type=_Sizes(), help="Characters echoed.")
@click.option("--warmup", default=2000, show_default=True, help="Unmeasured calls before the first round.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead of the table.")
@click.option("--profile", is_flag=True, help="Print where the time of our secured call goes; no CXF client.")
def main(*, calls: int, rounds: int, sizes: list[int], warmup: int, as_json: bool, profile: bool) -> None:
    """Measure, and print what was asked for."""
    try:
        with peers(_say) as running:
            if profile:
                _profile(running, sizes, calls, warmup)
                return
            results = _measure(running, sizes, calls, rounds, warmup)
            click.echo(_as_json(running, results) if as_json else _table(running, results))
    except PeerError as error:
        raise click.ClickException(str(error)) from error


def _say(text: str) -> None:
    click.echo(text, err=True)


def _calls(calls: int, size: int) -> int:
    return max(5, round(calls / (1 + size / _DOUBLE)))


# ---------------------------------------------------------------------------------------------- measuring


def _measure(running: Peers, sizes: list[int], calls: int, rounds: int, warmup: int) -> list[_Result]:
    plain = zeep.Client(running.server.wsdl(PLAIN))
    plan = [(size, _calls(calls, size)) for _ in range(rounds) for size in sizes]
    sides: dict[tuple[str, int], list[_Side]] = {
        (who, size): [] for who in ("plain", "ours") for size in sizes
    }
    with conversation(running.pki) as sc, Rounds(running, plan, warmup) as cxf:
        secured = sc.client(running.server.wsdl(SECURED))
        _say(f"warming up: {warmup} calls of CXF's client, then as many of ours")
        cxf.wait()
        for client in (plain, secured):
            for _ in range(warmup):
                client.service.echo("")
        for number, (size, count) in enumerate(plan):
            _say(f"round {number // len(sizes) + 1} of {rounds}, {_label(size)}: {count} calls each")
            text = text_of(size)
            for who, client, endpoint in (("plain", plain, PLAIN), ("ours", secured, SECURED)):
                side = _round(running, endpoint, lambda: client.service.echo(text), count)  # noqa: B023
                sides[who, size].append(side)
            cxf.let_pass()
            cxf.wait()
        theirs = [_Side(*figures) for figures in cxf.figures()]
    return [
        _Result(
            size=size,
            calls=_calls(calls, size) * rounds,
            plain=_over_rounds(sides["plain", size]),
            ours=_over_rounds(sides["ours", size]),
            cxf=_over_rounds(theirs[index :: len(sizes)]),
            floor=floor.floor(running, size, _calls(calls, size)),
        )
        for index, size in enumerate(sizes)
    ]


def _round(running: Peers, endpoint: str, call: Callable[[], object], count: int) -> _Side:
    for _ in range(count // 5 + 1):
        call()
    running.server.timings(reset=True)
    whole = measured(call, count)
    timings = running.server.timings(reset=True)
    return _Side(whole, Figures.of_report(timings[endpoint]))


def _over_rounds(rounds: list[_Side]) -> _Side:
    return _Side(
        Figures.of_rounds([one.whole for one in rounds]), Figures.of_rounds([one.server for one in rounds])
    )


# --------------------------------------------------------------------------------------------------- table

_Cells = tuple[float | None, float | None, float | None]


def _absolute(figures: Callable[[_Result], Figures]) -> Callable[[_Result], _Cells]:
    def cells(result: _Result) -> _Cells:
        found = figures(result)
        return found.minimum, found.median, found.p90

    return cells


def _derived(value: Callable[[_Result, str], float]) -> Callable[[_Result], _Cells]:
    """From the minima and from the medians; a difference of percentiles would say nothing."""
    return lambda result: (value(result, "minimum"), value(result, "median"), None)


def _cpu(side: Callable[[_Result], _Side]) -> Callable[[_Result], _Cells]:
    return lambda result: (None, side(result).whole.cpu, None)


def _share(side: _Side, rank: str) -> float:
    """The client's own share of a call."""
    return float(getattr(side.whole, rank) - getattr(side.server, rank))


def _added(result: _Result, rank: str) -> float:
    """What secure conversation adds to zeep on the client's side."""
    return _share(result.ours, rank) - _share(result.plain, rank)


_ROWS: dict[str, Callable[[_Result], _Cells]] = {
    "plain zeep: whole call": _absolute(lambda r: r.plain.whole),
    "plain zeep: server's share": _absolute(lambda r: r.plain.server),
    "plain zeep: client's share": _derived(lambda r, rank: _share(r.plain, rank)),
    "ours: whole call": _absolute(lambda r: r.ours.whole),
    "ours: server's share": _absolute(lambda r: r.ours.server),
    "ours: client's share": _derived(lambda r, rank: _share(r.ours, rank)),
    "CXF client: whole call": _absolute(lambda r: r.cxf.whole),
    "CXF client: server's share": _absolute(lambda r: r.cxf.server),
    "CXF client: client's share": _derived(lambda r, rank: _share(r.cxf, rank)),
    "ours : CXF's, client's shares (aim 0.6)": _derived(
        lambda r, rank: _share(r.ours, rank) / _share(r.cxf, rank)
    ),
    "ours above plain zeep": _derived(_added),
    "floor, out and in": _absolute(lambda r: r.floor.whole),
    "ours above plain zeep : floor": _derived(lambda r, rank: _added(r, rank) / getattr(r.floor.whole, rank)),
    "CPU of our process, mean": _cpu(lambda r: r.ours),
    "CPU of CXF client's process, mean": _cpu(lambda r: r.cxf),
}


def _label(size: int) -> str:
    for unit, factor in (("MB", _UNITS["M"]), ("KB", _UNITS["K"])):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"


def _table(running: Peers, results: list[_Result]) -> str:
    heads = ["milliseconds"]
    for result in results:
        heads += [f"{_label(result.size)} min", "median", "p90"]
    rows = [[name, *(_cell(v) for r in results for v in cells(r))] for name, cells in _ROWS.items()]
    counts = ", ".join(f"{_label(result.size)}: {result.calls}" for result in results)
    return "\n".join(
        [machine(running.server), f"measured calls of each client: {counts}", "", *grid(heads, rows)]
    )


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _as_json(running: Peers, results: list[_Result]) -> str:
    everything = {
        "machine": machine(running.server),
        "load": os.getloadavg(),
        "unit": "milliseconds",
        "sizes": [asdict(result) for result in results],
        "table": {
            name: {_label(result.size): cells(result) for result in results} for name, cells in _ROWS.items()
        },
    }
    return json.dumps(everything, indent=2)


# ------------------------------------------------------------------------------------------------- profile


def _profile(running: Peers, sizes: list[int], calls: int, warmup: int) -> None:
    _say(f"warming up the server: {warmup} calls")
    with conversation(running.pki) as sc:
        client = sc.client(running.server.wsdl(SECURED))
        for _ in range(warmup):
            client.service.echo("")
    heads = ["milliseconds, median"]
    columns: list[dict[str, Figures]] = []
    for size in sizes:
        heads += [_label(size), "min"]
        columns.append(parts.steps(running, size, _calls(calls, size)))
    rows = [
        [name, *(_cell(v) for column in columns for v in (column[name].median, column[name].minimum))]
        for name in parts.STEPS
    ]
    click.echo("\n".join([machine(running.server), "", *grid(heads, rows)]))
    for size in sizes:
        bottom = floor.floor(running, size, _calls(calls, size))
        listed = [[name, _cell(one.median), _cell(one.minimum)] for name, one in bottom.parts.items()]
        total = ["together", _cell(bottom.whole.median), _cell(bottom.whole.minimum)]
        click.echo("\n".join(["", *grid([f"floor, {_label(size)}", "median", "min"], [*listed, total])]))
    for size in sizes:
        count = _calls(calls, size)
        click.echo(f"\n{count} secured calls of {_label(size)} under cProfile")
        click.echo(parts.profile(running, size, count))


if __name__ == "__main__":
    main()
