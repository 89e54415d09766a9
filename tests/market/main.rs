//! Questions about tokens to a pipeline over ports in process: on virtual time against the naive
//! definition, and over real sockets as pages and programs ask them.
#![cfg(test)]

mod group;
mod http;
mod queries;
mod streams;
mod world;
