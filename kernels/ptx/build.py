#!/usr/bin/env python3
"""Compiles the kernels to PTX with NVRTC: build.py [OUTPUT], by default vision.ptx here.

No GPU, driver or CUDA header is needed. The same sources and the same NVRTC give
the same bytes. The first line of the output carries the hash of the sources.
"""
import ctypes
import hashlib
import pathlib
import sys

KERNELS = pathlib.Path(__file__).resolve().parent.parent
NVRTC = KERNELS.parent / ".deps/cuda/nvrtc"
SOURCES = ["vision.cu", "port.h", "types.h", "pixels.cu", "boxes.cu", "nms.cu"]
OPTIONS = ["--gpu-architecture=compute_75", "--std=c++17", "--fmad=false"]


def sources():
    return {name: (KERNELS / name).read_bytes() for name in SOURCES}


def digest(files):
    """The SHA-256 of a line 'SHA-256  NAME' for each file, as sha256sum prints them."""
    lines = "".join(f"{hashlib.sha256(text).hexdigest()}  {name}\n" for name, text in files.items())
    return hashlib.sha256(lines.encode()).hexdigest()


class Compiler:
    def __init__(self):
        library = next(NVRTC.glob("libnvrtc.so.*"), None)
        if library is None:
            sys.exit(f"no libnvrtc.so in {NVRTC}: make setup-test fetches it")
        self.library = ctypes.CDLL(str(library))

    def call(self, name, *args):
        result = getattr(self.library, name)(*args)
        if result != 0 and name != "nvrtcCompileProgram":
            sys.exit(f"{name} fails with {result}")
        return result

    def text(self, program, what):
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, buffer)
        return buffer.value.decode()

    def compile(self, files):
        name, *headers = files
        array = ctypes.c_char_p * len(headers)
        texts, names = array(*(files[h] for h in headers)), array(*(h.encode() for h in headers))
        program = ctypes.c_void_p()
        self.call("nvrtcCreateProgram", ctypes.byref(program), files[name], name.encode(), len(headers), texts, names)
        options = (ctypes.c_char_p * len(OPTIONS))(*(o.encode() for o in OPTIONS))
        failed = self.call("nvrtcCompileProgram", program, len(OPTIONS), options)
        print(self.text(program, "ProgramLog"), end="", file=sys.stderr)
        if failed:
            sys.exit(f"{name} does not compile")
        return self.text(program, "PTX")


def main(output):
    files = sources()
    ptx = Compiler().compile(files)
    pathlib.Path(output).write_text(f"// Code generated from vision.cu by build.py; DO NOT EDIT. Sources {digest(files)}\n{ptx}")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    main(*sys.argv[1:] or [pathlib.Path(__file__).with_name("vision.ptx")])
