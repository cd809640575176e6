"""Can a run live in this folder: written, renamed, locked, shared, and is there room?"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.preflight.conf import FREE_EASY_GIB, FREE_LEAST_GIB
from bench.preflight.finding import Finding, critical, ok, warn

GIB = 2**30
SHARED = {
    "nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "wekafs", "cifs", "smb3", "panfs", "pvfs2",
    "glusterfs", "afs", "9p", "virtiofs", "vast", "daos",
}  # fmt: skip
"""File systems that other nodes may see too; ``fuse.*`` counts as one of them."""
MEMORY = {"tmpfs", "ramfs"}


def check_folder(folder: Path, *, num_nodes: int = 1) -> Iterator[Finding]:
    """Try what jobs do in a run folder, in a folder of its own that is gone afterwards.

    Args:
        folder: Where runs go; if there is none yet, the nearest one above it is tried.
        num_nodes: Nodes that write there together.
    """
    there = nearest(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".preflight-", dir=there) as scratch:
            yield _try_out(Path(scratch))
    except OSError as error:
        yield critical(
            "runs.writable",
            f"{there}: {error.strerror}",
            todo="runs_dir=FOLDER on a disk you may write to",
        )
        return
    yield _shared(there, num_nodes=num_nodes)
    yield _room(there)


def nearest(folder: Path) -> Path:
    """Return the folder, absolute, or the first one above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def mount_type(folder: Path, mounts: str | None = None) -> str:
    """Return the type of the file system a folder is on, such as ``ext4`` or ``lustre``.

    Args:
        folder: Absolute.
        mounts: Text of ``/proc/self/mountinfo``; None reads it.
    """
    if mounts is None:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].replace("\\040", " ") if len(before.split()) > 4 else ""
        covers = point and folder.is_relative_to(point)
        # The last of two on one point is the one that is seen.
        if covers and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return kind


def _try_out(scratch: Path) -> Finding:
    old, new = scratch / "old", scratch / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    new.replace(old)
    if old.read_bytes() != b"new" or new.exists():
        return critical(
            "runs.writable",
            "a file that was renamed over another is not there",
            todo="runs_dir=FOLDER elsewhere: checkpoints appear by rename",
        )
    with old.open("r+b") as first, old.open("r+b") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ok("runs.writable", "writes, renames and locks")
    return critical(
        "runs.writable",
        "two locks on one file at once",
        todo="runs_dir=FOLDER elsewhere, or mount it with flock (Lustre: -o flock)",
    )


def _shared(folder: Path, *, num_nodes: int) -> Finding:
    kind = mount_type(folder)
    if kind in MEMORY:
        return warn(
            "runs.shared", f"{kind}: in memory, gone at the next boot", todo="runs_dir=FOLDER"
        )
    if num_nodes > 1 and kind not in SHARED and not kind.startswith("fuse."):
        return warn(
            "runs.shared",
            f"{kind}: looks like a disk of this node",
            expected=f"one that all {num_nodes} nodes see",
            todo="runs_dir=FOLDER on shared storage",
        )
    return ok("runs.shared", kind)


def _room(folder: Path) -> Finding:
    free_gib = shutil.disk_usage(folder).free / GIB
    free_inodes = os.statvfs(folder).f_favail
    found = f"{free_gib:.0f} GiB free" if free_gib >= 10 else f"{free_gib:.1f} GiB free"
    if free_gib < FREE_LEAST_GIB:
        return critical("runs.free", found, expected=f"{FREE_EASY_GIB:g} GiB", todo="make room")
    if free_gib < FREE_EASY_GIB:
        return warn("runs.free", found, expected=f"{FREE_EASY_GIB:g} GiB", todo="make room")
    # Some file systems make them as needed, and say 0.
    if 0 < free_inodes < 10_000:
        return warn("runs.free", f"{free_inodes} files free", expected="10000", todo="make room")
    return ok("runs.free", found)
