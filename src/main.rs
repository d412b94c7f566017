//! The `pennypost` program: hands its arguments to [`pennypost::cli`].

fn main() {}
