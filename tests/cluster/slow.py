"""A stretch of wire that takes longer: carries frames between two devices, each some milliseconds after it has come.

For kernels without netem, too. It is a program of its own, in the network of the desk:

    python slow.py carry ONE OTHER MILLISECONDS JITTER    frames of the one go out at the other, and back, in order
    python slow.py plain DEVICE                           have the kernel send whole frames there, with their checksums
"""

import fcntl
import random
import select
import socket
import struct
import sys
import time
from collections import deque

FRAME_BYTES_MAX = 65_536
WAITING_MAX = 10_000
"""Frames on their way in one direction; what is more is lost, as by a switch."""
_ETHTOOL = 0x8946
_OFFLOADS = {"tx checksums": 0x17, "scatter and gather": 0x19, "tcp segments": 0x1F, "segments": 0x24}
"""What a device does by itself, and its number for `ethtool`: to switch it off."""
_ALL = 3
"""Frames of every protocol."""


def plain(device: str) -> None:
    """Have whatever is sent by a device leave the kernel as it would be on a wire."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for number in _OFFLOADS.values():
            value = bytearray(struct.pack("II", number, 0))
            address = struct.pack("P", (_address_of(value)))
            fcntl.ioctl(control, _ETHTOOL, device.encode().ljust(16, b"\0") + address)


def _address_of(data: bytearray) -> int:
    import ctypes

    return ctypes.addressof((ctypes.c_char * len(data)).from_buffer(data))


def carry(one: str, other: str, delay_s: float, jitter_s: float) -> None:
    """Carry frames both ways, until this is ended."""
    ends = [_opened(one), _opened(other)]
    across = {ends[0]: ends[1], ends[1]: ends[0]}
    waiting: dict[socket.socket, deque[tuple[float, bytes]]] = {end: deque() for end in ends}
    print("carrying", flush=True)
    while True:
        due = min((frames[0][0] for frames in waiting.values() if frames), default=None)
        timeout_s = None if due is None else max(0.0, due - time.monotonic())
        for end in select.select(ends, [], [], timeout_s)[0]:
            frame, origin = end.recvfrom(FRAME_BYTES_MAX)
            frames = waiting[end]
            if origin[2] != socket.PACKET_OUTGOING and len(frames) < WAITING_MAX:
                at = time.monotonic() + max(0.0, delay_s + random.uniform(-jitter_s, jitter_s))
                frames.append((max(at, frames[-1][0]) if frames else at, frame))
        now = time.monotonic()
        for end, frames in waiting.items():
            while frames and frames[0][0] <= now:
                across[end].send(frames.popleft()[1])


def _opened(device: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    end.bind((device, 0))
    return end


if __name__ == "__main__":
    if sys.argv[1] == "plain":
        plain(sys.argv[2])
    else:
        carry(sys.argv[2], sys.argv[3], float(sys.argv[4]) / 1000, float(sys.argv[5]) / 1000)
