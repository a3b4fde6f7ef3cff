"""Models of Hugging Face transformers by name or folder (extra ``[transformers]``)."""

from typing import Any

from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.io.extras import require

LONGEST_REASON = 300


def read_pretrained(option: str, name: str, processor: str, model: str) -> tuple[Any, Any]:
    """Reads the processor and the model, in evaluation mode.

    Args:
        option: of the command line, for messages.
        name: of a model on the hub, or a folder with its files.
        processor: class in transformers.
        model: class in transformers.

    Raises:
        ConfigError: transformers is not installed, or lacks the classes.
        CheckpointError: the model cannot be read, or it is another one.
    """
    transformers = require("transformers", "transformers", option)
    classes = [getattr(transformers, each) for each in (processor, model) if hasattr(transformers, each)]
    if len(classes) < 2:
        raise ConfigError(
            f"{option} {name}: transformers {transformers.__version__} has no {model}; install a later one"
        )
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # it warns of a Sam2Model in a file of a Sam2VideoModel
    transformers.logging.disable_progress_bar()
    try:
        found = classes[0].from_pretrained(name)
        made, info = classes[1].from_pretrained(name, output_loading_info=True)
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        raise CheckpointError(f"{option} {name}: transformers cannot read it (no network?): {reason}") from error
    finally:
        transformers.logging.set_verbosity(verbosity)
    missing = sorted(info["missing_keys"])
    if missing:
        raise CheckpointError(f"{option} {name}: it has no weights for {missing[0]} of {model}; is it another model?")
    return found, made.eval()
