//! What `demo` shows and what it shows it of: a simulated market, and the published messages as a
//! table. Pure but for the screen: time and size are arguments.

pub mod board;
pub mod market;
mod names;
pub mod screen;
pub mod table;
