"""Writes the files of a repository from a tested run, and uploads them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tavlo_pl.errors import CheckpointError, ConfigError, RunFailedError
from tavlo_pl.hub.card import model_card
from tavlo_pl.io import hub
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.io.extras import require
from tavlo_pl.predict.checkpoint import release, stored_config
from tavlo_pl.run import directory
from tavlo_pl.run.results import RESULTS, read_results

CARD = "README.md"
PUBLIC = ("metrics", "data_fingerprint", "version", "seed", "parameters", "inference_s", "wall_time_s")
"""Fields of ``results.json`` that name no path of the machine."""


def push(
    run: Path,
    repository: str,
    *,
    private: bool,
    revision: str | None,
    message: str,
    licence: str,
    allow_import: Sequence[str] = (),
) -> str:
    """Uploads a run to the hub as one commit; the repository is created if it does not exist.

    Args:
        run: run folder with ``checkpoints/best.ckpt`` and the results of ``tavlo test``.
        repository: ``owner/name``.
        private: whether a new repository is private.
        revision: branch, created if it does not exist; None for ``main``.
        message: of the commit.
        licence: see `model_card`.
        allow_import: see `load_localizer`.

    Returns:
        The address ``hf://owner/name[@revision]``.

    Raises:
        ConfigError: the extra ``hub`` is not installed, or the run has no results of its best checkpoint.
        CheckpointError: the checkpoint is missing or unreadable.
        RunFailedError: the hub cannot be reached or refuses the upload.
    """
    check_name(repository)
    library = require("huggingface_hub", "hub", "tavlo push")
    with TemporaryDirectory() as folder:
        write_folder(run, repository, Path(folder), licence, allow_import)
        try:
            api = library.HfApi()
            api.create_repo(repository, private=private, exist_ok=True)
            if revision:
                api.create_branch(repository, branch=revision, exist_ok=True)
            api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message, revision=revision)
        except Exception as error:
            raise RunFailedError(hub.explain(error, repository, revision)) from error
    return f"{hub.SCHEME}{repository}" + (f"@{revision}" if revision else "")


def write_folder(run: Path, repository: str, folder: Path, licence: str, allow_import: Sequence[str] = ()) -> None:
    """Writes what `push` uploads: weights, configuration, results and model card; no path of this machine is in them.

    Args:
        run: as for `push`.
        repository: ``owner/name``, for the card.
        folder: output folder, created if missing.
        licence: see `model_card`.
        allow_import: see `load_localizer`.

    Raises:
        ConfigError: the run has no results of its best checkpoint.
        CheckpointError: the checkpoint is missing or unreadable.
    """
    check_name(repository)
    checkpoint = run / directory.CHECKPOINTS / "best.ckpt"
    results = _results_of(run, checkpoint)
    text = stored_config(checkpoint, allow_import)
    if text is None:
        raise CheckpointError(f"{checkpoint} contains no configuration; give a run of tavlo fit")
    folder.mkdir(parents=True, exist_ok=True)
    release(checkpoint, folder / hub.FILE, config=text)
    write_text_atomic(folder / directory.CONFIG, text)
    write_text_atomic(folder / RESULTS, json.dumps(results, indent=2) + "\n")
    write_text_atomic(folder / CARD, model_card(repository, yaml.safe_load(text), results, licence))


def check_name(repository: str) -> None:
    """Checks the name of a repository.

    Raises:
        ConfigError: it is not ``owner/name``.
    """
    if hub.ADDRESS.fullmatch(f"{hub.SCHEME}{repository}") is None or "@" in repository:
        raise ConfigError(f"{repository!r} is no name of a repository; give owner/name")


def public_results(results: Mapping[str, Any]) -> dict[str, Any]:
    """The results without paths of the machine: of the checkpoint its sha256, of clips left out their number."""
    kept: dict[str, Any] = {name: results.get(name) for name in PUBLIC}
    left_out = kept["metrics"].get("left_out")
    if left_out:
        kept["metrics"] = kept["metrics"] | {"left_out": left_out | {"reasons": {}}}
    return kept | {"checkpoint": {"sha256": results["checkpoint"]["sha256"]}}


def _results_of(run: Path, checkpoint: Path) -> dict[str, Any]:
    """The public results of a run's best checkpoint."""
    test = f"tavlo test --ckpt_path {checkpoint}"
    if not checkpoint.is_file():
        raise CheckpointError(f"no checkpoint at {checkpoint}; give a run folder of tavlo fit")
    path = run / "test" / RESULTS
    results = read_results(path)
    if results is None:
        raise ConfigError(f"no results at {path}, from which the model card is made; first run {test}")
    mark = results.get("checkpoint")
    if not isinstance(mark, dict) or mark.get("sha256") != (directory.fingerprint(checkpoint) or {})["sha256"]:
        raise ConfigError(f"{path} has the results of another checkpoint than {checkpoint}; run {test} --overwrite")
    return public_results(results)
