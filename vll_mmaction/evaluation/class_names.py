"""Names of classes, from a text file of the data set."""

from pathlib import Path
from typing import Union

LABEL_MAPS = ('label_map.txt', 'classes.txt')
"""Files of class names in the folder of a data set."""


def read_class_names(file: Union[str, Path]) -> list[str]:
    """Class names from a text file, line k for label k.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no text, or a line is empty.
    """
    try:
        lines = Path(file).read_text(encoding='utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{file} is no text in UTF-8 with a class name a line: {error}'
        ) from error
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise ValueError(f'{file}, line {number} is empty')
    return [line.strip() for line in lines]


def find_class_names(folder: Union[str, Path], number: int) -> list[str]:
    """Names of so many classes in a data set's folder.

    From the first of ``LABEL_MAPS`` that holds so many; empty if none does.
    """
    for file in (Path(folder) / name for name in LABEL_MAPS):
        try:
            names = read_class_names(file)
        except (OSError, ValueError):
            continue
        if len(names) == number:
            return names
    return []
