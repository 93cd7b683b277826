"""What Satomori keeps on disk is for its own account alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_command_line_keeps_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    """People, addresses and readings of households are in them; also in a folder open to all."""
    var = tmp_path / "var"
    var.mkdir(mode=0o755)
    config = tmp_path / "satomori.toml"
    config.write_text(f"[paths]\nvar = {json.dumps(str(var))}\n")
    command = (sys.executable, "-m", "satomori", "people", "add", "hanako", "--role", "admin")
    subprocess.run(
        (*command, "--config", str(config)), check=True, capture_output=True, umask=0o022
    )
    assert (var / "satomori.db").is_file()
    open_to_others = [
        str(file.relative_to(var)) for file in var.rglob("*") if file.stat().st_mode & 0o077
    ]
    assert open_to_others == []
