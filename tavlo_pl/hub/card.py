"""The model card of a run, made from its ``results.json``."""

from collections.abc import Mapping
from typing import Any

import yaml

from tavlo_pl import __version__
from tavlo_pl.viz.page import render
from tavlo_pl.viz.table import results_tables

TAGS = ["audio-visual-localization", "sound-source-localization", "pytorch-lightning"]


def model_card(repository: str, config: Mapping[str, Any], results: Mapping[str, Any], licence: str) -> str:
    """Returns the text of ``README.md``: a YAML header, how to use it, the scores with their protocol and baselines.

    Args:
        repository: ``owner/name``.
        config: model and clip format as plain values.
        results: what `tavlo_pl.hub.push.public_results` returns.
        licence: identifier for the header.
    """
    header = {"license": licence, "library_name": "tavlo_pl", "tags": TAGS}
    metrics = results["metrics"]
    return render(
        "tavlo_pl.hub",
        "card.md.j2",
        header=yaml.safe_dump(header, sort_keys=False).strip(),
        repository=repository,
        version=__version__,
        model=config["model"]["class_path"].rpartition(".")[2],
        clip=config.get("data", {}).get("clip", {}),
        results=results,
        protocol=metrics.get("protocol", {}).get("name", "unnamed"),
        tables=[table.to_markdown() for table in results_tables(metrics)],
    )
