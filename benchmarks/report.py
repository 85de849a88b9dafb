"""Results as text and as a picture, and what they say about the aims."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.peers import ALL_PEERS
from benchmarks.work import INFERENCE, TRAINING

Results = dict[str, Any]

OURS = ("xpnet", "xpnet-fit", "xpnet-core", "xpnet-jax", "xpnet-bare")
RIVALS = ("torch", "torch-fused", "torch-compile", "keras", "sklearn", "jax-step")
"""Whom xpnet on NumPy has to be as fast as; the loop inside jit is for xpnet on JAX."""

OVER_TORCH = {"moons": 5.0, "spiral": 5.0, "clouds": 2.0, "digits": 2.0}


def text(results: Results) -> str:
    """Everything as plain text."""
    blocks = [_machine(results["machine"])]
    training = [name for name in results["works"] if name in TRAINING]
    inference = [name for name in results["works"] if name in INFERENCE]
    for names, unit in ((training, "microseconds a step"), (inference, "microseconds a call")):
        if names:
            blocks.append(table(results, names, f"{unit} (median)", median_cell))
            blocks.append(table(results, names, "spread of the rounds: (largest - smallest) / median", spread_cell))
            for ours in OURS[:2]:
                if any(ours in results["works"][name]["peers"] for name in names):
                    blocks.append(table(results, names, f"times the time of {title_of(ours, names[0])}", ratio(ours)))
    blocks += [_part(name, part) for name, part in results["parts"].items()]
    works = results["works"].items()
    if far := [work for work, found in works if any(result.get("far") for result in found["peers"].values())]:
        blocks.append(f"all rounds count, though the cores stayed far apart: {', '.join(far)}")
    if aside := _set_aside(results):
        blocks.append("rounds set aside, as a cache line took over twice as long between cores\n" + "\n".join(aside))
    if left_out := _left_out(results):
        blocks.append("left out\n" + "\n".join(left_out))
    if wrong := faults(results):
        blocks.append("WRONG RESULTS\n" + "\n".join(wrong))
    if results["reach"]:
        blocks.append("aims\n" + "\n".join(aim_line(row) for row in results["reach"]))
    return "\n\n".join(blocks)


def _set_aside(results: Results) -> list[str]:
    """How many rounds, by work and peer, and how many count."""
    return [
        f"  {work}: "
        + ", ".join(f"{peer} {len(result['set_aside'])} of {_taken(result)}" for peer, result in late.items())
        for work, found in results["works"].items()
        if (late := {peer: result for peer, result in found["peers"].items() if result.get("set_aside")})
    ]


def _taken(result: dict[str, Any]) -> int:
    return len(result["rounds"]) + len(result["set_aside"])


def title_of(peer: str, work: str) -> str:
    """A peer's title; how it trains does not matter at inference."""
    title = ALL_PEERS[peer].title
    return title.partition(",")[0] if work in INFERENCE else title


def faults(results: Results) -> list[str]:
    """Peers that did not do the work they were timed at."""
    return [
        f"  {work}, {peer}: {result['wrong']}"
        for work, found in results["works"].items()
        for peer, result in found["peers"].items()
        if result["wrong"]
    ]


def reach(results: Results) -> list[dict[str, Any]]:
    """Hold the results to each aim that they can decide: {aim, figure, bound, met}."""
    rows: list[dict[str, Any]] = []

    def at_most(aim: str, figure: float, bound: float) -> None:
        rows.append({"aim": aim, "figure": figure, "bound": bound, "met": figure <= bound})

    medians = {
        work: {peer: result["median"] for peer, result in found["peers"].items()}
        for work, found in results["works"].items()
    }
    for work in (name for name in medians if name in TRAINING):
        found = medians[work]
        for ours in ("xpnet", "xpnet-fit"):
            rivals = {peer: found[peer] for peer in RIVALS if peer in found}
            if ours in found and rivals:
                best = min(rivals, key=lambda peer: rivals[peer])
                at_most(f"{work}: {ours} / fastest rival ({best})", found[ours] / found[best], 1.0)
            if ours in found and "torch" in found and work in OVER_TORCH:
                at_most(f"{work}: {ours} / torch", found[ours] / found["torch"], 1 / OVER_TORCH[work])
            if ours in found and "limit" in found:
                at_most(f"{work}: {ours} / matrix products alone", found[ours] / found["limit"], 1.25)
        for hand in ("jax-step", "jax-loop", "jax-epoch"):
            if "xpnet-jax" in found and hand in found:
                at_most(f"{work}: xpnet-jax / {hand}", found["xpnet-jax"] / found[hand], 1 / 0.95)
    if {"xpnet-fit", "xpnet-bare"} <= medians.get("mlp", {}).keys():
        bare = medians["mlp"]["xpnet-bare"]
        at_most("mlp: fit's share over the bare step", medians["mlp"]["xpnet-fit"] / bare - 1, 0.10)
    if {"xpnet-fit", "xpnet-bare"} <= medians.get("moons", {}).keys():
        extra = medians["moons"]["xpnet-fit"] - medians["moons"]["xpnet-bare"]
        at_most("moons: fit's microseconds a step over the bare step", extra, 10.0)
    for work, name in (("predict-1", "one-row inference"), ("predict-digit", "inference of one digit")):
        for peer, times in (("torch", 5.0), ("sklearn", 10.0)):
            if {"xpnet", peer} <= medians.get(work, {}).keys():
                at_most(f"{name}: xpnet / {peer}", medians[work]["xpnet"] / medians[work][peer], 1 / times)
    parts = results["parts"]
    if {"xpnet, used", "numpy"} <= parts.get("import", {}).keys():
        found = parts["import"]
        at_most("import: seconds over NumPy", found["xpnet, used"]["median"] - found["numpy"]["median"], 0.1)
    if "median" in parts.get("cold-start", {}).get("torch", {}) and "median" in parts["cold-start"].get("xpnet", {}):
        found = parts["cold-start"]
        at_most("cold start: xpnet / torch", found["xpnet"]["median"] / found["torch"]["median"], 1 / 8)
    for ours in ("xpnet", "xpnet-fit"):
        found = parts.get("memory", {})
        if "peak_bytes" in found.get(ours, {}) and "peak_bytes" in found.get("torch", {}):
            at_most(f"memory: {ours} / torch", found[ours]["peak_bytes"] / found["torch"]["peak_bytes"], 1.0)
    if "whole_sweep_seconds" in parts.get("sweep", {}).get("xpnet", {}):
        at_most("moons sweep: seconds", parts["sweep"]["xpnet"]["whole_sweep_seconds"], 360.0)
    for name in (part for part in parts if part.startswith("short-")):
        found = {peer: answer["median"] for peer, answer in parts[name].items() if "median" in answer}
        rivals = {peer: found[peer] for peer in (*RIVALS, "jax-loop", "jax-epoch") if peer in found}
        if "xpnet-fit" in found and rivals:
            best = min(rivals, key=lambda peer: rivals[peer])
            at_most(f"{name}: xpnet-fit / fastest rival ({best})", found["xpnet-fit"] / found[best], 1.0)
    found = parts.get("search", {})
    if "median" in found.get("xpnet", {}) and "median" in found.get("sklearn", {}):
        at_most("grid search: xpnet / scikit-learn", found["xpnet"]["median"] / found["sklearn"]["median"], 1.0)
    found = parts.get("mnist-98", {})
    for peer in ("torch", "torch-fused"):
        if found.get("xpnet", {}).get("reached") and found.get(peer, {}).get("reached"):
            at_most(f"98 % on MNIST: xpnet / {peer}", found["xpnet"]["median"] / found[peer]["median"], 1.0)
    return rows


def picture(results: Results, path: Path) -> bool:
    """Draw each peer's time, a panel a work; False without matplotlib."""
    machine = results["machine"]
    return draw(results, path, OURS, ("limit", "source"), f"{machine['processor']}, {machine['cores']} cores")


def draw(results: Results, path: Path, ours: Iterable[str], aside: Iterable[str], hardware: str) -> bool:
    """Draw :func:`picture`, with *ours* in blue and those that stand *aside* in grey."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import NullFormatter
    except ImportError:
        return False
    works = {name: found["peers"] for name, found in results["works"].items() if found["peers"]}
    columns = min(4, max(1, len(works)))
    rows = max(1, -(-len(works) // columns))
    figure = Figure(figsize=(4.4 * columns, 3.2 * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.set_visible(False)
    for axes, (name, peers) in zip(panels, works.items(), strict=False):
        axes.set_visible(True)
        order = sorted(peers, key=lambda peer: peers[peer]["median"], reverse=True)
        medians = [peers[peer]["median"] for peer in order]
        low, high = zip(*(peers[peer]["spread"] for peer in order), strict=True)
        errors = [
            [m - least for m, least in zip(medians, low, strict=True)],
            [most - m for m, most in zip(medians, high, strict=True)],
        ]
        colors = ["#1f6fb4" if p in ours else "#999999" if p in aside else "#e09040" for p in order]
        # Dots: on a logarithmic axis the length of a bar says nothing.
        for place, median in enumerate(medians):
            error = [[errors[0][place]], [errors[1][place]]]
            axes.errorbar(median, place, xerr=error, fmt="o", markersize=8, color=colors[place])
        labels = (f"{title_of(peer, name)}: {significant(m)}" for peer, m in zip(order, medians, strict=True))
        axes.set_yticks(range(len(order)), labels)
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(name, fontsize=10)
        axes.tick_params(labelsize=7)
        axes.grid(axis="x", alpha=0.3)
    machine = results["machine"]
    figure.suptitle(
        f"microseconds a step or call (median, range of {machine['rounds']} rounds); blue: xpnet\n"
        f"{hardware}, {machine['date']}",
        fontsize=10,
    )
    figure.savefig(path, dpi=110)
    return True


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    load = " -> ".join(f"{machine[when][0]:.2f}" for when in ("load_before", "load_after"))
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, threads: {machine['threads']}, load average {load}",
        f"Python {machine['python']}; {versions}; revision {machine['revision']}",
        f"{machine['rounds']} rounds of {machine['round_seconds']} s; {machine['seconds']:.0f} s in all",
    ]
    if machine.get("round_trip"):
        lines.append(f"a cache line took {machine['round_trip']:.0f} ns from core to core and back at best")
    return "\n".join(lines + (["--quick: these figures mean nothing"] if machine["quick"] else []))


def table(results: Results, names: list[str], title: str, cell: Any) -> str:
    peers = [peer for peer in ALL_PEERS if any(peer in results["works"][name]["peers"] for name in names)]
    rows = [["", *names]]
    for peer in peers:
        cells = (cell(results["works"][name]["peers"], peer) for name in names)
        rows.append([title_of(peer, names[0]), *(found or "-" for found in cells)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    return title + "\n" + "\n".join(lines)


def median_cell(peers: dict[str, Any], peer: str) -> str:
    return significant(peers[peer]["median"]) if peer in peers else ""


def spread_cell(peers: dict[str, Any], peer: str) -> str:
    if peer not in peers:
        return ""
    low, high = peers[peer]["spread"]
    return f"{(high - low) / peers[peer]['median']:.0%}"


def ratio(ours: str) -> Any:
    def cell(peers: dict[str, Any], peer: str) -> str:
        return f"{peers[peer]['median'] / peers[ours]['median']:.2f}" if {ours, peer} <= peers.keys() else ""

    return cell


def significant(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _part(name: str, part: dict[str, Any]) -> str:
    lines = [name]
    for peer, found in part.items():
        if "left_out" in found:
            continue
        if name in ("import", "cold-start"):
            line = f"{found['median'] * 1000:8.0f} ms"
        elif name == "size":
            line = f"{found['bytes'] / 1e6:8.1f} MB"
        elif name == "memory":
            line = f"{found['peak_bytes'] / 1e6:8.0f} MB, {found['data_bytes'] / 1e6:.0f} MB of it before training"
        elif name == "sweep":
            kind = "extrapolated" if found["extrapolated"] else "measured"
            line = f"{found['steps_a_second']:8.0f} steps a second; whole {found['whole_sweep_seconds']:.0f} s, {kind}"
            line += f"; mean test accuracy {sum(found['accuracy'].values()) / len(found['accuracy']):.4f}"
        elif name.startswith("short-"):
            line = f"{found['median']:8.2f} s for {found['runs'][0]['steps']:,} steps and all before"
        elif name == "search":
            line = f"{found['median']:8.1f} s, best scores {[round(run['score'], 4) for run in found['runs']]}"
        else:
            line = f"{found['median']:8.1f} s, epochs {found['epochs']}" + ("" if found["reached"] else ", not reached")
        lines.append(f"  {peer:14}{line}")
    return "\n".join(lines)


def _left_out(results: Results) -> list[str]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for work, found in results["works"].items():
        for peer, reason in found["left_out"].items():
            reasons.setdefault((peer, reason), []).append(work)
    for name, part in results["parts"].items():
        for peer, found in part.items():
            if "left_out" in found:
                reasons.setdefault((peer, found["left_out"]), []).append(name)
    return [f"  {peer} ({', '.join(places)}): {reason}" for (peer, reason), places in reasons.items()]


def aim_line(row: dict[str, Any]) -> str:
    return f"  {'met   ' if row['met'] else 'MISSED'}  {row['figure']:8.3f}  (at most {row['bound']:.3f})  {row['aim']}"
