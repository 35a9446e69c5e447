"""A program without numpy that answers rightly unless told otherwise: y is the sum of x."""

import os
import signal
import struct
import sys
import time


def request():
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(0)
    words = line.split()
    given = dict(word.split(b"=") for word in words[5:])
    return words[3].decode(), sys.stdin.buffer.read(int(given[b"bytes"]))


def out(*parts):
    for part in parts:
        sys.stdout.buffer.write(part if isinstance(part, bytes) else part.encode())
    sys.stdout.flush()


HEAD = "toeplitz 1 ok float64 y=1,1,2,1\n"
DATA = struct.pack("<2d", 1, 2)
GRADS = "toeplitz 1 ok float64 grad_x=1,1,2,2 grad_w=1,1,1,2 grad_b=1\n"


def right():
    out(HEAD, DATA)


def segfault():
    sys.stderr.write("first\nindex out of range\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)


def status():
    os._exit(3)


def polite():
    os._exit(0)


def loop():
    while True:
        pass


def sleep_loudly():
    sys.stderr.write("waiting for the device")
    sys.stderr.flush()
    time.sleep(1000)


def garbage():
    out("result: 1 2\n")


def binary():
    out(DATA)


def magic_alone():
    out("toeplitz\n")


def half():
    out(HEAD, DATA[:5])
    os._exit(0)


def half_line():
    out(HEAD[:12])
    os._exit(2)


def half_forever():
    out(HEAD, DATA[:5])
    time.sleep(1000)


def drip():
    while True:
        for letter in "toeplitz " + "1" * 99:
            out(letter)
            time.sleep(0.01)


def much():
    out(HEAD, DATA, b"x")


def flood():
    out(HEAD)
    while True:
        out(DATA * 999)


def endless_line():
    out("toeplitz 1 ok " + " " * 9999)


def to_stderr():
    sys.stderr.buffer.write(HEAD.encode() + DATA)
    sys.stderr.flush()
    time.sleep(1000)


def unflushed():
    sys.stdout.buffer.write(HEAD.encode() + DATA)


def close_stdout():
    os.close(1)
    time.sleep(1000)


def version():
    out("toeplitz 2 ok float64 y=1,1,2,1\n", DATA)


def nothing_said():
    out("toeplitz 1\n")


def other_word():
    out("toeplitz 1 yes\n")


def no_dtype():
    out("toeplitz 1 ok\n")


def double():
    out("toeplitz 1 ok double y=1,1,2,1\n", DATA)


def no_array():
    out("toeplitz 1 ok float64\n")


def other_name():
    out("toeplitz 1 ok float64 x=1,1,2,1\n", DATA)


def negative():
    out("toeplitz 1 ok float64 y=1,1,-2,1\n", DATA)


def bomb():
    out("toeplitz 1 ok float64 y=1000000000,1000000000\n")


def empty_bomb():
    out("toeplitz 1 ok float64 y=0,1000000000,1000000000\n")


def other_dtype():
    out("toeplitz 1 ok float32 y=1,1,2,1\n", struct.pack("<2f", 1, 2))


def other_shape():
    out("toeplitz 1 ok float64 y=2\n", DATA)


def scalar():
    out("toeplitz 1 ok float64 y=\n", DATA[:8])


def unsupported():
    out("toeplitz 1 unsupported no dilation yet\n")


def refused():
    out("toeplitz 1 refused 3 channels, weights for 2\n")


def bare():
    out("toeplitz 1 refused\n")


def slowly():
    for byte in HEAD.encode() + DATA:
        out(bytes([byte]))


def grads():
    out(GRADS, DATA, DATA, DATA, DATA[:8])


def swapped():
    out(GRADS.replace("grad_x", "dx"), DATA * 4)


def child():
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(4)


def pid():
    out("toeplitz 1 ok int64 y=\n", struct.pack("<q", os.getpid()))


def child_pid():
    other = os.fork()
    if other == 0:
        time.sleep(1000)
    out("toeplitz 1 ok int64 y=\n", struct.pack("<q", other))


def talk():
    sys.stderr.write("z" * 5_000_000)
    right()


def once():
    right()
    sys.exit(0)


def badly_ended():
    right()
    os._exit(5)


def more_later():
    right()
    time.sleep(0.1)
    out("done\n")


def stays():
    right()
    time.sleep(1000)


def deaf():
    pass


if __name__ == "__main__":
    ways = sys.argv[1].split(",")
    if ways[0] == "deaf":
        out("toeplitz 1 unsupported large\n")
        time.sleep(1000)
    while True:
        role, data = request()
        globals()[ways.pop(0) if len(ways) > 1 else ways[0]]()
