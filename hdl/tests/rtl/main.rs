//! The construction layer: mistakes are refused by name, the text is what an engineer would write, and it computes
//! what the expressions say.

mod behaviour;
mod diagram;
mod errors;
mod expressions;
mod formal;
mod gallery;
mod scale;
mod text;
mod tools;
