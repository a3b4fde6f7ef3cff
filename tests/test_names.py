"""Vocabulary and sizes: words that have a usual name in the field, lengths of files and names, numbers of arguments."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.models.tavlo import TAVLO

ROOT = Path(__file__).parents[1]

WORDS = {
    "deaf": "independent of the audio",
    "ear": "audio",
    "ears": "audio",
    "everyone": "all_gather_with_grad",
    "film": "overlay video",
    "films": "overlay videos",
    "hear": "depends on the audio, encode_audio",
    "hears": "depends on the audio, encode_audio",
    "honest": "plain statement",
    "house": "package",
    "knows": "contains, stores, supports",
    "picture": "image, frame, video stream",
    "pictures": "images, frames",
    "rooms": "modules",
    "stranger": "untrusted file",
    "strangers": "untrusted files",
    "swapped": "mismatched audio",
    "told": "reported, specified",
    "verb": "command",
    "verbs": "commands",
}
"""Word -> what to write instead. A word of prose, or a part of an identifier in snake_case or CamelCase."""

PATTERNS = {
    r"\b(go|goes|going|went)[ _]on\b": "resumes, continues",
    r"\b(def |\.)(hear|look|see|attend)\(": "encode_audio, encode_frames, apply_attention",
    r"\bmine\(": "local_shard",
    r"\bin_rhythm\b": "match_envelope",
    r"\bdef quiet\(": "silence_and_noise",
    r"\bshifted_sounds\b": "num_time_shifted",
    r"\brhythm_sounds\b": "num_envelope_matched",
    r"\bquiet_sounds\b": "num_silent",
    r"\bflat_weight\b": "mismatch_peak_weight",
    r"\bpause_weight\b": "silence_weight",
    r"\bchoice_(loss|weight)\b": "ranking_loss",
    r"\baudio_visual_link\b": "cross_modal",
    r"^ *(reach|among): |\battention\.(reach|among)\b": "attention type, axis",
    r"\battention\.(layers|heads)\b": "num_layers, num_heads",
    r"\brecompute ?[:=]": "activation_checkpointing",
    r"\bcompiler ?[:=]": "compile",
    r"\bBy(Rule|Universal)\b": "ThresholdedMetric, GlobalThresholdMetric",
    r"\btrivial[ _]rows?\b": "baselines",
    r"\bwrong[ _]sounds?\b": "mismatched audio",
    r"\bclass (Form|Folder|Sample|Job)\b": "a name that states the kind: ClipSpec, ShardSpec, VideoFolder",
    r"\b(class |import )Finite\b": "NonFiniteGuard",
    r"\bDataNote\b": "DataFingerprint",
    r"\bWholeCheckpoints\b": "AtomicCheckpointIO",
    r"\bReadAnew\b": "FreshTrainLoader",
    r"\bVerbTrainer\b": "TavloTrainer",
    r"\btavlo compare\b": "tavlo sweep",
    r"\bwalls?\b(?![ -](time|clock))": "limit, boundary",
}
"""Regular expression -> what to write instead."""

MODULES = {
    "bags": "mil_pooling",
    "checked": "io/parsing",
    "endings": "run/exit",
    "heatmaps": "data/predictions",
    "leak": "data/leakage",
    "listed": "json_list",
    "look": "report/examples",
    "origin": "run/provenance",
    "ruled": "thresholded",
    "runs": "run/directory",
    "shipped": "config/packaged",
    "sounds": "negatives, synthetic_audio",
    "tested": "report/load",
    "trials": "diagnose/perturbations",
    "trust": "config/security",
}
"""Name of a module -> what to call it instead."""

LITERAL: dict[tuple[str, str], str] = {}
"""(file, word or regular expression) -> why it stands there."""

TEXT = {".css", ".j2", ".js", ".md", ".py", ".yaml"}
FILES = sorted(
    {path for folder in ("tavlo_pl", "configs", "docs") for path in (ROOT / folder).rglob("*") if path.suffix in TEXT}
    | {ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile")}
)
SOURCES = sorted(
    path
    for folder in ("tavlo_pl", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".css", ".js", ".py"}
)
LARGEST_LINES = 350
LARGEST_TEST_NAME = 60


def relative(path: Path) -> str:
    """Path below the root of the repository, with ``/`` on every system."""
    return path.relative_to(ROOT).as_posix()


def words(line: str) -> set[str]:
    """Words of a line in lower case; identifiers are split into their parts."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", line)}


def findings(path: Path) -> Iterator[str]:
    """Each use of a word or pattern in a file, with its line and what to write instead."""
    name = relative(path)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = {word: WORDS[word] for word in words(line) & WORDS.keys()}
        found |= {pattern: instead for pattern, instead in PATTERNS.items() if re.search(pattern, line)}
        for word, instead in found.items():
            if (name, word) not in LITERAL:
                yield f"{name}:{number}: {word} (write: {instead}): {line.strip()}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_file_uses_the_words_of_the_field(path: Path) -> None:
    assert path.stem not in MODULES or path.suffix != ".py", f"call the module {MODULES[path.stem]}"
    found = list(findings(path))
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "line",
    ["write_films: bool", "class FilmWriter", "a film of it", "VERBS = 3", "a run goes on there", "x = mine(y)"],
)
def test_findings_splits_identifiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "a.py").write_text(f"import filmstrip, undermined, archive\n{line}\n")
    (found,) = findings(tmp_path / "a.py")
    assert found.startswith("a.py:2: ")


def test_literal_uses_exist() -> None:
    for name, word in LITERAL:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert word in words(text) if word in WORDS else re.search(word, text), (name, word)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_file_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LARGEST_LINES


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=relative)
def test_names_of_tests_are_short(path: Path) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]
    names = [node.name for node in nodes if node.name.startswith("test_")]
    assert names
    assert not [name for name in names if len(name) > LARGEST_TEST_NAME]


def test_cli_is_short() -> None:
    assert len((ROOT / "tavlo_pl" / "cli.py").read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize(("kind", "largest"), [(TAVLO, 10), (ClipDataModule, 12)])
def test_constructors_have_few_arguments(kind: type, largest: int) -> None:
    assert 0 < len(inspect.signature(kind).parameters) <= largest
