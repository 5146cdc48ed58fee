"""What a name that a user gives is: a file that exists, or a word."""

from pathlib import Path


def path_exists(path: Path) -> bool:
    """Tells whether a file or folder exists; False also for names that no file can have, such as too long ones."""
    try:
        return path.exists()
    except OSError:
        return False


def is_word(path: Path) -> bool:
    """Tells whether a value looks like a word, and not like the name of a file: there is none, and it has no ending."""
    return not path.suffix and len(path.parts) == 1 and not path_exists(path)
