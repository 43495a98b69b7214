#!/usr/bin/env python3
"""Lists the entries of a larder store: a second reader, written from format.md alone.

    reader.py [--now MILLISECONDS] DIRECTORY

One JSON object a line: key and value in hexadecimal, expiry (milliseconds, or null), LSN. What fails a
check is skipped. Nothing is written. The section names below are those of format.md.
"""

import json
import os
import struct
import sys
import time
import zlib

MASK = (1 << 64) - 1
NEVER = (1 << 48) - 1
HEADER, COMMITTED, EXPIRY, PAYLOAD = (
    0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)


class NotReadable(Exception):
    """The directory holds no store that this reader can read."""


def check(condition, what):
    if not condition:
        raise NotReadable(what)


# The file `store`

def read_identity(data):
    check(data[:8] == b"larderST", "store: no larder store")
    check(len(data) >= 16, "store: cut short")
    version, length = struct.unpack_from("<II", data, 8)
    check(version <= 1, "store: version %d is newer than this reader" % version)
    check(version == 1 and 20 + length == len(data) <= 4096, "store: damaged")
    check(struct.unpack_from("<I", data, 16 + length)[0] == zlib.crc32(data[:16 + length]),
          "store: wrong CRC")
    at = 16

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            check(at < 16 + length and shift < 64, "store: does not decode")
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    names = ("id0", "id1", "seed", "segment_shift", "level", "max_processes", "max_entries", "max_bytes")
    identity = {name: varint() for name in names}
    identity["ttl_ms"] = varint() if varint() else None
    identity["min_free"] = varint()
    check(16 <= identity["segment_shift"] <= 28 and identity["level"] <= 16
          and 1 <= identity["max_processes"] <= 1024, "store: damaged geometry")
    return identity


# The head of `log` and `index`

def check_head(data, magic, identity, name):
    check(data[:8] == magic, name + ": no larder file")
    version, crc, id0, id1 = struct.unpack_from("<IIQQ", data, 8)
    check(version <= 1, name + ": version %d is newer than this reader" % version)
    check(version == 1 and crc == zlib.crc32(data[16:32], zlib.crc32(data[:12])), name + ": damaged head")
    check((id0, id1) == (identity["id0"], identity["id1"]), name + ": belongs to another store")


# Checks

def mix(a, b):
    product = (a & MASK) * (b & MASK)
    return (product >> 64) ^ (product & MASK)


def rotl(x, r):
    return ((x << r) | (x >> (64 - r))) & MASK


class Store:
    def __init__(self, directory):
        def read(name):
            with open(os.path.join(directory, name), "rb") as file:
                return file.read()

        self.identity = read_identity(read("store"))
        self.seed, self.level = self.identity["seed"], self.identity["level"]
        self.shift = self.identity["segment_shift"]
        self.control = -(-(0x49000 + 1024 * self.identity["max_processes"]) // 65536) * 65536
        self.log, self.index = read("log"), read("index")
        check(len(self.log) >= self.control, "log: cut short")
        check(len(self.index) >= 4096, "index: cut short")
        check_head(self.log, b"larderLG", self.identity, "log")
        check_head(self.index, b"larderIX", self.identity, "index")
        self.in_order = self.is_in_order(directory)
        # n, clamped by what tags can tell apart; of a store to be recovered, by the file's length too.
        most = 1 << (self.level + 20)
        if not self.in_order:
            most = min(most, max(len(self.index) // 4096 - 1, 1 << self.level))
        self.n = min(max(self.word(0x0C0), 1 << self.level), most)
        self.pages = [self.page(p) for p in range(self.n)]
        if not self.in_order:
            self.recover()

    def word(self, at):
        return struct.unpack_from("<Q", self.log, at)[0]

    def page(self, p):
        data = self.index[4096 * (p + 1):4096 * (p + 2)]
        return list(struct.unpack("<512Q", data.ljust(4096, b"\0")))

    def is_in_order(self, directory):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            digits = file.read().strip().replace("-", "")
        inode = [os.stat(os.path.join(directory, name)).st_ino for name in ("log", "index")]
        first = 1 << self.level
        beside = self.control + 65536 + self.word(0x0E8) // 1024 + 4096 * (1 + first)
        segments = max(self.word(0x0E8) - beside, 0) >> self.shift
        return (first <= self.word(0x0C0) <= 1 << (self.level + 20)
                and len(self.index) >= 4096 * (self.word(0x0C0) + 1)
                and len(self.log) >= self.control + (segments << self.shift)
                and [self.word(0x040), self.word(0x048)] == [int(digits[:16], 16), int(digits[16:], 16)]
                and [self.word(0x050), self.word(0x060)] == inode
                and self.word(0x080) & 3 != 3)

    # The index: home

    def page_of(self, h, n):
        high = 1 << n.bit_length()
        page = h % high
        return page if page < n else h % (high // 2)

    def low(self, page, slot):
        return (page % (1 << self.level)) | ((slot >> 44) << self.level)

    def is_home(self, page, slot):
        return self.page_of(self.low(page, slot), self.n) == page

    # Another boot, step 3

    def recover(self):
        durable = min(self.word(0x0D8), self.n)
        for page, slots in enumerate(self.pages):
            for position, slot in enumerate(slots):
                if slot == 0:
                    continue
                if not (slot >> 42) & 1 and self.segment(slot) is None:
                    slots[position] = 0
                    continue
                differs = self.low(page, slot) ^ page
                if self.is_home(page, slot) or differs == 0:
                    continue
                moved = page | (differs & -differs)
                if durable <= moved < self.n and self.pages[moved][position] == 0:
                    self.pages[moved][position] = slot

    # Reading, step 5

    def segment(self, slot):
        """Generation of a slot's segment, address in bytes, and bytes allocated from there on."""
        at = (slot & ((1 << 36) - 1)) * 16
        number, within = divmod(at - self.control, 1 << self.shift)
        if not 0 <= number < 4096:
            return None
        state = self.word(0x1000 + 8 * number)
        generation, phase, queue = state & 0xFFFFFFFF, (state >> 32) & 15, (state >> 36) & 15
        if phase > 4 or queue > 1 or generation & 15 != (slot >> 36) & 15:
            return None
        if self.in_order and phase not in (1, 2, 3):
            return None
        allocated = min(((state >> 40) & 0xFFFFF) * 4096, 1 << self.shift)
        room = min(allocated - within, len(self.log) - at)
        return (generation, at, room) if room > 0 else None

    # Reading, steps 5 to 7 and 11

    def record(self, slot):
        """Key, value, creation, expiry, LSN and flags of the record that a slot names, if it is whole."""
        found = self.segment(slot)
        if found is None or found[2] < 40:
            return None
        generation, at, room = found
        word0, word1, word2, committed, expiry = struct.unpack_from("<5Q", self.log, at)
        place = ((at // 16) | (generation << 36)) & MASK
        header = mix(word0 ^ self.seed, (word1 & 0xFFFFFFFFFFFF) ^ rotl(place, 24) ^ HEADER) >> 48
        if word0 & 0xFFFFFFFF != generation or word1 >> 48 != header:
            return None
        value, key, metadata = word0 >> 32, word1 & 0xFFFF, (word1 >> 16) & 0xFFFF
        length = metadata + key + value
        if -(-(40 + length) // 16) * 16 > room:
            return None
        lsn, millis = committed & ((1 << 52) - 1), expiry & NEVER
        if lsn == 0 or committed >> 52 != mix(lsn ^ self.seed, place ^ COMMITTED) >> 52:
            return None
        if expiry >> 48 != mix(millis ^ self.seed, place ^ EXPIRY) >> 48:
            return None
        start = mix(word0 ^ self.seed, place ^ ((word2 >> 32) << 32) ^ PAYLOAD) >> 32
        body = self.log[at + 40:at + 40 + length]
        if zlib.crc32(body, start) != word2 & 0xFFFFFFFF:
            return None
        flags = (word1 >> 32) & 0xFFFF
        return body[metadata:metadata + key], body[metadata + key:], word2 >> 32, millis, lsn, flags

    # Reading, steps 8 and 9, and of several records of a key the one of the highest LSN

    def entries(self, now):
        newest = {}
        for page, slots in enumerate(self.pages):
            for slot in slots:
                if slot == 0 or (slot >> 42) & 1 or not self.is_home(page, slot):
                    continue
                record = self.record(slot)
                if record and (record[0] not in newest or newest[record[0]][4] < record[4]):
                    newest[record[0]] = record
        cleared = self.word(0x0C8)
        for key, value, created, expiry, lsn, flags in newest.values():
            in_time = now < expiry and created * 1000 <= now + 300000
            if flags == 0 and lsn > cleared and (expiry == NEVER or in_time):
                yield {"key": key.hex(), "value": value.hex(),
                       "expiry": None if expiry == NEVER else expiry, "lsn": lsn}


def main(arguments):
    now = int(time.time() * 1000)
    if arguments[:1] == ["--now"] and len(arguments) > 1:
        now, arguments = int(arguments[1]), arguments[2:]
    if len(arguments) != 1:
        sys.exit(__doc__)
    try:
        for entry in Store(arguments[0]).entries(now):
            print(json.dumps(entry))
    except (NotReadable, OSError) as error:
        sys.exit("reader.py: %s" % error)


if __name__ == "__main__":
    main(sys.argv[1:])
