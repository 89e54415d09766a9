//! Ticks, and what comes between them, over ports in process and on virtual time: orders to
//! publish, a group that does not permit it, messages that would say nothing new, tombstones.
#![cfg(test)]

mod emission;
mod orders;
mod world;
