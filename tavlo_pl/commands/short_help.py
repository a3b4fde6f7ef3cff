"""Short help of the commands with a Trainer: the options that users need first."""

MORE = "all options, those of the Trainer too: tavlo {command} --help_all"

CKPT = ("--ckpt_path FILE", "checkpoint, or hf://owner/name; takes model and data from it")
OUT = ("--out DIR", "run folder (default: <command> in the run folder of the checkpoint)")
DEVICE = ("--trainer.accelerator NAME", "auto, cpu or gpu")
IMPORT = ("--allow_import PKG", "packages whose classes a configuration may name")
WORKERS = ("--data.num_workers N", "processes that read clips")
BATCH = ("--data.batch_size N", "clips of a batch")

USAGE = {
    "fit": "tavlo fit -c CONFIG [options]",
    "validate": "tavlo validate --ckpt_path FILE [options]",
    "test": "tavlo test --ckpt_path FILE [options]",
    "predict": "tavlo predict VIDEO... [options]        VIDEO: a file, a folder or a quoted pattern",
    "diagnose": "tavlo diagnose --ckpt_path FILE [options]",
}
"""Usage by command."""

OPTIONS: dict[str, list[tuple[str, str]]] = {
    "fit": [
        ("-c FILE", "configuration, such as configs/exp/demo.yaml; several are merged"),
        ("--out DIR", "run folder (default: runs/<config>/<time>)"),
        ("--ckpt_path FILE", "last: resume the run in --out; a file: continue from it, with its model and data"),
        ("--overwrite", "remove an earlier run in --out"),
        ("--trainer.max_epochs N", "length of the run"),
        ("--trainer.precision NAME", "32-true, bf16-mixed or 16-mixed"),
        DEVICE,
        BATCH,
        WORKERS,
        ("--seed_everything N", "seed of weights, order and draws"),
    ],
    "validate": [CKPT, ("-c FILE", "configuration that overrides that of the checkpoint"), OUT, DEVICE, BATCH, WORKERS],
    "test": [
        CKPT,
        ("-c FILE", "configuration that overrides that of the checkpoint"),
        OUT,
        ("--protocol NAME", "evaluation: avatar, vggss_ezvsl, ... (default: that of the data set)"),
        ("--rule NAME", "threshold rule: top_half, adaptive, universal:<quantile>, ..."),
        ("--overwrite", "replace results of other options"),
        ("--allow_untrained", "test random weights"),
        DEVICE,
        BATCH,
        WORKERS,
    ],
    "predict": [
        ("--ckpt_path FILE", "checkpoint (default: the packaged one, see docs/own_videos.md)"),
        ("--out DIR", "folder of the results (default: predict in the run folder of the checkpoint)"),
        ("--maps_per_second N", "heatmaps per second (default: the rate of the model)"),
        ("--aspect NAME", "squash: frames are resized to a square; keep: padded with black bars"),
        ("--overlay_videos BOOL", "write overlay videos (default: true)"),
        ("--box BOOL", "draw the box of the source (default: false)"),
        ("--spectrogram BOOL", "draw the spectrogram (default: false)"),
        ("--layout NAME", "tavlo, or avatar: the files of AVATAR's evaluator"),
        ("--overwrite", "write finished videos again"),
        DEVICE,
    ],
    "diagnose": [CKPT, ("-c FILE", "configuration that overrides that of the checkpoint"), OUT, DEVICE, IMPORT],
}
"""(option, explanation) by command."""


def short_help(command: str, summary: str) -> str:
    """Returns the text that ``tavlo COMMAND -h`` prints.

    Args:
        command: fit, validate, test, predict or diagnose.
        summary: what it does.
    """
    what = f"{summary[0].upper()}{summary[1:]}."
    lines = [f"  {option:<28}{text}" for option, text in OPTIONS[command]]
    return "\n".join([f"usage: {USAGE[command]}", "", what, "", *lines, "", MORE.format(command=command)])
