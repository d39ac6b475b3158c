"""The private files of profiles (`securechat.private_files`), with the client's own errors.

What is unsafe is `UnsafeFile`, what the disk will not do `StoreFailed`; two of its answers stay as
they are, because callers act on them: FileExistsError and FileNotFoundError.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from securechat import private_files
from securechat.client.errors import StoreFailed, UnsafeFile

Given = ParamSpec("Given")
Found = TypeVar("Found")


def _told(
    work: Callable[Concatenate[Path, Given], Found],
) -> Callable[Concatenate[Path, Given], Found]:
    @wraps(work)
    def told(path: Path, /, *args: Given.args, **kwargs: Given.kwargs) -> Found:
        try:
            return work(path, *args, **kwargs)
        except private_files.UnsafeFile as unsafe:
            raise UnsafeFile(str(unsafe)) from None
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError as problem:
            raise StoreFailed(f"cannot use {path}: {problem.strerror or problem}") from problem

    return told


make_folder = _told(private_files.make_folder)
check_folder = _told(private_files.check_folder)
check_private_folder = _told(private_files.check_private_folder)
check_file = _told(private_files.check_file)
create_file = _told(private_files.create_file)
replace_file = _told(private_files.replace_file)
read_file = _told(private_files.read_file)
open_private = _told(private_files.open_private)
