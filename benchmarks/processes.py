"""Starting workers and speaking with them: each measurement runs in a process of its own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300.0
"""Seconds for one answer; the slowest is a first compilation."""


class WorkerFailed(Exception):
    """A worker ended or fell silent; the message is the last line that it wrote."""


def environment(threads: int | None, more: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a measured process: this one's, and for a given number of threads what each library reads."""
    found = {**os.environ, **(more or {})}
    if threads:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        # XLA's thread pool on the CPU is as large as NPROC says, under either name.
        found |= dict.fromkeys((*names, "NPROC", "PJRT_NPROC"), str(threads))
    return found


class Worker:
    """A process that answers in JSON lines."""

    def __init__(self, arguments: list[str], threads: int | None, more: dict[str, str] | None = None) -> None:
        self.errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (closed with the worker)
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            cwd=ROOT,
            env=environment(threads, more),
            text=True,
        )

    def answer(self, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait for one line."""
        out = self.process.stdout
        ready, _, _ = select.select([out], [], [], patience)
        line = out.readline() if ready else ""
        if not line:
            self.close()
            raise WorkerFailed(f"silent for {patience:.0f} s" if not ready else self.last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, order: str) -> None:
        try:
            print(order, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise WorkerFailed(self.last_words()) from None

    def last_words(self) -> str:
        """The last line of what it wrote as errors."""
        self.process.wait()
        if self.errors.closed:
            return f"ended with status {self.process.returncode}"
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        return lines[-1] if lines else f"ended with status {self.process.returncode}"

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def ask(arguments: list[str], threads: int | None, more: dict[str, str] | None = None) -> dict[str, Any]:
    """Run one process for one answer."""
    worker = Worker(arguments, threads, more)
    try:
        return worker.answer(patience=3600.0)
    finally:
        worker.close()
        worker.errors.close()
