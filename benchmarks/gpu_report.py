"""Results of a GPU as text and as a picture, and what they say about the aims."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.ceilings import floor, has_floor
from benchmarks.peers import GPU_PEERS
from benchmarks.work import INFERENCE, TRAINING

Results = dict[str, Any]

OURS = tuple(peer for peer in GPU_PEERS if peer.startswith("cupy"))
HOST = "host-fit"
ELSEWHERE = tuple(peer for peer in GPU_PEERS if peer.startswith("xpnet-on"))
"""xpnet on other libraries: neither what the aims are for nor a rival."""
COMPILED = ("cuda-compile", "cuda-reduce-overhead", "cuda-max-autotune")
NO_GPU = "no GPU: the peers ran on the processor, and these figures say nothing of one"
LARGE = ("huge",)
"""Networks whose products take most of the time; the others wait for launches."""


def text(results: Results) -> str:
    """Everything as plain text."""
    blocks = [_machine(results["machine"])]
    for precision, found in results["precisions"].items():
        for kind, unit in ((TRAINING, "a step"), (INFERENCE, "a call")):
            if names := [name for name in found["works"] if name in kind]:
                blocks.append(
                    report.table(found, names, f"{precision}: microseconds {unit} (median)", report.median_cell)
                )
                spread = f"{precision}: spread of the rounds: (largest - smallest) / median"
                blocks.append(report.table(found, names, spread, report.spread_cell))
                if kind is INFERENCE:
                    blocks.append(
                        report.table(found, names, f"{precision}: largest error of a probability", _deviation)
                    )
                else:
                    blocks.append(_floors(results, precision, names))
    blocks += [f"{name}\n" + "\n".join(_part(part)) for name, part in results["parts"].items()]
    if left_out := _left_out(results):
        blocks.append("left out\n" + "\n".join(left_out))
    if wrong := faults(results):
        blocks.append("WRONG RESULTS\n" + "\n".join(wrong))
    if results["reach"]:
        blocks.append("aims\n" + "\n".join(report.aim_line(row) for row in results["reach"]))
    return "\n\n".join(filter(None, blocks))


def faults(results: Results) -> list[str]:
    """Peers that did not do the work they were timed at."""
    return [
        f"  {precision}:{line}" for precision, found in results["precisions"].items() for line in report.faults(found)
    ]


def reach(results: Results) -> list[dict[str, Any]]:
    """Hold the results to each aim that they can decide: {aim, figure, bound, met}."""
    rows: list[dict[str, Any]] = []

    def at_most(aim: str, figure: float, bound: float) -> None:
        rows.append({"aim": aim, "figure": figure, "bound": bound, "met": figure <= bound})

    ceilings = results["parts"].get("ceilings", {})
    for precision, name, found in _trained(results):
        rivals = {peer: median for peer, median in found.items() if peer not in (*OURS, *ELSEWHERE, HOST)}
        for own in (peer for peer in OURS if peer in found):
            where, mine = f"{name}, {precision}: {own}", found[own]
            if name in LARGE:
                if rivals:
                    best = min(rivals, key=lambda peer: rivals[peer])
                    at_most(f"{where} / fastest rival ({best})", mine / rivals[best], 1 / 1.05)
                if "products" in ceilings:
                    at_most(f"{where} / floor", mine / floor(TRAINING[name], ceilings, precision), 1.15)
                continue
            compiled = {peer: rivals[peer] for peer in COMPILED if peer in rivals}
            if "cuda-eager" in rivals:
                at_most(f"{where} / torch eager", mine / rivals["cuda-eager"], 1 / 5)
            if compiled:
                best = min(compiled, key=lambda peer: compiled[peer])
                at_most(f"{where} / best torch.compile ({best})", mine / compiled[best], 1 / 1.5)
            if "cuda-graph" in rivals:
                at_most(f"{where} / captured by hand", mine / rivals["cuda-graph"], 1.0)
            if name == "mlp":
                at_most(f"{where}: microseconds a step", mine, 50.0)
    own = results["parts"].get("mnist-98", {}).get("xpnet", {})
    if own.get("reached"):
        at_most("98 % on MNIST from data on the device: seconds", own["seconds"], 1.0)
    return rows


def picture(results: Results, path: Path) -> bool:
    """Draw each peer's time, a panel a work and precision; False without matplotlib."""
    works = {
        f"{name}, {precision}": work
        for precision, found in results["precisions"].items()
        for name, work in found["works"].items()
    }
    given = {"works": works, "machine": results["machine"]}
    return report.draw(given, path, OURS, (HOST, *ELSEWHERE), results["machine"]["gpu"] or NO_GPU)


def _trained(results: Results) -> Iterator[tuple[str, str, dict[str, float]]]:
    for precision, found in results["precisions"].items():
        for name, work in found["works"].items():
            if name in TRAINING:
                yield precision, name, {peer: result["median"] for peer, result in work["peers"].items()}


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    lines = [
        f"{machine['gpu'] or NO_GPU}; {machine['processor']}, {machine['cores']} cores",
        f"Python {machine['python']}; {versions}; revision {machine['revision']}",
        f"{machine['rounds']} rounds of {machine['round_seconds']} s; {machine['seconds']:.0f} s in all",
    ]
    return "\n".join(lines + (["--quick: these figures mean nothing"] if machine["quick"] else []))


def _deviation(peers: dict[str, Any], peer: str) -> str:
    return f"{peers[peer]['deviation']:.1e}" if peer in peers else ""


def _floors(results: Results, precision: str, names: list[str]) -> str:
    """The floor of each network in microseconds, where the ceilings were measured in the same run."""
    ceilings = results["parts"].get("ceilings", {})
    if "products" not in ceilings:
        return ""
    large = [name for name in names if has_floor(TRAINING[name])]
    cells = [f"{name} {floor(TRAINING[name], ceilings, precision):.1f}" for name in large]
    return f"{precision}: floor of a step, microseconds: " + ", ".join(cells) if cells else ""


def _part(found: Any, indent: str = "  ") -> Iterator[str]:
    """Write nested results a line each."""
    for name, value in found.items():
        if isinstance(value, dict):
            yield f"{indent}{name}"
            yield from _part(value, indent + "  ")
        else:
            yield f"{indent}{name}: {f'{value:.4g}' if isinstance(value, float) else value}"


def _left_out(results: Results) -> list[str]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for precision, found in results["precisions"].items():
        for name, work in found["works"].items():
            for peer, reason in work["left_out"].items():
                reasons.setdefault((peer, reason), []).append(f"{name} {precision}")
    return [f"  {peer} ({', '.join(places)}): {reason}" for (peer, reason), places in reasons.items()]
