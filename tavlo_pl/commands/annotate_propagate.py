"""``tavlo annotate propagate``: accepted masks in the other frames of their clip."""

from typing import TYPE_CHECKING

from tqdm import tqdm

from tavlo_pl.errors import ConfigError, MediaError, RunFailedError

if TYPE_CHECKING:
    from tavlo_pl.annotate.flow import Tracker


def propagate(project: str, every_s: float = 1.0, tracker: str = "flow") -> None:
    """Proposes accepted masks in other frames while their source sounds.

    Frames that a person has finished are not changed; clips on which an annotator works are left out. It may be
    repeated: a mask is proposed once in a frame.

    Args:
        project: folder of the project.
        every_s: besides the frames of the queue, propose one each so many seconds.
        tracker: flow for dense optical flow, or a SAM 2 model of transformers by name or folder,
            facebook/sam2.1-hiera-tiny for example.

    Raises:
        ConfigError: the extra ``annotate`` or ``transformers`` is not installed, or an option is invalid.
        DatasetNotFoundError: the folder is no project.
        AnnotationError: a file of the project cannot be read.
        CheckpointError: the tracker cannot be read.
        RunFailedError: some videos cannot be read; all others have their proposals.
    """
    from tavlo_pl.annotate.decisions import Decisions
    from tavlo_pl.annotate.flow import FlowTracker
    from tavlo_pl.annotate.project import Project
    from tavlo_pl.annotate.propagate import propagate_clip

    if every_s <= 0:
        raise ConfigError(f"--every_s {every_s:g} must be above 0")
    opened = Project.open(project)
    made: Tracker = FlowTracker() if tracker == FlowTracker.name else _sam2(tracker)
    decided = set(Decisions(opened.folder).clips())
    clips = [clip for clip in opened.clips() if clip in decided]
    count, failed = 0, []
    for clip in tqdm(clips, "clips", unit="clip"):
        try:
            count += propagate_clip(opened, clip, every_s, made)
        except MediaError as error:
            failed.append(str(error))
    print(f"propagate: {count:,} proposals in {len(clips):,} clips with decisions; restart the page to see them")
    if failed:
        raise RunFailedError(f"{len(failed)} clips cannot be read, all others are done: {failed[0]}")


def _sam2(name: str) -> "Tracker":
    from tavlo_pl.annotate.sam2 import Sam2Tracker

    return Sam2Tracker(name)
