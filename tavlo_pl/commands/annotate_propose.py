"""``tavlo annotate propose``: frames and instances that a person decides about."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tavlo_pl.annotate.activity import Activity
from tavlo_pl.commands.data_index import write_table
from tavlo_pl.engine.options import DEFAULT_RAY, EngineName, RayOptions, make_engine
from tavlo_pl.errors import RunFailedError
from tavlo_pl.io.output_folder import OutputFolder
from tavlo_pl.io.remote import staging

REASONS_SHOWN = 3
TABLE = "proposals.parquet"
DEFAULT_ACTIVITY = Activity()


def propose(  # noqa: PLR0913, PLR0917  # the options of the models
    root: str | list[str],
    out: str,
    jobs: int = 2,
    activity: Activity = DEFAULT_ACTIVITY,
    frames_per_region: int = 2,
    apart_s: float = 1.0,
    detector: str = "none",
    detector_weights: str = "download",
    min_score: float = 0.3,
    most_instances: int = 20,
    segmenter: str = "none",
    tagger: str = "none",
    tagger_weights: str = "none",
    ckpt_path: str | None = None,
    allow_import: list[str] = [],  # noqa: B006  # a list, so that jsonargparse parses one; it is not changed
    engine: EngineName = "local",
    ray: RayOptions = DEFAULT_RAY,
    **selection: Any,
) -> None:
    """Proposes sharp frames of audio-active regions, with masks, boxes, audio tags and heatmaps.

    Clips are selected as by tavlo data index. A killed run resumes; a clip that cannot be read stops no other.

    Args:
        root: folder, tar archive or video, or addresses of them; several as "[a, b]".
        out: folder of the project, or its address in object storage.
        jobs: processes of the local engine; each loads the models.
        activity: when audio counts as active.
        frames_per_region: maximum number of frames of a region, the sharpest first.
        apart_s: minimum distance of two frames of a clip in seconds.
        detector: a detection model of torchvision by name, maskrcnn_resnet50_fpn for example, or none.
        detector_weights: a file of its weights, download (by torchvision), or none for random ones.
        min_score: lowest score of a detection.
        most_instances: maximum number of detections in a frame.
        segmenter: a SAM 2 model of transformers by name or folder, facebook/sam2.1-hiera-tiny for example, which
            makes masks of boxes and of peaks of heatmaps; or none.
        tagger: yamnet, an audio classification model of transformers by name or folder, or none.
        tagger_weights: a .safetensors file with YAMNet's weights.
        ckpt_path: checkpoint of tavlo fit whose heatmaps are proposed; packaged for the packaged one.
        allow_import: packages whose classes the configuration of the checkpoint may name.
        engine: where clips are read: local (this machine) or ray (a Ray cluster, extra [ray]).
        ray: options of the engine ray; a task with a GPU runs the checkpoint there.
        **selection: which clips, as for tavlo data index; jsonargparse finds these options at the call below.

    Raises:
        ConfigError: an option is invalid, or the folder has proposals of other options.
        DatasetNotFoundError: there is no video, or none is selected.
        CheckpointError: a model cannot be read.
        RunFailedError: some clips cannot be read; all others have their proposals.
    """
    from tavlo_pl.annotate.project import Project, claim
    from tavlo_pl.annotate.propose import ProposalOptions, load_proposers, propose_all
    from tavlo_pl.annotate.table import write_proposals
    from tavlo_pl.data.index import Index

    options = ProposalOptions(
        activity, frames_per_region, apart_s, detector, detector_weights, min_score, most_instances, segmenter,
        tagger, tagger_weights, ckpt_path, tuple(allow_import),
    )  # fmt: skip
    failed = {}
    with make_engine(engine, jobs, ray) as chosen:
        load_proposers(options, None)  # a wrong option is reported before the videos are opened
        folder = OutputFolder(out)
        claim(folder, options)
        write_table(chosen, root, folder.path("clips.parquet"), **selection)
        index = Index(folder.path("clips.parquet"), split=None, root=root)
        total = len(index.clips())
        project, remote = Project(Path(folder.root)), None if folder.is_local else folder
        for clip, reason in tqdm(propose_all(project, index, options, chosen, remote), "clips", total, unit="clip"):
            if reason:
                failed[clip] = reason
                tqdm.write(reason)
    with nullcontext(project.folder) if folder.is_local else staging(folder.root) as local:
        if not folder.is_local:
            folder.fetch((name for name in folder.sizes() if name.startswith("proposals/")), local)
        frames = write_proposals(Project(local), local / TABLE)
        if not folder.is_local:
            folder.put(local / TABLE, TABLE)
    print(f"proposals: {frames:,} frames of {total - len(failed):,} clips in {folder.path(TABLE)}")
    if failed:
        reasons = "; ".join(list(failed.values())[:REASONS_SHOWN])
        raise RunFailedError(f"{len(failed)} of {total} clips cannot be read, all others have proposals: {reasons}")
