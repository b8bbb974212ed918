"""Decodes the API's JSON; a bad field does not spoil the others.

It owns the accepted forms of each field and their meaning. It knows no transport, no metric and no configuration. The
rules: ``null``, missing and empty fields are absent. A value that is not understood is not known; it is counted by
field and logged once per field, with its type but never itself. Unknown fields are ignored, so ``initial_password`` is
never read. Nothing is guessed.
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
