"""Reads topics to their ends by Confluent's client, decodes by its own deserializers, and prints a JSON
line for each record. Arguments: brokers, registry, Protobuf schema, then FORMAT=TOPIC each."""

import datetime
import decimal
import importlib
import json
import sys
import tempfile

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.timestamp_pb2 import Timestamp


def generated(schema):
    """The class that Protobuf's own compiler makes of the schema."""
    from grpc_tools import protoc

    out = tempfile.mkdtemp()
    include = protoc.__file__.rsplit("/", 1)[0] + "/_proto"
    folder, _, name = schema.rpartition("/")
    assert protoc.main(["protoc", f"-I{folder}", f"-I{include}", f"--python_out={out}", name]) == 0
    sys.path.insert(0, out)
    return importlib.import_module(name.replace("-", "_").replace(".proto", "_pb2")).Aggregate


def plain(value):
    """As JSON has it: decimals as text, times in RFC 3339, all else as it is."""
    if isinstance(value, decimal.Decimal):
        whole, _, fraction = format(value, "f").partition(".")
        return f"{whole}.{fraction.rstrip('0'):0<6}"
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if hasattr(value, "DESCRIPTOR"):
        there = lambda field: not field.has_presence or value.HasField(field.name)
        known = lambda field: plain(getattr(value, field.name)) if there(field) else None
        return {field.name: known(field) for field in value.DESCRIPTOR.fields}
    if hasattr(value, "add"):
        return [plain(one) for one in value]
    return value


def main():
    brokers, registry, schema, *topics = sys.argv[1:]
    client = SchemaRegistryClient({"url": registry})
    # With a registry it asks for descriptors in base 64 (format=serialized), which Apicurio has not.
    protobuf = ProtobufDeserializer(generated(schema), {"use.deprecated.format": False})
    deserializers = {
        "json": lambda value, _: json.loads(value),
        "json-schema": JSONDeserializer(None, schema_registry_client=client),
        "avro": AvroDeserializer(client),
        "protobuf": protobuf,
    }
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "foreign", "enable.auto.commit": False})
    for named in topics:
        form, topic = named.split("=")
        context = SerializationContext(topic, MessageField.VALUE)
        places = consumer.list_topics(topic, 30).topics[topic].partitions
        for place in places:
            first, end = consumer.get_watermark_offsets(TopicPartition(topic, place), 30)
            consumer.assign([TopicPartition(topic, place, first)])
            while first < end:
                record = consumer.poll(30)
                assert record is not None and record.error() is None, record
                first = record.offset() + 1
                value = plain(deserializers[form](record.value(), context))
                headers = {name: text.decode() for name, text in record.headers()}
                schema_id = int.from_bytes(record.value()[1:5], "big")
                line = {"format": form, "key": record.key().decode(), "id": schema_id}
                line.update({"headers": headers, "value": value})
                print(json.dumps(line))
    consumer.close()


main()
