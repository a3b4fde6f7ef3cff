"""From video packets to scaled frames, decoding as little as that takes.

The packets were read first, which costs next to nothing. Each group of wanted frames is decoded from the key
frame before it, and the decoder passes over the non-reference frames that nobody wants: about 0.6 of the time
of a full decode at ten frames a clip. Where a wanted frame does not come out after all, everything is
decoded in order; what is missing even then is damage, and an error.
"""

from collections.abc import Iterable
from typing import Literal

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from tavlo_pl.data.media.container import MediaFile, quarter_turns
from tavlo_pl.errors import CorruptMediaError, EmptyMediaError, MediaError


def shown_pts(packets: list[Packet], path: MediaFile) -> np.ndarray:
    """(N,) int64: the ascending presentation timestamps of the frames that a player shows."""
    shown = [packet.pts for packet in _showable(packets, path) if not packet.is_discard]  # edit lists discard
    if not shown:
        raise EmptyMediaError(f"{path}: no frame is left to show; fetch the file again or leave it out")
    return np.unique(np.array(shown, np.int64))


def decode_frames(
    video: VideoStream,
    packets: list[Packet],
    wanted: set[int],
    size: tuple[int, int] | None,
    path: MediaFile,
) -> dict[int, np.ndarray]:
    """Timestamp → (H, W, 3) uint8 for every wanted timestamp: by plan, or where that fails all in order."""
    usable = _showable(packets, path)
    if len(usable) == len(packets):
        # Damage that the decoder would conceal becomes an error; so would a start in an open GOP.
        video.codec_context.options |= {"err_detect": "explode"}
    try:
        images = _decode_groups(video, _plan(usable, wanted), wanted, size, skip="NONREF")
    except av.InvalidDataError:
        images = {}
    if wanted - images.keys():
        images = _decode_groups(video, [usable], wanted, size, skip="DEFAULT")
    if missing := wanted - images.keys():
        raise CorruptMediaError(
            f"{path}: damaged: {len(missing)} of {len(wanted)} wanted frames cannot be decoded; "
            "fetch the file again or leave it out"
        )
    return images


def _showable(packets: list[Packet], path: MediaFile) -> list[Packet]:
    """The packets from the first key frame on, less the frames that lean on what came before it."""
    if not packets:
        raise EmptyMediaError(f"{path}: its video stream holds no frame; fetch the file again or leave it out")
    if any(packet.pts is None for packet in packets):
        raise MediaError(f"{path}: its frames carry no presentation times; convert the file to MP4")
    first = next((number for number, packet in enumerate(packets) if packet.is_keyframe), 0)
    kept = [packet for packet in packets[first:] if _pts(packet) >= _pts(packets[first])]
    if any(packet.is_corrupt for packet in kept):  # a transport stream counts its pieces, and one is missing
        raise CorruptMediaError(f"{path}: damaged: a piece of it is missing; fetch the file again or leave it out")
    return kept


def _plan(packets: list[Packet], wanted: set[int]) -> list[list[Packet]]:
    """Runs of packets, each from a key frame to the last frame wanted before the next run.

    A key frame followed by frames that are shown before it (an open GOP) is no place to start: they, and
    the decoder's count of reference frames, lean on what came before.
    """
    groups: list[list[Packet]] = []
    for packet in packets:
        if packet.is_keyframe or not groups:
            groups.append([])
        groups[-1].append(packet)
    runs: list[list[Packet]] = []
    for group in groups:
        if runs and min(map(_pts, group)) < _pts(group[0]):
            runs[-1] += group
        else:
            runs.append(group)
    ends = [max((n for n, packet in enumerate(run, 1) if packet.pts in wanted), default=0) for run in runs]
    return [run[:end] for run, end in zip(runs, ends, strict=True) if end]


def _pts(packet: Packet) -> int:
    assert packet.pts is not None, "packets without a time were refused"
    return packet.pts


def _decode_groups(
    video: VideoStream,
    groups: Iterable[list[Packet]],
    wanted: set[int],
    size: tuple[int, int] | None,
    skip: Literal["NONREF", "DEFAULT"],
) -> dict[int, np.ndarray]:
    """Decode runs of packets, keep the wanted and undamaged frames, scaled."""
    reformatter = VideoReformatter()
    images: dict[int, np.ndarray] = {}
    context = video.codec_context
    for group in groups:
        context.flush_buffers()
        for packet in [*group, None]:
            # With NONREF the decoder skips a frame if no other leans on it; a wanted one must come out.
            context.skip_frame = skip if packet is not None and packet.pts not in wanted else "DEFAULT"
            for frame in context.decode(packet):
                if frame.pts in wanted and not frame.is_corrupt:
                    images[frame.pts] = _upright(frame, size, reformatter)
    return images


def _upright(frame: VideoFrame, size: tuple[int, int] | None, reformatter: VideoReformatter) -> np.ndarray:
    """(H, W, 3) uint8 of a frame as it is to be seen, scaled."""
    turns = quarter_turns(frame)
    height, width = (frame.height, frame.width) if size is None else size[:: -1 if turns % 2 else 1]
    scaled = reformatter.reformat(frame, width, height, "rgb24", interpolation=Interpolation.AREA, threads=1)
    return np.rot90(scaled.to_ndarray(), turns)
