"""What can be seen inside a model, of one input: as facts, and as a page that needs nothing else."""

from __future__ import annotations

import html
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from unspool.errors import ConfigError, DataError, did_you_mean, extra
from unspool.insight.gradients import jacobian_norms, through_time
from unspool.insight.opened import Opened
from unspool.insight.pictures import save
from unspool.insight.units import RULES, Follower, followers, labels
from unspool.insight.unrolled import gates, unroll

__all__ = ["PARTS", "inspect", "write_report"]

PARTS = ("gradient", "gates", "units", "attribution", "attention", "surprise")
SMALL = 64  # units of a state, all together, whose whole Jacobian is shown
SHOWN = 24  # units of a layer whose values are shown
ABLATED = 3  # units whose loss without them is measured
WHOLLY = 5.0  # nats from which on a note is drawn as wholly unexpected
WORTH = 0.2  # |r| from which a unit is said to follow a rule


def inspect(
    opened: Opened, parts: Sequence[str] = (), *, long: Opened | None = None, rules: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Facts by part: those asked for, else all that this model and input have. Units are looked for in the `long` input, by `rules`
    (regular expressions by name) or the built-in ones. ConfigError for a part that does not exist, or is not there."""
    for part in parts:
        if part not in PARTS:
            raise ConfigError(f"there is no part {part!r} to inspect{did_you_mean(part, PARTS)}; the parts are {', '.join(PARTS)}")
    found: dict[str, Any] = {
        "input": list(opened.symbols),
        "answer": opened.said,
        **({"classes": opened.classes} if opened.classes else {}),
    }
    for part in parts or PARTS:
        value = _MAKERS[part](opened) if part != "units" else _units(long, rules) if long else None
        if value is None and parts:
            raise ConfigError(f"this model has no {part!r} to inspect, or the input is too short for it")
        if value is not None:
            found[part] = value
    return found


def _gradient(opened: Opened) -> dict[str, Any] | None:
    """Of the last step's loss alone: each more would cost as much as a training step. Of small models the whole Jacobian, too."""
    if opened.x.shape[1] < 3:
        return None
    stack, seen = opened.stack, through_time(opened.stack, opened.x, opened.losses, opened.at)
    found: dict[str, Any] = {
        "half-life in steps": {name: round(v, 2) if math.isfinite(v) else None for name, v in seen.half_lives.items()},
        "norm by distance": {name: _short(values) for name, values in seen.norms.items()},
    }
    if len(stack.cell.state) * stack.hidden_size <= SMALL and not stack.bidirectional:
        found["Jacobian norm by distance"] = {
            f"layer {layer + 1}": _short(jacobian_norms(stack, opened.x, layer)) for layer in range(stack.layers)
        }
    return found


def _short(values: Sequence[float]) -> list[float]:
    return [float(f"{v:.4g}") for v in values]


def _gates(opened: Opened) -> dict[str, Any]:
    """The units that vary most, of each layer."""
    shown: dict[str, Any] = {}
    for layer, own in enumerate(gates(opened.stack, opened.x)):
        spread = (
            own[opened.stack.cell.state[-1]][0].std(0) if opened.x.shape[1] > 1 else own[opened.stack.cell.state[-1]][0, 0].abs()
        )
        chosen = spread.argsort(descending=True)[:SHOWN].tolist()
        values = {name: v[0, :, chosen].T for name, v in own.items()}
        shown[f"layer {layer + 1}"] = {"units": chosen} | {name: [_short(row) for row in v.tolist()] for name, v in values.items()}
    return shown


def _units(long: Opened, rules: Mapping[str, str] | None) -> list[dict[str, Any]] | None:
    if not long.scored or long.x.shape[1] < 100:
        return None
    text = "".join(long.symbols)
    ends = torch.tensor([len(s) for s in long.symbols]).cumsum(0)

    def of_symbols(rule: str) -> torch.Tensor:
        covered = torch.cat([torch.zeros(1), labels(text, rule).cumsum(0)])
        begins = ends - torch.tensor([len(s) for s in long.symbols])
        return ((covered[ends] - covered[begins]) > 0).float()

    names = {*long.stack.cell.state, *long.stack.cell.gates} - {"candidate"}
    states = [{name: v[0].cpu() for name, v in own.items() if name in names} for own in gates(long.stack, long.x)]
    best = [
        f
        for f in followers(states, {name: of_symbols(rule) for name, rule in (rules or RULES).items()})
        if abs(f.reported) >= WORTH
    ]
    whole = _loss(long, None)
    rows = []
    for number, f in enumerate(best):
        row = {
            "rule": f.rule,
            "layer": f.layer + 1,
            "state": f.state,
            "unit": f.unit,
            "r, found": round(f.found, 3),
            "r, other half": round(f.reported, 3),
        }
        if number < ABLATED and f.state in long.stack.cell.state:
            row["nats a symbol without it"] = round(_loss(long, f) - whole, 5)
        rows.append(row)
    return rows


@torch.no_grad()
def _loss(opened: Opened, without: Follower | None) -> float:
    """The mean loss of the last steps, up to a thousand."""
    x = opened.x[:, -1000:]
    mute = (without.layer, without.state, without.unit) if without else None
    y, _ = unroll(opened.stack, x, mute)
    whole = y.new_zeros(1, opened.x.shape[1], y.shape[2])
    whole[:, -x.shape[1] :] = y
    return float(opened.losses(whole, ())[-x.shape[1] :].mean())


def _attribution(opened: Opened) -> dict[str, Any]:
    ways = opened.attribution()
    whole = opened.difference()
    facts = {"difference": round(whole, 4), "missing": round(whole - sum(ways["integrated gradients"]), 4)}
    return {way: _short(values) for way, values in ways.items()} | facts


def _attention(opened: Opened) -> dict[str, Any] | None:
    if not opened.attention:
        return None
    weights = [[round(w, 4) for w in row] for row in opened.attention.weights]
    return {"read": list(opened.attention.read), "written": list(opened.attention.written), "weights": weights}


def _surprise(opened: Opened) -> dict[str, Any] | None:
    if not opened.scored:
        return None
    found = {"symbols": list(opened.scored), "nats": [round(v, 4) for v in opened.surprise()]}
    return found | ({"notes": [[round(v, 4) for v in note] for note in opened.notes()]} if opened.notes else {})


_MAKERS: dict[str, Callable[[Opened], Any]] = {
    "gradient": _gradient,
    "gates": _gates,
    "attribution": _attribution,
    "attention": _attention,
    "surprise": _surprise,
}


def write_report(path: str | Path, title: str, found: Mapping[str, Any]) -> None:
    """What `inspect` found as .html, one page that asks nothing of the network; .json, or .png, the figures alone."""
    path = Path(path)
    try:
        if path.suffix == ".json":
            path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
        elif path.suffix == ".png":
            _figure(found, path)
        elif path.suffix in (".html", ".htm"):
            page = resources.files("unspool.insight").joinpath("report.html").read_text("utf-8")
            drawn = [p for p in ("gradient", "attention", "surprise") if p in found and (p != "surprise" or "notes" in found[p])]
            pictures = "".join(f'<figure data-part="{part}">{_svg(part, found)}</figure>' for part in drawn)
            data = json.dumps({"title": title, **found}, ensure_ascii=False).replace("<", "\\u003c")
            texts = {"title": html.escape(title), "figures": pictures, "data": data}
            path.write_text(re.sub(r"\{\{(\w+)\}\}", lambda mark: texts[mark[1]], page), "utf-8")
        else:
            raise ConfigError(f"a report is .html, .json or .png, not {path}")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error


def _svg(part: str, found: Mapping[str, Any]) -> str:
    figure = extra("matplotlib.figure", "inspect").Figure(figsize=(7, 3.6), layout="constrained")
    _DRAWN[part](figure.add_subplot(), found[part])
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _figure(found: Mapping[str, Any], path: Path) -> None:
    parts = [part for part in _DRAWN if part in found]
    if not parts:
        raise ConfigError(f"there is no figure of what was asked for; write {path.with_suffix('.json')} or .html")
    figure = extra("matplotlib.figure", "inspect").Figure(figsize=(9, 3.4 * len(parts)), layout="constrained")
    for number, part in enumerate(parts):
        _DRAWN[part](figure.add_subplot(len(parts), 1, number + 1), found[part])
    save(figure, path)


def _draw_gradient(axes: Any, gradient: Mapping[str, Any]) -> None:
    for name, norms in gradient["norm by distance"].items():
        life = gradient["half-life in steps"][name]
        axes.plot(norms, label=f"{name}: " + ("does not fall" if life is None else f"halves in {life:.3g} steps"))
    axes.set(yscale="log", xlabel="steps back", ylabel="norm of the gradient", title="How far back a loss reaches")
    axes.legend(frameon=False, fontsize=8)


def _draw_gates(axes: Any, shown: Mapping[str, Any]) -> None:
    layer, own = next(iter(shown.items()))
    name = next(key for key in own if key != "units")
    axes.imshow(own[name], aspect="auto", cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")
    axes.set(xlabel="step", ylabel="unit", title=f"{layer}: {name}")


def _draw_bars(axes: Any, values: Sequence[float], symbols: Sequence[str], label: str, title: str) -> None:
    axes.bar(range(len(values)), values, color="#3b6ea8")
    if len(symbols) <= 60:
        axes.set_xticks(
            range(len(symbols)),
            [s.replace("\n", "\\n").replace("$", r"\$") for s in symbols],
            fontsize=7,
            rotation=90 if max(map(len, symbols), default=0) > 2 else 0,
        )
    axes.set(ylabel=label, title=title)


def _draw_attention(axes: Any, attention: Mapping[str, Any]) -> None:
    axes.imshow(attention["weights"], cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for ticks, words in ((axes.set_xticks, attention["read"]), (axes.set_yticks, attention["written"])):
        if len(words) <= 60:
            ticks(range(len(words)), [w.strip().replace("$", r"\$") for w in words], fontsize=8)
    axes.tick_params(axis="x", rotation=60)
    axes.set_title("Where each symbol written was looked for")


def _draw_surprise(axes: Any, surprise: Mapping[str, Any]) -> None:
    if "notes" not in surprise:
        _draw_bars(axes, surprise["nats"], surprise["symbols"], "nats", "Surprise")
        return
    starts, durations, pitches, nats = zip(*surprise["notes"], strict=True)
    colours = extra("matplotlib", "inspect").colormaps["viridis_r"]([min(1.0, v / WHOLLY) for v in nats])
    axes.barh(pitches, durations, left=starts, height=0.9, color=colours)
    octaves = [p for p in range(min(pitches) - 2, max(pitches) + 3) if p % 12 == 0]
    axes.set_yticks(octaves, [f"C{p // 12 - 1}" for p in octaves])
    axes.set(xlabel="quarter notes", title=f"How little each note was expected: yellow 0, violet {WHOLLY:g} nats and more")


_DRAWN: dict[str, Callable[[Any, Any], None]] = {
    "gradient": _draw_gradient,
    "gates": _draw_gates,
    "attribution": lambda axes, v: _draw_bars(axes, v["integrated gradients"], [], "nats", "What each step added to the answer"),
    "attention": _draw_attention,
    "surprise": _draw_surprise,
}
