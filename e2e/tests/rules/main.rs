//! Rules of this repository that a tool can check, so that no reviewer has to. None of them needs the stack.

mod asyncapi;
mod codes;
mod contract;
mod files;
mod imports;
mod openapi;
mod queries;
mod released;
mod source;
