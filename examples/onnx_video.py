"""Runs a file of ``tavlo export --format onnx`` on a video; needs av, numpy and onnxruntime, not torch.

python examples/onnx_video.py MODEL.onnx VIDEO OUT writes OUT.npz (heatmap, time_s) and OUT.mp4: the model's frames, red
where the map reaches the threshold. Video and audio must start at 0 (``tavlo predict`` reads all others).
"""

import json
import sys
from fractions import Fraction

import av
import numpy as np
import onnxruntime


def main(model: str, video: str, out: str) -> None:
    """Computes the maps of consecutive windows, whose last one is padded with its last frame and with silence."""
    session = onnxruntime.InferenceSession(model)
    about = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    size, samples, segments, step_s = (about[k] for k in ("image_size", "samples_per_segment", "segments", "segment_s"))
    resampler, pieces, frames, last = av.AudioResampler("flt", "mono", about["sample_rate_hz"]), [], [], None
    with av.open(video) as file:
        for frame in file.decode(file.streams.video[0], file.streams.audio[0]):
            if isinstance(frame, av.AudioFrame):
                pieces += [part.to_ndarray()[0] for part in resampler.resample(frame)]
                continue
            while frame.time > (len(frames) + 0.5) * step_s:  # the frame at the centre of a segment is the one before
                frames.append((last or frame).to_ndarray(format="rgb24", width=size, height=size))
            last = frame
    count = -(-len(frames) // segments) * segments
    shown = np.stack(frames + frames[-1:] * (count - len(frames)))
    waveform = np.pad(np.concatenate(pieces), (0, count * samples))[: count * samples]
    windows = (
        shown.transpose(0, 3, 1, 2).reshape(-1, 1, segments, 3, size, size),
        waveform.reshape(-1, 1, segments, samples),
    )
    maps = [session.run(None, {"frames": f, "waveform": w})[0][0] for f, w in zip(*windows, strict=True)]
    heatmap = np.concatenate(maps)[: len(frames)]
    np.savez(f"{out}.npz", heatmap=heatmap, time_s=(np.arange(len(frames)) + 0.5) * step_s)
    with av.open(f"{out}.mp4", "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(1 / step_s).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for image, scores in zip(shown, heatmap, strict=False):
            cells = np.arange(size) * scores.shape[0] // size
            image[..., 0] |= np.where(scores[np.ix_(cells, cells)] >= (about["threshold"] or 0.5), 255, 0).astype(
                np.uint8
            )
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))


if __name__ == "__main__":
    main(*sys.argv[1:4])
