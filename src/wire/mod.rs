//! Wire formats. Pure: bytes in, values out, and the other way.

pub mod aggregate;
pub mod checkpoint;
pub mod trade;
