//! Wire formats: bytes in, values out, and the other way. Pure and total: any bytes give a value
//! or a named reason, never a panic, and never more memory than a small multiple of their length.

pub mod aggregate;
mod avro;
pub mod checkpoint;
mod checkpoint_extended;
mod checkpoint_pane;
mod cursor;
pub mod dead_letter;
pub mod envelope;
pub mod extended;
pub mod fields;
mod protobuf;
pub mod registered;
pub mod time;
pub mod token_info;
pub mod trade;
mod trade_fields;
pub mod trade_scan;
mod varint;
