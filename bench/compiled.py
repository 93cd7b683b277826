"""The C programs of the bench, compiled when they are needed. Refuses to know what they do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.options import BenchError

_TLS = ("-DWITH_TLS",), ("-lssl", "-lcrypto")


def find_compiler() -> str | None:
    """A C compiler: ``SATOMORI_CC`` (``none``: as if there were none), cc, gcc or clang."""
    given = os.environ.get("SATOMORI_CC")
    if given:
        return None if given == "none" else given
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def has_compiler() -> bool:
    """Whether C programs can be had here."""
    return find_compiler() is not None


def compile_program(name: str, folder: Path, *, with_tls: bool) -> Path:
    """``bench/<name>.c`` as a program in ``folder``.

    Raises BenchError without a compiler, and for TLS without OpenSSL's headers.
    """
    compiler = find_compiler()
    if compiler is None:
        raise BenchError(f"{name} needs a C compiler (cc)")
    flags, libraries = _TLS if with_tls else ((), ())
    program = folder / name
    source = Path(__file__).with_name(f"{name}.c")
    done = subprocess.run(
        [compiler, "-O2", *flags, "-o", str(program), str(source), *libraries],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        why = "are OpenSSL's headers installed (libssl-dev)? " if with_tls else ""
        raise BenchError(f"{name} cannot be compiled; {why}{done.stderr[-500:]}")
    return program
