"""First look at a command line: videos without an option, and mistakes that the full parser would explain badly."""

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from tavlo_pl.config import packaged, security
from tavlo_pl.errors import AnnotationError, ConfigError
from tavlo_pl.io.parsing import read_text

FLAGS = ("-h", "--help", "--help_all", "--overwrite", "--allow_untrained", "--print_config")
"""Options without a value."""

YAML_SUFFIXES = (".yaml", ".yml")
WEIGHTS_SUFFIXES = (".ckpt", ".safetensors", ".pt", ".pth")


def prepare(command: str, options: Sequence[str]) -> tuple[list[str], list[str]]:
    """Checks the arguments of a command, and finds packaged configurations and videos.

    Args:
        command: fit, validate, test, predict or diagnose.
        options: command line without the command.

    Returns:
        The options with the paths of packaged configurations, and for ``predict`` the videos that have no option.

    Raises:
        ConfigError: a configuration is not YAML or not text; a video or a checkpoint stands in the place of one.
    """
    rest, videos = split_videos(options) if command == "predict" else (list(options), [])
    rest = [packaged.find(argument) for argument in rest]
    for number, (option, value) in enumerate(itertools.pairwise(rest)):
        if option == "--data.root" and printable(value) != value:  # no configuration can hold it
            rest, videos = rest[:number] + rest[number + 2 :], [*videos, value]
            break
    for option, value in _values(rest):
        _check_value(command, option, value)
    if videos and any(option == "--data.root" for option, _ in _values(rest)):
        raise ConfigError(f"{videos[0]} and --data.root: give all videos as arguments, or all by --data.root")
    return rest, videos


def split_videos(options: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits arguments into options with their values, and all others: files, folders and patterns.

    ``--`` ends the options; a file whose name begins with a dash is no option either.

    >>> split_videos(["a.mp4", "--out", "x", "b.mov", "--overwrite", "c.mkv"])
    (['--out', 'x', '--overwrite'], ['a.mp4', 'b.mov', 'c.mkv'])
    """
    rest: list[str] = []
    videos: list[str] = []
    words = list(options)
    while words:
        word = words.pop(0)
        if word == "--":
            return rest, videos + words
        if not is_option(word):
            videos.append(word)
            continue
        rest.append(word)
        many = word == "--allow_import"
        while words and "=" not in word and word not in FLAGS and not is_option(words[0]) and words[0] != "--":
            rest.append(words.pop(0))
            if not many:
                break
    return rest, videos


def printable(name: str) -> str:
    """Returns the name of a file as valid UTF-8; bytes that are not are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def is_option(word: str) -> bool:
    """Whether a word is an option: it begins with a dash, and is no number and no file."""
    return word.startswith("-") and not re.fullmatch(r"-[\d.]+(e-?\d+)?", word) and not os.path.exists(word)


def _values(options: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each option with its value."""
    for number, word in enumerate(options):
        option, equals, value = word.partition("=")
        if not option.startswith("-"):
            continue
        if equals:
            yield option, value
        elif option not in FLAGS and number + 1 < len(options):
            yield option, options[number + 1]


def _check_value(command: str, option: str, value: str) -> None:
    suffix = Path(value).suffix.lower()
    is_config = option in ("-c", "--config")
    if is_config or (suffix in YAML_SUFFIXES and os.path.isfile(value)):
        check_yaml(Path(value))
    elif option == "--data" and "{" not in value:
        advice = (
            f"give videos as arguments: tavlo predict {value}"
            if command == "predict"
            else f"folders belong to the readers of data sets: --data.train.init_args.root {value}"
        )
        raise ConfigError(f"--data takes a configuration, such as configs/data/avatar.yaml, not {value}; {advice}")
    elif option == "--model" and suffix in WEIGHTS_SUFFIXES:
        raise ConfigError(f"--model takes a class or a configuration; give a checkpoint as --ckpt_path {value}")


def check_yaml(path: Path) -> None:
    """Checks that a configuration can be read, so that the message names the file.

    Args:
        path: of the file; nothing is checked if it is no file, as for a YAML text in its place.

    Raises:
        ConfigError: the file is no text, or no YAML.
    """
    try:
        if path.is_dir():
            raise ConfigError(f"{path} is a folder; give one of the .yaml files in it")
        if not path.is_file():
            return
        security.read_yaml(read_text(path))
    except AnnotationError as error:
        raise ConfigError(f"{path} is no configuration in YAML: {str(error).partition(': ')[2]}") from error
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}, column {place.column + 1}" if place is not None else ""
        problem = getattr(error, "problem", None) or error
        raise ConfigError(f"{path}{line}: not valid YAML: {problem}") from error
    except OSError:
        return  # a YAML text that is too long for a file name
