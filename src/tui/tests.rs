//! Whole screens and whole keyboards.

mod app;
mod desk;
mod keys;
mod night;
mod people;
mod pointer;
mod screens;
mod tired;
mod trials;
