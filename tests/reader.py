#!/usr/bin/env python3
"""Lists the entries of a larder store: a second reader, written from part one of format.md alone.

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

sys.dont_write_bytecode = True
from xxh3 import xxh3  # noqa: E402

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


# The header of `log` and `index`

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


# Checked words

LABELS = {0x0C0: 0x4D6, 0x0C8: 0x3A9, 0x0D8: 0x293, 0x110: 0x7E5}


def value_of(word, label):
    """The value of one copy, or None if its check fails."""
    whole = (word * 0x94D049BB133111EB & MASK) >> 53 == label
    return word & (1 << 53) - 1 if whole else None


class Store:
    def __init__(self, directory):
        def read(name):
            with open(os.path.join(directory, name), "rb") as file:
                return file.read()

        self.identity = read_identity(read("store"))
        self.seed, self.level = self.identity["seed"], self.identity["level"]
        self.shift = self.identity["segment_shift"]
        self.control = -(-(0xE2000 + 1088 * self.identity["max_processes"]) // 65536) * 65536
        self.log, self.index = read("log"), read("index")
        check(len(self.log) >= self.control, "log: cut short")
        check(len(self.index) >= 4096, "index: cut short")
        check_head(self.log, b"larderLG", self.identity, "log")
        check_head(self.index, b"larderIX", self.identity, "index")
        self.in_order = self.is_in_order(directory)
        # n, clamped by what tags can tell apart, and by the file's length. Lost, nothing is there.
        first, found = 1 << self.level, self.checked(0x0C0)
        most = min(1 << (self.level + 20), max(len(self.index) // 4096 - 1, first))
        self.n = 0 if found is None else min(max(found, first), most)
        self.pages = [self.page(p) for p in range(self.n)]
        if not self.in_order:
            self.recover()

    def word(self, at):
        return struct.unpack_from("<Q", self.log, at)[0]

    def checked(self, at):
        """The value of a checked word of the control block, or None if it is lost."""
        first = value_of(self.word(at), LABELS[at])
        return first if first is not None else value_of(self.word(at + 0x1000), LABELS[at])

    def state(self, number):
        """Generation, state and bytes allocated of a segment, or None if its state word does not decode."""
        value = value_of(self.word(0x2000 + 8 * number), 0)
        if value is None:
            value = value_of(self.word(0xA000 + 8 * number), 0)
        if value is None or value >> 32 & 7 > 4:
            return None
        return value & 0xFFFFFFFF, value >> 32 & 7, (value >> 36) * 4096

    def page(self, p):
        data = self.index[4096 * (p + 1):4096 * (p + 2)]
        return list(struct.unpack("<512Q", data.ljust(4096, b"\0")))

    def is_in_order(self, directory):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            digits = file.read().strip().replace("-", "")
        inode = [os.stat(os.path.join(directory, name)).st_ino for name in ("log", "index")]
        first = 1 << self.level
        rows = 0xE2000 + 1088 * self.identity["max_processes"]
        cost = 0x52000 + -(-rows // 4096) * 4096 - 0xE2000
        beside = cost + 65536 + self.word(0x0E8) // 1024 + 4096 * (1 + first)
        segments = max(self.word(0x0E8) - beside, 0) >> self.shift
        n, cleared, epoch = self.checked(0x0C0), self.checked(0x0C8), self.checked(0x110)
        sequence = self.word(0x080) >> 12
        return (None not in (n, cleared, epoch)
                and first <= n <= 1 << (self.level + 20)
                and len(self.index) >= 4096 * (n + 1)
                and sequence >> 36 in (epoch, epoch + 1) and sequence >= cleared
                and all(self.word(at) < 1 << 56 for at in (0x100, 0x108, 0x150))
                and len(self.log) >= self.control + (segments << self.shift)
                and [self.word(0x040), self.word(0x048)] == [int(digits[:16], 16), int(digits[16:], 16)]
                and [self.word(0x050), self.word(0x060)] == inode
                and self.word(0x080) & 3 != 3)

    # The index: from a key to its slots, and home

    def page_of(self, h, n):
        high = 1 << n.bit_length()
        page = h % high
        return page if page < n else h % (high // 2)

    def leads_to(self, key, page, position, slot):
        h = xxh3(key, self.seed)
        tag = (h >> self.level) % (1 << 20)
        a = h >> 59
        b = a ^ 1 + (tag * 0x9E3779B1 % (1 << 32) >> 8) % 31
        return self.page_of(h, self.n) == page and tag == slot >> 44 and position // 16 in (a, b)

    def low(self, page, slot):
        return (page % (1 << self.level)) | ((slot >> 44) << self.level)

    def is_home(self, page, slot):
        return self.page_of(self.low(page, slot), self.n) == page

    # A store that is not in order

    def recover(self):
        durable = self.checked(0x0D8)
        durable = self.n if durable is None else min(durable, self.n)
        for page, slots in enumerate(self.pages):
            for position, slot in enumerate(slots):
                if slot == 0:
                    continue
                if not (slot >> 42) & 1 and self.segment(slot) is None and not self.is_lost(slot):
                    slots[position] = 0
                    continue
                differs = self.low(page, slot) ^ page
                if self.is_home(page, slot) or differs == 0:
                    continue
                moved = page | (differs & -differs)
                if durable <= moved < self.n and self.pages[moved][position] == 0:
                    self.pages[moved][position] = slot

    def place(self, slot):
        """Number of a slot's segment, bytes from its start, and the address in bytes."""
        at = (slot & ((1 << 36) - 1)) * 16
        number, within = divmod(at - self.control, 1 << self.shift)
        return (number, within, at) if 0 <= number < 4096 else None

    def is_lost(self, slot):
        place = self.place(slot)
        return place is not None and self.state(place[0]) is None

    # Reading, step 5

    def segment(self, slot):
        """Generation of a slot's segment, address in bytes, and bytes allocated from there on."""
        place = self.place(slot)
        found = place and self.state(place[0])
        if not found:
            return None
        (_, within, at), (generation, state, allocated) = place, found
        if generation & 15 != slot >> 36 & 15 or allocated > 1 << self.shift:
            return None
        if self.in_order and state not in (1, 2, 3):
            return None
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
            home = [(position, slot) for position, slot in enumerate(slots)
                    if slot and not slot >> 42 & 1 and self.is_home(page, slot)]
            # The newest version of a key may be in a segment of which nothing is known.
            marked = (lambda slot: True) if not self.in_order else (lambda slot: slot >> 43 & 1)
            lost = {slot >> 44 for _, slot in home if marked(slot) and self.is_lost(slot)}
            for position, slot in home:
                if slot >> 44 in lost and marked(slot):
                    continue
                record = self.record(slot)
                if not record or not self.leads_to(record[0], page, position, slot):
                    continue
                if record[0] not in newest or newest[record[0]][4] < record[4]:
                    newest[record[0]] = record
        cleared = self.checked(0x0C8)
        if cleared is None:
            return
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
