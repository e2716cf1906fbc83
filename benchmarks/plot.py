"""Plot the figures in `results/`: bars of pictures a second, and memory over pictures.

    python benchmarks/plot.py [--results FOLDER]

Made for telephones: narrow, in large letters, with every figure at the end of its bar.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

try:
    import matplotlib as mpl
    from matplotlib import pyplot as plt
except ModuleNotFoundError:
    raise SystemExit("no plot: pip install matplotlib") from None

RESULTS = Path(__file__).parent / "results"
OURS, OTHERS, TOWERS, INK, FAINT = "#0b7285", "#adb5bd", "#dee2e6", "#212529", "#868e96"
#: Inches: a telephone shows this width without shrinking the letters.
WIDTH, BAR = 5.2, 0.42
PICTURES_OF = {
    "vit-b-32": "CLIP ViT-B/32",
    "vit-l-14": "CLIP ViT-L/14",
    "siglip2-b-32-256": "SigLIP 2 B/32-256",
}


def main(
    results: Annotated[Path, typer.Option(help="Folder with the JSON, where the plots go too.")] = RESULTS,
) -> None:
    """Plot every result that exists."""
    mpl.rcParams |= {
        "font.size": 11,
        "text.color": INK,
        "svg.hashsalt": "moderation-worker",
        "figure.constrained_layout.use": True,
    }
    for file in sorted(results.glob("throughput*.json")):
        _throughput(_read(file), file.with_suffix(".svg"))
    if (file := results / "ablation.json").exists():
        _ablation(_read(file), file.with_suffix(".svg"))
    if (file := results / "memory.json").exists():
        _memory(_read(file), file.with_suffix(".svg"))


def _throughput(run: dict[str, Any], file: Path) -> None:
    figures = run["pictures a second"]
    tower = next((one["median"] for name, one in figures.items() if name.startswith("the tower alone")), 0)
    bars = sorted(figures.items(), key=lambda item: item[1]["median"])
    title = f"Pictures a second: {_model(run)}"
    figure, axes = _bars(title, [(_short(name), one, _colour(name)) for name, one in bars], run)
    if tower:
        _ceiling(axes, tower, len(bars))
    _save(figure, file)


def _ceiling(axes: Any, tower: float, top: int) -> None:
    """Draw the ceiling of everything that computes in float32 with PyTorch."""
    axes.set_ylim(-0.5, top + 0.45)
    axes.axvline(tower, color=INK, linewidth=1, linestyle=(0, (2, 2)), zorder=0)
    left = tower < axes.get_xlim()[1] / 2
    axes.annotate(
        "PyTorch's float32 tower alone",
        (tower, top + 0.2),
        (4 if left else -4, 0),
        textcoords="offset points",
        ha="left" if left else "right",
        fontsize=9,
    )


def _ablation(run: dict[str, Any], file: Path) -> None:
    steps = list(run["pictures a second"].items())[::-1]
    colours = [OTHERS if "Celery" in name or "labels" in name else OURS for name, _ in steps]
    bars = [(name, one, colour) for (name, one), colour in zip(steps, colours, strict=True)]
    figure, _ = _bars(f"One technique more at a time: {_model(run)}", bars, run)
    _save(figure, file)


def _bars(title: str, bars: list[tuple[str, dict[str, float], str]], run: dict[str, Any]) -> tuple[Any, Any]:
    """Draw bars from the bottom: the name above, the median at the end, whiskers from least to most."""
    figure, axes = plt.subplots(figsize=(WIDTH, 1.3 + 1.25 * BAR * len(bars)))
    medians = [one["median"] for _, one, _ in bars]
    axes.barh(range(len(bars)), medians, height=0.42, color=[colour for *_, colour in bars], zorder=2)
    longest = max(one["most"] for _, one, _ in bars)
    for place, (name, one, _) in enumerate(bars):
        axes.plot([one["least"], one["most"]], [place, place], color=INK, linewidth=1, zorder=3)
        end = max(one["median"], one["most"])
        number = f"{one['median']:.1f}"
        axes.text(
            end + longest * 0.02, place, number, va="center", fontweight="bold", zorder=4, bbox=_paper()
        )
        axes.text(0, place + 0.27, name, va="bottom", fontsize=10, zorder=4, bbox=_paper())
    axes.set_xlim(0, longest * 1.14)
    axes.set_ylim(-0.5, len(bars) + 0.05)
    axes.axis("off")
    figure.suptitle(title, x=0.02, ha="left", fontweight="bold", fontsize=12)
    _source(figure, run)
    return figure, axes


def _memory(run: dict[str, Any], file: Path) -> None:
    pictures, worker, decoders = zip(*run["line"], strict=True)
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4))
    for values, colour, name in ((worker, OURS, "worker"), (decoders, FAINT, "its decoders")):
        axes.plot(pictures, values, color=colour, linewidth=2)
        axes.annotate(
            f"{name}: {values[-1]:,.0f} MB",
            (pictures[-1], values[-1]),
            (0, 12),
            textcoords="offset points",
            ha="right",
            color=colour,
            fontweight="bold",
        )
    axes.set_ylim(0, 1.25 * max(*worker, *decoders))
    axes.set_xlim(0, pictures[-1])
    axes.set_xlabel("pictures")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False, labelsize=10)
    axes.grid(axis="y", color=TOWERS)
    figure.suptitle(f"Resident memory, MB: {_model(run)}", x=0.02, ha="left", fontweight="bold", fontsize=12)
    _source(figure, run)
    _save(figure, file)


def _source(figure: Any, run: dict[str, Any]) -> None:
    """Write below the plot what it was measured on."""
    source = ", ".join([run["machine"].split(", ", 1)[-1], *_parts(run)])
    if any("tower alone" in name for name in run.get("pictures a second", ())):
        source += "\nLight bars: the model alone, which reads no file and decides nothing"
    figure.supxlabel(source, x=0.02, ha="left", fontsize=8.5, color=FAINT)


def _parts(run: dict[str, Any]) -> list[str]:
    labels = [f"{run['labels']} labels"] if "labels" in run else []
    rounds = [f"medians of {run['rounds']} rounds, lines from least to most"] if "rounds" in run else []
    return labels + rounds


def _model(run: dict[str, Any]) -> str:
    return PICTURES_OF.get(run.get("model", "vit-b-32"), "")


def _read(file: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return run


def _short(name: str) -> str:
    return name.replace("the tower alone, batch 32", "PyTorch, tower alone")


def _colour(name: str) -> str:
    if name.startswith("moderation-worker"):
        return OURS
    return TOWERS if "tower alone" in name else OTHERS


def _paper() -> dict[str, Any]:
    """Return a text background that hides lines behind letters."""
    return {"facecolor": "white", "edgecolor": "none", "pad": 0.5}


def _save(figure: Any, file: Path) -> None:
    figure.savefig(file, metadata={"Date": None}, facecolor="white")
    plt.close(figure)
    print(f"drawn: {file}")


if __name__ == "__main__":
    typer.run(main)
