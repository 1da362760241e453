"""System calls and kernel interfaces that Python's os module lacks.

One thin function per call, declared once with ctypes; an error is a `SyscallError` that knows its call and subject.
"""
