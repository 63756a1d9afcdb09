"""What changes under some paths, as the system tells it; the one file that imports watchfiles.

Where a file system does not tell, as those of other machines do not, it is looked at every two
seconds instead.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

# Its class is used directly because `watchfiles.watch` begins to listen too late, when it is first
# asked. https://watchfiles.helpmanual.io/api/rust_backend/
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from localai.core.db import file_system

# What follows within the first of these is one change; the second ends the longest of them.
_QUIET_MS = 300
_LONGEST_MS = 5_000
_WAIT_MS = 1_000
_LOOK_MS = 2_000

# Nobody tells us of changes that other machines, or the host of this one, make to these.
_SILENT_LIST = (
    "9p afs ceph cifs drvfs fuse.gcsfuse fuse.glusterfs fuse.grpcfuse fuse.rclone fuse.s3fs"
    " fuse.sshfs fuse.vmhgfs-fuse lustre ncpfs nfs nfs4 prl_fs smb3 smbfs v9fs vboxsf virtiofs"
    " vmhgfs"
)
_SILENT = frozenset(_SILENT_LIST.split())


class Changes:
    """The changes at or under the paths from now on. Close it when nobody asks any more."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.is_polling = any(is_silent(path) for path in paths)
        self._listening: RustNotify | None = self._listen(paths)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self) -> set[Path]:
        """The paths of one gathered change; none within a second is an empty set.

        KeyboardInterrupt where Ctrl-C is pressed meanwhile.
        """
        if self._listening is None:
            return set()
        found = self._listening.watch(_LONGEST_MS, _QUIET_MS, _WAIT_MS, None)
        if found == "signal":
            raise KeyboardInterrupt
        return {Path(path) for _, path in found} if isinstance(found, set) else set()

    def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def _listen(self, paths: Sequence[Path]) -> RustNotify:
        try:
            return _notify(paths, is_polling=self.is_polling)
        except FileNotFoundError:  # it went between a look and this; the next look will tell
            return _notify([path for path in paths if path.exists()], is_polling=True)
        except (OSError, WatchfilesRustInternalError):
            # Mostly a folder of more folders than the system lets one user listen to.
            self.is_polling = True
            return _notify(paths, is_polling=True)


def is_silent(path: Path) -> bool:
    """Whether changes to the path may happen without the system telling us."""
    return file_system(path) in _SILENT


def _notify(paths: Sequence[Path], *, is_polling: bool) -> RustNotify:
    return RustNotify(
        [str(path) for path in paths],
        debug=False,
        force_polling=is_polling,
        poll_delay_ms=_LOOK_MS,
        recursive=True,
        ignore_permission_denied=True,
    )
