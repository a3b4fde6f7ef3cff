"""Messages on one line."""

LONGEST_MESSAGE = 4_000
"""Largest length of a message in characters; a list of missing weights is about as long."""


def one_line(message: object) -> str:
    """Returns a message as one printable line: names in untrusted files may hold control sequences of terminals."""
    text = " ".join(str(message).split())
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}..."
