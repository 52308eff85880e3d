"""``python hidden_argument.py VARIABLE PROGRAM ARGUMENT...``: runs a program with one more, hidden argument.

The argument is the value of the environment variable. Every account of a machine can read the arguments of a process
(``/proc/<pid>/cmdline``), but only its owner can read its environment. So the program starts with a placeholder, and
before it runs, a tracer makes that entry of its argument vector point at the variable. The process stays the same one.

If the kernel permits no tracing, the argument is passed as usual, with a warning. Only the standard library: it also
runs in Triton's image. Linux with 64 bits.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from pathlib import Path
from typing import BinaryIO

_PLACEHOLDER = "--hidden"
_POINTER = struct.Struct("=Q")
_START_STACK = 28
"""Field of ``/proc/<pid>/stat``, counted from 1: where the stack began. There are the count and vector of arguments."""

_SEIZE, _CONT, _DETACH = 0x4206, 7, 17
_TRACE_EXEC = 0x10
_EXEC_STOP = signal.SIGTRAP | (4 << 8)
_SET_PTRACER = 0x59616D61
_ALL_CHILDREN = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def main(variable: str, program: str, *arguments: str) -> None:
    """Become the program."""
    if _start_tracer(os.getpid(), variable):
        os.execvp(program, [program, *arguments, _PLACEHOLDER])  # noqa: S606
    sys.stderr.write(
        f"warning: this kernel permits no tracing, so {variable} is on the command line of {program}, which every "
        "account of this machine can read; mount /proc with hidepid=2\n"
    )
    os.execvp(program, [program, *arguments, os.environ[variable]])  # noqa: S606


def _start_tracer(traced: int, variable: str) -> bool:
    """Start a process that waits for this one's program and hides the argument; return whether it may trace."""
    reads, writes = os.pipe()
    permitted, permit = os.pipe()
    child = os.fork()
    if child == 0:
        if os.fork():
            os._exit(0)  # so the tracer is no child of the program
        os.write(writes, b"%8d" % os.getpid())
        os.read(permitted, 1)
        traces = _ptrace(_SEIZE, traced, _TRACE_EXEC)
        os.write(writes, b"1" if traces else b"0")
        if traces:
            _hide(traced, variable)
        os._exit(0)
    os.waitpid(child, 0)
    _libc.prctl(_SET_PTRACER, int(os.read(reads, 8)), 0, 0, 0)  # needed where only ancestors may trace
    os.write(permit, b"1")
    return os.read(reads, 1) == b"1"


def _hide(traced: int, variable: str) -> None:
    """Wait until the process has its new program, then replace the placeholder."""
    try:
        while True:
            _, status = os.waitpid(traced, _ALL_CHILDREN)
            if not os.WIFSTOPPED(status):
                return
            if status >> 8 == _EXEC_STOP:
                break
            _ptrace(_CONT, traced, os.WSTOPSIG(status))
        status_line = Path(f"/proc/{traced}/stat").read_text()
        stack = int(status_line.rpartition(")")[2].split()[_START_STACK - 3])
        with Path(f"/proc/{traced}/mem").open("r+b", buffering=0) as memory:
            _replace(memory, stack, f"{variable}=".encode())
    finally:
        _ptrace(_DETACH, traced, 0)


def _replace(memory: BinaryIO, stack: int, name: bytes) -> None:
    """Let the last argument point behind ``name`` in the environment."""
    [count] = _read(memory, stack, 1)
    vector = stack + _POINTER.size
    at = vector + (count + 1) * _POINTER.size
    while pointer := _read(memory, at, 1)[0]:
        memory.seek(pointer)
        if memory.read(len(name)) == name:
            memory.seek(vector + (count - 1) * _POINTER.size)
            memory.write(_POINTER.pack(pointer + len(name)))
            return
        at += _POINTER.size


def _read(memory: BinaryIO, address: int, count: int) -> tuple[int, ...]:
    memory.seek(address)
    return struct.unpack(f"={count}Q", memory.read(count * _POINTER.size))


def _ptrace(request: int, process: int, data: int) -> bool:
    return bool(_libc.ptrace(request, process, None, data) == 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
