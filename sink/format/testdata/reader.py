"""Reads events that were written in Avro or Protobuf, knowing nothing of the program
that wrote them: the schema's text, Confluent's wire format and the two libraries.

    reader.py avro SCHEMA...     each line of input is "INDEX HEX": SCHEMA[INDEX], a message
    reader.py protobuf FILE      each line of input is "HEX": FILE is what protoc made of the .proto

Prints each event as one line of JSON, as it is in structured mode, less what only
the JSON has (datacontenttype), with numbers instead of digits in sequence.
"""

import datetime
import io
import json
import struct
import sys

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def stamp(t):
    return t.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def frame(message):
    """Splits Confluent's wire format into the schema's id and the rest."""
    magic, number = struct.unpack(">bI", message[:5])
    assert magic == 0, message[:5]
    return number, message[5:]


def plain(v):
    """What fastavro decoded, as JSON has it."""
    if isinstance(v, dict):
        if list(v) == ["x", "y"] or list(v) == ["ms", "x", "y"]:
            return list(v.values())
        return {k: plain(x) for k, x in v.items() if x is not None}
    if isinstance(v, list):
        return [plain(x) for x in v]
    return stamp(v) if isinstance(v, datetime.datetime) else v


def read_avro(schemas):
    import fastavro

    parsed = [fastavro.parse_schema(json.load(open(name))) for name in schemas]
    for line in sys.stdin:
        index, text = line.split()
        _, body = frame(bytes.fromhex(text))
        rest = io.BytesIO(body)
        event = fastavro.schemaless_reader(rest, parsed[int(index)])
        assert not rest.read(), "bytes are left over"
        yield plain(event)


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return (value >> 1) ^ -(value & 1), at  # zigzag
        shift += 7


def indexes(body):
    """The path of the message's type in its file, and the message."""
    count, at = varint(body, 0)
    path = []
    for _ in range(count):
        index, at = varint(body, at)
        path.append(index)
    return path or [0], body[at:]


def message(m):
    """A Protobuf message, as JSON has it."""
    kind = m.DESCRIPTOR.name
    if kind == "Timestamp":
        return stamp(EPOCH + datetime.timedelta(seconds=m.seconds, microseconds=m.nanos // 1000))
    if kind in ("Point", "PathPoint"):
        return [getattr(m, f.name) for f in m.DESCRIPTOR.fields]
    out = {}
    for f in m.DESCRIPTOR.fields:
        value = getattr(m, f.name)
        if f.message_type and f.message_type.GetOptions().map_entry:
            held = f.message_type.fields_by_name["value"].message_type
            if value:
                out[f.name] = {k: message(value[k]) if held else value[k] for k in value}
        elif f.is_repeated:
            if len(value):
                out[f.name] = [message(x) if f.message_type else x for x in value]
        elif m.HasField(f.name):
            out[f.name] = message(value) if f.message_type else value
    return out


def read_protobuf(file):
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, unknown_fields

    files = descriptor_pb2.FileDescriptorSet.FromString(open(file, "rb").read())
    pool = descriptor_pool.DescriptorPool()
    for f in files.file:
        pool.Add(f)
    types = pool.FindFileByName(files.file[-1].name).message_types_by_name
    for line in sys.stdin:
        _, body = frame(bytes.fromhex(line))
        path, body = indexes(body)
        kind = files.file[-1].message_type[path[0]].name
        assert len(path) == 1, path
        m = message_factory.GetMessageClass(types[kind]).FromString(body)
        assert not len(unknown_fields.UnknownFieldSet(m)), "fields are left over"
        yield message(m)


if __name__ == "__main__":
    read = {"avro": read_avro, "protobuf": lambda files: read_protobuf(files[0])}[sys.argv[1]]
    for event in read(sys.argv[2:]):
        print(json.dumps(event))
