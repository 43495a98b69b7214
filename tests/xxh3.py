"""XXH3_64bits_withSeed, as xxHash 0.8 has it (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md), for
reader.py: slow, and in nothing but the standard library."""

import struct

M = (1 << 64) - 1
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
MX1, MX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def fold(a, b):
    product = a * b
    return (product & M) ^ (product >> 64)


def swap32(x):
    return int.from_bytes(x.to_bytes(4, "little"), "big")


def swap64(x):
    return int.from_bytes(x.to_bytes(8, "little"), "big")


def rotl(x, r):
    return ((x << r) | (x >> (64 - r))) & M


def avalanche(h):
    h ^= h >> 37
    h = h * MX1 & M
    return h ^ h >> 32


def avalanche64(h):
    h ^= h >> 33
    h = h * P64_2 & M
    h ^= h >> 29
    h = h * P64_3 & M
    return h ^ h >> 32


def short(data, seed):
    length = len(data)
    if length == 0:
        return avalanche64(seed ^ u64(SECRET, 56) ^ u64(SECRET, 64))
    if length <= 3:
        first, middle, last = data[0], data[length >> 1], data[-1]
        combined = first << 16 | middle << 24 | last | length << 8
        return avalanche64(combined ^ ((u32(SECRET, 0) ^ u32(SECRET, 4)) + seed & M))
    if length <= 8:
        seed ^= swap32(seed & 0xFFFFFFFF) << 32
        flip = (u64(SECRET, 8) ^ u64(SECRET, 16)) - seed & M
        h = (u32(data, length - 4) + (u32(data, 0) << 32) & M) ^ flip
        h ^= rotl(h, 49) ^ rotl(h, 24)
        h = h * MX2 & M
        h ^= (h >> 35) + length
        h = h * MX2 & M
        return h ^ h >> 28
    low = u64(data, 0) ^ ((u64(SECRET, 24) ^ u64(SECRET, 32)) + seed & M)
    high = u64(data, length - 8) ^ ((u64(SECRET, 40) ^ u64(SECRET, 48)) - seed & M)
    return avalanche(length + swap64(low) + high + fold(low, high) & M)


def mix16(data, at, secret, seed):
    return fold(u64(data, at) ^ (u64(SECRET, secret) + seed & M),
                u64(data, at + 8) ^ (u64(SECRET, secret + 8) - seed & M))


def medium(data, seed):
    length = len(data)
    h = length * P64_1
    if length <= 128:
        for i in range((length - 1) // 32 + 1):
            h += mix16(data, 16 * i, 32 * i, seed)
            h += mix16(data, length - 16 * (i + 1), 32 * i + 16, seed)
        return avalanche(h & M)
    for i in range(8):
        h += mix16(data, 16 * i, 16 * i, seed)
    h = avalanche(h & M)
    for i in range(8, length // 16):
        h += mix16(data, 16 * i, 16 * (i - 8) + 3, seed)
    h += mix16(data, length - 16, 136 - 17, seed)
    return avalanche(h & M)


def long(data, seed):
    secret = b"".join(
        struct.pack("<QQ", u64(SECRET, at) + seed & M, u64(SECRET, at + 8) - seed & M)
        for at in range(0, 192, 16))
    acc = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]

    def accumulate(at, key):
        for lane in range(8):
            value = u64(data, at + 8 * lane)
            mixed = value ^ u64(secret, key + 8 * lane)
            acc[lane ^ 1] = acc[lane ^ 1] + value & M
            acc[lane] = acc[lane] + (mixed & 0xFFFFFFFF) * (mixed >> 32) & M

    stripes = (192 - 64) // 8
    blocks = (len(data) - 1) // (64 * stripes)
    for block in range(blocks):
        for stripe in range(stripes):
            accumulate(64 * (block * stripes + stripe), 8 * stripe)
        for lane in range(8):
            acc[lane] = (acc[lane] ^ acc[lane] >> 47 ^ u64(secret, 128 + 8 * lane)) * P32_1 & M
    begun = 64 * stripes * blocks
    for stripe in range((len(data) - 1 - begun) // 64):
        accumulate(begun + 64 * stripe, 8 * stripe)
    accumulate(len(data) - 64, 192 - 64 - 7)
    h = len(data) * P64_1
    for pair in range(4):
        h += fold(acc[2 * pair] ^ u64(secret, 11 + 16 * pair),
                  acc[2 * pair + 1] ^ u64(secret, 19 + 16 * pair))
    return avalanche(h & M)


def xxh3(data, seed):
    if len(data) <= 16:
        return short(data, seed)
    return medium(data, seed) if len(data) <= 240 else long(data, seed)
