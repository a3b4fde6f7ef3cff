"""``tavlo annotate propagate``: accepted masks in the other frames of their clip."""

from tqdm import tqdm

from tavlo_pl.errors import ConfigError, MediaError, RunFailedError


def propagate(project: str, every_s: float = 1.0) -> None:
    """Proposes accepted masks in other frames while their source sounds, by dense optical flow.

    Frames that a person has finished are not changed; clips on which an annotator works are left out. It may be
    repeated: a mask is proposed once in a frame.

    Args:
        project: folder of the project.
        every_s: besides the frames of the queue, propose one each so many seconds.

    Raises:
        ConfigError: the extra ``annotate`` is not installed, or an option is invalid.
        DatasetNotFoundError: the folder is no project.
        AnnotationError: a file of the project cannot be read.
        RunFailedError: some videos cannot be read; all others have their proposals.
    """
    from tavlo_pl.annotate.decisions import Decisions
    from tavlo_pl.annotate.flow import load_opencv
    from tavlo_pl.annotate.project import Project
    from tavlo_pl.annotate.propagate import propagate_clip

    if every_s <= 0:
        raise ConfigError(f"--every_s {every_s:g} must be above 0")
    load_opencv()
    opened = Project.open(project)
    decided = set(Decisions(opened.folder).clips())
    clips = [clip for clip in opened.clips() if clip in decided]
    count, failed = 0, []
    for clip in tqdm(clips, "clips", unit="clip"):
        try:
            count += propagate_clip(opened, clip, every_s)
        except MediaError as error:
            failed.append(str(error))
    print(f"propagate: {count:,} proposals in {len(clips):,} clips with decisions; restart the page to see them")
    if failed:
        raise RunFailedError(f"{len(failed)} clips cannot be read, all others are done: {failed[0]}")
