"""HTML pages from Jinja2 templates: autoescaping is on, and static files are inlined.

A package keeps its templates in ``templates/*.html.j2`` and its scripts and styles in ``static/``. Templates may extend
``base.html.j2`` and import the macros of ``components.html.j2``, which this package provides. In a template:

- ``{{ static("page.css") | safe }}`` inserts a static file, for pages that must be one self-contained file;
- ``{{ heading | anchor }}`` is the id of a section;
- ``{{ image | data_uri("png") }}`` is the address of an image that lies inside the page.
"""

from base64 import b64encode
from functools import cache, partial
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

SHARED = "tavlo_pl.viz"
"""The package of the base layout, the macros and the common style."""


def render(package: str, template: str, **context: Any) -> str:
    """Renders a template.

    Args:
        package: dotted name of the package whose ``templates`` and ``static`` folders are searched before those of
            `tavlo_pl.viz`.
        template: file name of the template.
        **context: variables of the template. All strings are escaped; a missing variable is an error.

    Returns:
        The text of the HTML page.
    """
    return environment(package).get_template(template).render(context)


def static_text(package: str, name: str) -> str:
    """The text of a script or style.

    Args:
        package: dotted name of the package whose ``static`` folder is searched before that of `tavlo_pl.viz`.
        name: file name.

    Raises:
        FileNotFoundError: neither folder has the file.
    """
    paths = [files(each) / "static" / name for each in _packages(package)]
    for path in paths:
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"{name}: not in {' or '.join(map(str, paths))}")


def anchor(heading: str) -> str:
    """The id of a section: the heading in lower case, with hyphens in place of all but letters and digits."""
    return "".join(letter if letter.isalnum() else "-" for letter in heading.lower())


def data_uri(image: bytes, kind: str = "png") -> str:
    """The address of an image that contains the image itself.

    Args:
        image: bytes of an image file.
        kind: ``png`` or ``jpeg``.
    """
    return f"data:image/{kind};base64,{b64encode(image).decode()}"


def _packages(package: str) -> list[str]:
    return list(dict.fromkeys((package, SHARED)))


@cache
def environment(package: str) -> Environment:
    """The Jinja2 environment of a package, made once: autoescaping is on and undefined variables are errors.

    Args:
        package: see `render`.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(each) for each in _packages(package)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["static"] = partial(static_text, package)
    environment.filters["anchor"] = anchor
    environment.filters["data_uri"] = data_uri
    return environment
