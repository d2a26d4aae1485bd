"""Pictures of a kind that is not read: whoever has them shall not miss them unseen."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from mimetypes import guess_type
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS


def files_below(folder: Path) -> Iterator[str]:
    """Names of all files at any depth; a link to a folder that was met before is not followed."""
    met = set()
    for where, below, names in os.walk(folder, followlinks=True):
        yield from names
        met.add(os.path.realpath(where))
        below[:] = [name for name in below if os.path.realpath(os.path.join(where, name)) not in met]


def unread(names: Iterable[str]) -> str | None:
    """What to do about the pictures among files that are of another kind than is read; None if there are none."""
    kinds = Counter(Path(name).suffix.lower() for name in names)
    others = [
        f"{kind} files ({count})"
        for kind, count in sorted(kinds.items())
        if kind not in IMG_EXTENSIONS and (guess_type(f"x{kind}")[0] or "").startswith("image/")
    ]
    return f"its {' and '.join(others)} are not read: convert them to .png or .jpg" if others else None
