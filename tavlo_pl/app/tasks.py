"""What is done with an uploaded video, in a process of its own (`worker.run`)."""

from pathlib import Path

from tavlo_pl.app.worker import Report
from tavlo_pl.data import media
from tavlo_pl.predict.checks import Aspect
from tavlo_pl.predict.folder import write_archive
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.overlay_video import write_overlay_video, write_poster
from tavlo_pl.predict.sources import Localization


def probe(source: Path, report: Report) -> tuple[float, str | None]:
    """Length of a video in seconds, and its media type if browsers play it."""
    del report
    return media.probe(source).duration_s, media.browser_type(source)


def localize(
    localizer: Localizer, source: Path, name: str, maps_per_second: float | None, aspect: Aspect, report: Report
) -> Localization:
    """Localizes a video and writes ``maps.f32`` and ``heatmaps.npz`` beside it."""
    found = localizer.localize(source, name, maps_per_second, aspect, report)
    found.heatmap.astype("<f4").tofile(source.with_name("maps.f32"))
    write_archive(found, source.with_name("heatmaps.npz"))
    len(found.moments)  # computed here, while the page shows progress
    return found


def overlay(found: Localization, path: Path, box: bool, spectrogram: bool, report: Report) -> None:
    """Writes the overlay video."""
    write_overlay_video(found, path, box, spectrogram, report)


def poster(found: Localization, path: Path, report: Report) -> bytes:
    """The bytes of the poster."""
    del report
    try:
        write_poster(found, path)
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)
