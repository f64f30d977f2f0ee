//! Whole screens and whole keyboards.

mod keys;
mod screens;
