//! Whole screens and whole keyboards.

mod app;
mod costs;
mod desk;
mod keys;
mod night;
mod people;
mod pointer;
mod screens;
mod tired;
mod trials;
