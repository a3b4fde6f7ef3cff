"""Changes files towards code that no file has reached yet, by atheris, an optional package. Run it with ``make fuzz``.

One process a kind, each for some seconds, from what `tests.fuzz.targets` draws. Whatever a reader lets out but its
result and a `TavloError` ends its process, which says so and keeps the file; the exit code is then 1.
"""

import argparse
import importlib.util
import random
import subprocess
import sys
import tempfile
from pathlib import Path

KINDS = ("AVATAR", "VGG-SS", "AVSBench", "Flickr-SoundNet", "vggsound.csv", "list of ids", "YAML")
"""Those that are read by Python alone, whose branches it sees."""

SEEDS = 50
LIMIT_S = 10
LIMIT_MIB = 2048


def main(arguments: list[str] | None = None) -> int:
    """Prints a line a kind; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5, help="for each kind")
    parser.add_argument("--kind", choices=KINDS, help="this one, in this process")
    options, rest = parser.parse_known_args(arguments)
    if importlib.util.find_spec("atheris") is None:
        print("guided fuzzing is left out: atheris is not installed (pip install -c constraints.txt -e '.[fuzz]')")
        return 0
    if options.kind:
        _fuzz(options.kind, rest)
    failed = 0
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as corpus:
            command = [sys.executable, "-m", "tests.fuzz.guided", "--kind", kind, corpus]
            limits = [f"-max_total_time={options.seconds}", f"-timeout={LIMIT_S}", f"-rss_limit_mb={LIMIT_MIB}"]
            done = subprocess.run([*command, *limits], capture_output=True, text=True, check=False)
        lines = done.stderr.splitlines()
        runs = next((line for line in reversed(lines) if line.startswith("Done ")), "no end")
        print(f"{kind:<16}{runs}" if done.returncode == 0 else f"{kind:<16}escaped:\n" + "\n".join(lines[-40:]))
        failed += done.returncode != 0
    return int(failed > 0)


def _fuzz(kind: str, rest: list[str]) -> None:
    """Never returns: the engine ends the process."""
    import atheris

    with atheris.instrument_imports(include=["tavlo_pl", "json", "csv", "xml"]):
        import yaml

        from tavlo_pl.config import security
        from tavlo_pl.errors import TavloError
        from tests.fuzz.mutate import mutate_json
        from tests.fuzz.targets import CONFIG, Target, targets

    def read_yaml(path: Path) -> None:
        security.read_yaml(path.read_bytes().decode("utf-8", "replace"))

    folder = Path(tempfile.mkdtemp())
    every = targets(folder) | {"YAML": Target("config.yaml", lambda draw: mutate_json(CONFIG, draw), read_yaml)}
    target = every[kind]
    for number in range(SEEDS):
        (Path(rest[0]) / str(number)).write_bytes(target.make(random.Random(number)))
    path = folder / target.name
    path.parent.mkdir(parents=True, exist_ok=True)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        try:
            target.read(path)
        except (TavloError, yaml.YAMLError):
            return

    atheris.Setup([sys.argv[0], *rest], read)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
