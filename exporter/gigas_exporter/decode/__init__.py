"""Decode the API's JSON, tolerant field by field.

It owns what each field of the wire may look like and what is made of it. It knows no transport, no metric and no
configuration. The rules: ``null``, missing and empty fields are absent; a value that cannot be understood is not known,
is counted under its field's name and logged once by field and type, never by value; unknown fields are ignored, and so
``initial_password`` is never read. Nothing is guessed.
"""

from gigas_exporter.decode.body import MAX_VALUES, decode_array, decode_json
from gigas_exporter.decode.fields import MAX_TEXT_LENGTH, InvalidFields, parse_timestamp
from gigas_exporter.decode.items import (
    FIELDS,
    SIZE_UNITS,
    Decode,
    Decoder,
    DecodeSettings,
    SizeUnit,
    decode_items,
)
from gigas_exporter.decode.state_fields import STATE_FIELDS

__all__ = [
    "FIELDS",
    "MAX_TEXT_LENGTH",
    "MAX_VALUES",
    "SIZE_UNITS",
    "STATE_FIELDS",
    "Decode",
    "DecodeSettings",
    "Decoder",
    "InvalidFields",
    "SizeUnit",
    "decode_array",
    "decode_items",
    "decode_json",
    "parse_timestamp",
]
