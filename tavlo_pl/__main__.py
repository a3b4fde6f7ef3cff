"""Entry point of ``tavlo`` and ``python -m tavlo_pl``; ``--help`` and ``--version`` do not import torch."""

import os
import sys
from difflib import get_close_matches
from importlib import import_module

from tavlo_pl import __version__

TRAINER_COMMANDS = {
    "fit": "train a model; writes a run folder with checkpoints",
    "validate": "evaluate a checkpoint on the validation clips",
    "test": "evaluate a checkpoint per scenario; prints a table",
    "predict": "write heatmaps and overlay videos for any videos",
    "diagnose": "test by probes whether the maps of a checkpoint depend on the audio",
}
OTHER_COMMANDS = {
    "data": "generate, index, shard and audit datasets: tavlo data synth --out DIR",
    "annotate": "propose, decide, exchange and compare annotations: make a benchmark from one's own videos",
    "score": "score saved heatmaps of any method on AVATAR, VGG-SS, Flickr, IS3 or AVSBench",
    "report": "write an HTML page about a test, or a comparison of several: tavlo report RUN [RUN...]",
    "export": "write the model of a checkpoint as ONNX or torch.export file",
    "push": "upload a tested run to the Hugging Face hub: tavlo push RUN owner/name",
    "app": "serve a local page that localizes the sound sources of a video",
    "live": "show the sound sources of a camera, a stream or a file while it plays: tavlo live camera:0",
    "sweep": "train and test variants of an experiment with several seeds",
}
HELP = "\n".join(
    [
        "tavlo: localize the sound sources of videos in time and space",
        "",
        "usage: tavlo COMMAND [options]      tavlo COMMAND --help      tavlo --version",
        "",
        *(f"  {command:<10}{line}" for command, line in (TRAINER_COMMANDS | OTHER_COMMANDS).items()),
        "",
        "start: tavlo data synth --out .demo/world    then    tavlo fit -c configs/exp/demo.yaml",
    ]
)


def main(args: list[str] | None = None) -> int:
    """Runs one command and returns the exit code.

    Args:
        args: command line without ``tavlo``; None for that of the process.

    Returns:
        0 on success, 2 after a mistake of the user, 1 after a failed run, 70 after a bug, 130 after Ctrl-C.
    """
    args = sys.argv[1:] if args is None else args
    for stream in (sys.stdout, sys.stderr):  # names of files that are not UTF-8, terminals without Unicode
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if sys.platform == "darwin":  # torch reads it when it is imported; operators that MPS lacks then run on the CPU
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    command = args[0] if args else "--help"
    if command == "--version":
        print(f"tavlo {__version__}")
        return 0
    if command in ("-h", "--help"):
        print(HELP)
        return 0
    if command in TRAINER_COMMANDS and {"-h", "--help"} & set(args):
        print(import_module("tavlo_pl.commands.short_help").short_help(command, TRAINER_COMMANDS[command]))
        return 0
    if command in TRAINER_COMMANDS:
        args = ["--help" if argument == "--help_all" else argument for argument in args]
        with import_module("tavlo_pl.io.fast_imports").fast_imports():
            cli = import_module("tavlo_pl.cli")
        return int(cli.main(args))
    if command in OTHER_COMMANDS:
        return int(import_module(f"tavlo_pl.commands.{command}").main(args[1:]))
    known = [*TRAINER_COMMANDS, *OTHER_COMMANDS]
    close = get_close_matches(command, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"commands: {', '.join(known)}"
    print(f"tavlo: unknown command {command!r}; {hint}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
