"""The simulation itself: a power cut takes what was written after the moment, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.power_cut import DiskState, NewFiles


@pytest.mark.parametrize(
    ("new_files", "left"), [(NewFiles.EMPTIED, b""), (NewFiles.HALVED, b"new "), (NewFiles.REMOVED, None)]
)
def test_files_are_as_they_were_and_new_ones_as_the_file_system_leaves_them(
    tmp_path: Path, new_files: NewFiles, left: bytes | None
) -> None:
    segment, part = tmp_path / "agent-events-0" / "0.log", tmp_path / "store" / "all_2_2_0" / "data.bin"
    quorum, checkpoint = tmp_path / "__cluster_metadata-0" / "0.log", tmp_path / "recovery-point-offset-checkpoint"
    old = tmp_path / "store" / "all_1_1_0" / "data.bin"
    for path in (segment, part, quorum, checkpoint, old):
        path.parent.mkdir(parents=True, exist_ok=True)
    for path in (segment, quorum, checkpoint, old):
        path.write_bytes(b"old")
    disk = DiskState(tmp_path)
    for path in (segment, quorum, checkpoint):
        path.write_bytes(b"old and new")
    part.write_bytes(b"new part")
    assert disk.cut(new_files) == 2
    assert segment.read_bytes() == old.read_bytes() == b"old"
    assert quorum.read_bytes() == checkpoint.read_bytes() == b"old and new", "these are forced to the disk"
    assert (part.read_bytes() if part.exists() else None) == left
    assert part.parent.exists() == (left is not None)
