# Values as plain data: what crosses between a program and whoever judges it.
#
# None, bool, str, int and float of ordinary size, and lists are what JSON has. Everything else is an object
# with one key that says what it is. Types are compared exactly: an instance of a class of the program's own
# is never taken for what it inherits from, it is a reference.

import collections
import json
import os
import socket
import struct
import sys

# What a program does to modules and builtins is not to disturb what is said about it: the functions used here are
# held fast, and the JSON is the C code's own. (That a program could find them all the same does it no good.)
read, write, pack, unpack = os.read, os.write, struct.pack, struct.unpack
encoder = json.JSONEncoder()
to_chunks = json.encoder.c_make_encoder(
    None, encoder.default, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True
)
scan = json.scanner.c_make_scanner(json.JSONDecoder())


def to_json(data):
    return "".join(to_chunks(data, 0))


def from_json(text):
    try:
        return scan(text, 0)[0]
    except StopIteration:
        raise ValueError("no JSON") from None


# Whoever reads it allows 128 levels of JSON, of which a dict takes three.
DEEPEST = 40
LARGEST_MESSAGE = 16 << 20


# Types that a test may name, as in `f(values, int)`.
TYPES = {t.__name__: t for t in (bool, bytes, complex, dict, float, frozenset, int, list, object, set, str, tuple)}


class Plain:
    """Encodes values; what is not plain stays here, under a number."""

    def __init__(self):
        self.kept = []
        self.numbers = {}

    def encode(self, value, depth=0):
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            try:
                value.isascii() or value.encode()
                return value
            except UnicodeEncodeError:
                return {"surrogates": value.encode("utf-8", "surrogatepass").hex()}
        if kind is int:
            return value if -(1 << 63) <= value < 1 << 63 else {"int": hex(value)}
        if kind is float:
            finite = value - value == 0.0
            return value if finite else {"float": repr(value)}
        if depth > DEEPEST:
            return self.keep(value)
        if kind is list:
            return [self.encode(item, depth + 1) for item in value]
        if kind is tuple:
            return {"tuple": [self.encode(item, depth + 1) for item in value]}
        if kind is dict:
            return {"dict": self.pairs(value, depth)}
        if kind is set or kind is frozenset:
            return {kind.__name__: [self.encode(item, depth + 1) for item in value]}
        if kind is bytes or kind is bytearray:
            return {kind.__name__: value.hex()}
        if kind is complex:
            return {"complex": [self.encode(value.real), self.encode(value.imag)]}
        if kind is range:
            return {"range": [self.encode(part) for part in (value.start, value.stop, value.step)]}
        if kind is collections.deque:
            return {"deque": [self.encode(item, depth + 1) for item in value]}
        if kind is collections.Counter or kind is collections.OrderedDict or kind is collections.defaultdict:
            return {kind.__name__: self.pairs(value, depth)}
        if kind is type and any(value is known for known in TYPES.values()):
            return {"type": value.__name__}
        if kind is type(sys):
            return {"module": str(getattr(value, "__name__", ""))}
        return self.keep(value)

    def pairs(self, value, depth):
        return [[self.encode(key, depth + 1), self.encode(item, depth + 1)] for key, item in value.items()]

    def keep(self, value):
        # The same object has the same number again: whoever judges can tell that it is the same.
        number = self.numbers.setdefault(id(value), len(self.kept))
        if number == len(self.kept):
            self.kept.append(value)
        return {"object": [number, type(value).__name__]}


def decode(data, remote):
    """The value of plain data; `remote(number, type name)` stands for what is not plain."""
    kind = type(data)
    if kind is list:
        return [decode(item, remote) for item in data]
    if kind is not dict:
        return data
    ((tag, inner),) = data.items()
    if tag == "object":
        return remote(*inner)
    if tag == "int":
        return int(inner, 16)
    if tag == "float":
        return float(inner)
    if tag == "bytes" or tag == "bytearray":
        return (bytes if tag == "bytes" else bytearray).fromhex(inner)
    if tag == "surrogates":
        return bytes.fromhex(inner).decode("utf-8", "surrogatepass")
    if tag == "module":
        return Module(inner)
    if tag == "type":
        return TYPES[inner]
    if tag == "complex":
        return complex(*(decode(part, remote) for part in inner))
    if tag == "range":
        return range(*inner)
    items = [decode(item, remote) for item in inner]
    if tag in ("dict", "Counter", "OrderedDict", "defaultdict"):
        value = {"Counter": collections.Counter, "OrderedDict": collections.OrderedDict}.get(tag, dict)()
        for key, item in items:
            value[key] = item
        return value
    return {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": collections.deque}[tag](items)


class Module:
    """A module that the program names; whoever judges has its own."""

    def __init__(self, name):
        self.name = name


def sayable(text):
    """A text that any reader of JSON takes, and no longer than a line should be."""
    return text[:300].encode("utf-8", "backslashreplace").decode()


class Gone(BaseException):
    """The other end is closed."""


class Channel:
    """Messages of JSON over a stream, each behind its length."""

    def __init__(self, fd):
        self.fd = fd

    def send(self, message):
        data = to_json(message).encode("ascii")
        data = pack("<Q", len(data)) + data
        try:
            while data:
                data = data[write(self.fd, data) :]
        except OSError:
            raise Gone from None

    def receive(self):
        return self.body(self.exactly(8))

    def receive_with_descriptors(self):
        """A message behind a head that brings descriptors along."""
        stream = socket.socket(fileno=self.fd)
        head, fds, _, _ = socket.recv_fds(stream, 8, 1)
        stream.detach()
        if not head:
            raise Gone
        return self.body(head + self.exactly(8 - len(head)), most=1 << 40), fds

    def body(self, head, most=LARGEST_MESSAGE):
        (length,) = unpack("<Q", head)
        if length > most:
            raise ValueError("a message of %d bytes" % length)
        return from_json(self.exactly(length).decode())

    def exactly(self, length):
        parts = []
        while length:
            try:
                part = read(self.fd, min(length, 1 << 20))
            except OSError:
                part = b""
            if not part:
                raise Gone
            parts.append(part)
            length -= len(part)
        return b"".join(parts)
