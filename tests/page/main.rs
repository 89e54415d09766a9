//! The live page as people meet it: in a real Chromium, against the real program, which simulates a
//! market of ten thousand tokens. Every visit ends by looking for errors on the console and for
//! requests to anybody else. Durations are printed, never asserted: machines differ.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "waits are bounded by the wall clock")]

mod browser;
mod connection;
mod hostile;
mod looks;
mod made_up;
mod publish;
mod reading;
mod service;
mod table;
mod token;
