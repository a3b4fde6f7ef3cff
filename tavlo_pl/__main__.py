"""The entry point of ``tavlo`` and ``python -m tavlo_pl``; light answers come before any heavy import."""

import sys
from difflib import get_close_matches
from importlib import import_module

from tavlo_pl import __version__

RUNS = {
    "fit": "train a model; leaves a run folder with checkpoints",
    "validate": "measure a checkpoint on the validation clips",
    "test": "measure a checkpoint per scenario; prints a table",
    "predict": "write heatmaps and overlay films of any videos",
    "diagnose": "tell whether a checkpoint listens, by probes of its maps",
}
COMMANDS = {
    "data": "make, index and audit data sets: tavlo data synth --out DIR",
    "score": "score anyone's saved heatmaps on AVATAR, VGG-SS, Flickr, IS3 or AVSBench",
    "report": "make one page of a test, or of several compared: tavlo report RUN [RUN...]",
    "app": "serve a page on this machine: drop a video, see what makes its sound",
    "sweep": "train and test variants of an experiment with several seeds",
}
HELP = "\n".join(
    [
        "tavlo: which pixels make the sound heard right now?",
        "",
        "usage: tavlo VERB [options]      tavlo VERB --help      tavlo --version",
        "",
        *(f"  {verb:<10}{line}" for verb, line in (RUNS | COMMANDS).items()),
        "",
        "start: tavlo data synth --out .demo/world    then    tavlo fit -c configs/exp/demo.yaml",
    ]
)


def main(args: list[str] | None = None) -> int:
    """Runs one verb and returns the exit code.

    Args:
        args: the words after ``tavlo``; those of the process if None.

    Returns:
        0 on success, 2 after a user's mistake, 1 after a failed run, 130 after Ctrl-C.
    """
    words = sys.argv[1:] if args is None else args
    verb = words[0] if words else "--help"
    if verb == "--version":
        print(f"tavlo {__version__}")
        return 0
    if verb in ("-h", "--help"):
        print(HELP)
        return 0
    if verb in RUNS:
        from tavlo_pl import cli

        return cli.main(words)
    if verb in COMMANDS:
        code: int = import_module(f"tavlo_pl.commands.{verb}").main(words[1:])
        return code
    near = get_close_matches(verb, RUNS | COMMANDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"verbs: {', '.join(RUNS | COMMANDS)}"
    print(f"tavlo: unknown verb {verb!r}; {hint}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
