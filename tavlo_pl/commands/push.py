"""``tavlo push RUN owner/name``: uploads a tested run to the Hugging Face hub."""

from pathlib import Path

from tavlo_pl.commands import ShortErrors, to_exit_code


def main(args: list[str]) -> int:
    """Runs ``tavlo push …`` and returns the exit code.

    Args:
        args: the arguments after ``tavlo push``.
    """
    parser = ShortErrors(
        prog="tavlo push",
        description="Uploads the best checkpoint of a tested run to the Hugging Face hub, as safetensors with its "
        "configuration, results.json and a model card.",
    )
    parser.add_argument("run", type=Path, help="Run folder of tavlo fit, with the results of tavlo test.")
    parser.add_argument("repository", type=str, help="owner/name; created if it does not exist.")
    parser.add_argument("--private", action="store_true", help="A new repository is private.")
    parser.add_argument("--revision", type=str | None, help="Branch, created if it does not exist. Default: main.")
    parser.add_argument("--message", type=str, default="Upload by tavlo push", help="Message of the commit.")
    parser.add_argument("--license", type=str, default="unknown", help="Identifier for the card, such as apache-2.0.")
    parser.add_argument("--dry_run", type=Path | None, help="Write the files to this folder, and upload nothing.")
    parser.add_argument(
        "--allow_import", nargs="+", default=[], metavar="PKG", help="Packages that the configuration may name."
    )

    def run() -> None:
        given = parser.parse_args(args)
        from tavlo_pl.hub.push import push, write_folder  # they import torch, which --help does not need

        if given.dry_run:
            write_folder(given.run, given.repository, given.dry_run, given.license, given.allow_import)
            print(f"written: {given.dry_run}; nothing was uploaded")
            return
        options = {"private": given.private, "revision": given.revision, "message": given.message}
        address = push(given.run, given.repository, **options, licence=given.license, allow_import=given.allow_import)
        print(f"uploaded: {address}")

    return to_exit_code("push", run)
