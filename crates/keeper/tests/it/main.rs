//! Tests with keepers that are processes of their own.
#![cfg(unix)]

mod clients;
mod crash;
mod durability;
mod full_disk;
mod input;
mod lifetime;
mod privacy;
mod running;
mod scale;
mod support;
