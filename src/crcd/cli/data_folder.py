"""A data set by the folder that holds it."""

from pathlib import Path

from crcd.data import dataset_names
from crcd.data.hub import PREFIX
from crcd.data.recognise import recognise
from crcd.errors import CrcdError


def find_data(data: str, data_dir: Path | None) -> tuple[str, Path | None]:
    """Name of a data set and where it lies; a name that is no folder's is given back as it is.

    Args:
        data: a name, or the folder that holds a data set.
        data_dir: where a data set lies that is named; None where nobody says.

    Raises:
        CrcdError: it is empty, a path that leads nowhere or to a folder that holds no data set or several, or a folder
            with a place beside it.
    """
    if not data:
        raise CrcdError("the name of the data set is empty: give one of crcd list data, or the folder that holds it")
    folder = Path(data)
    named = data in dataset_names() or data.startswith(PREFIX)
    if named or not (folder.exists() or "/" in data):
        return data, data_dir
    if not folder.is_dir():
        raise CrcdError(f"data set {data}: there is no such folder")
    if data_dir is not None:
        raise CrcdError(f"data set {data} is a folder, where it lies: leave out --data-dir {data_dir}")
    return recognise(folder)
